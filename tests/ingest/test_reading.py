from collections.abc import Sequence

import numpy as np

from ingest.reading import BEST, NEXT, mark


class WordEncoder:
    """Embeds a text as the words it holds out of a small vocabulary."""

    vocabulary = ("hotel", "meal", "limit", "euro", "train", "flight")

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        rows = [[float(word in text.lower()) for word in self.vocabulary] for text in texts]
        vectors = np.array(rows, dtype=np.float32) + 1e-6
        unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit


PASSAGE = "Trains come first. The hotel limit is 90 euros. Flights need a reason. Meals are paid."


def test_the_sentence_that_answers_is_marked_best() -> None:
    reading = mark("What is the hotel limit in euros?", [PASSAGE], WordEncoder())
    assert f"{BEST}The hotel limit is 90 euros." in reading.passages[0].shown
    assert reading.strength == "strong"


def test_one_best_and_two_next_sentences_are_marked_over_all_passages() -> None:
    reading = mark("hotel limit", [PASSAGE, "A hotel near the station. No limit."], WordEncoder())
    shown = "".join(passage.shown for passage in reading.passages)
    assert (shown.count(BEST), shown.count(NEXT)) == (1, 2)


def test_a_window_keeps_whole_sentences_around_the_best_one() -> None:
    reading = mark("hotel limit in euros", [PASSAGE], WordEncoder(), words=10)
    passage = reading.passages[0]
    assert "The hotel limit is 90 euros." in PASSAGE[passage.start : passage.end]
    assert len(PASSAGE[passage.start : passage.end].split()) <= 10
    assert PASSAGE[passage.start : passage.end].endswith((".", "!"))


def test_nothing_to_read_is_weak_evidence() -> None:
    assert mark("hotel", [], WordEncoder()).strength == "weak"
    assert mark("hotel", [""], WordEncoder()).passages[0].best is None
