"""What the reader is trained on, and what its odds are worth."""

import json
import math
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentlab.starter.calibration import fit
from agentlab.starter.hard_passages import hard_rows
from agentlab.starter.passages import LONGEST_PASSAGE, write_rows
from agentlab.starter.questions import calibration_articles, held_out_articles
from agentlab.starter.reader_rows import Asked, Page
from ingest.reader import Calibrated, Reply


class WordCounts:
    """An embedder whose vectors count the words of a text."""

    def encode(
        self, texts: Sequence[str], progress: Callable[[int], None] | None = None
    ) -> np.ndarray:
        del progress
        vectors = np.zeros((len(texts), 64), dtype=np.float32)
        for row, text in zip(vectors, texts, strict=True):
            for word in text.lower().split():
                row[zlib.crc32(word.encode()) % 64] += 1
        return vectors


class Drawn:
    """A reader that is drawn to sentences with some words, by the log-odds given for each."""

    calibration = Calibrated()

    def __init__(self, **odds: float) -> None:
        self.odds = odds

    def read(
        self,
        question: str,
        titles: Sequence[str],
        passages: Sequence[str],
        sentences: Sequence[Sequence[tuple[int, int]]],
    ) -> list[Reply]:
        del question, titles
        return [
            Reply(tuple(self._drawn(passage[a:b]) for a, b in spans), tuple(spans))
            for passage, spans in zip(passages, sentences, strict=True)
        ]

    def _drawn(self, sentence: str) -> float:
        return max((odds for word, odds in self.odds.items() if word in sentence), default=-20.0)


PAGES = [
    Page("Lenn Castle", "Lenn Castle stands on a rock. It was begun in 1241 by a bishop."),
    Page("Lenn Castle", "The chapel of Lenn Castle was rebuilt later. It has two bells."),
    Page("Lenn Castle", "A café opened in Lenn Castle in the year of the flood."),
    Page("Lenn Castle", "Work on Lenn Castle was begun again, so in 1241 as in every year."),
]
BEGUN = Asked("When was Lenn Castle begun?", ("1241",), "It was begun in 1241 by a bishop.", 0)


def hard(reader: Drawn) -> list[tuple[str, bool]]:
    """The passages of the rows for one question, and whether each has its answer marked."""
    (rows,) = hard_rows(PAGES, [BEGUN], reader, WordCounts(), seed=3)  # type: ignore[arg-type]
    return [(row.passage, row.answer is not None) for row in rows]


def test_a_passage_that_misleads_the_reader_stands_beside_the_right_one() -> None:
    assert hard(Drawn(begun=2.0, rebuilt=1.0)) == [(PAGES[0].text, True), (PAGES[1].text, False)]


def test_what_the_reader_is_surer_of_than_of_the_answer_may_be_one_too() -> None:
    assert hard(Drawn(begun=-1.0, rebuilt=5.0)) == [(PAGES[0].text, True)]


def test_a_passage_with_the_words_of_the_answer_is_none_without_it() -> None:
    assert PAGES[3].text not in dict(hard(Drawn(begun=2.0, again=2.0)))


def test_a_long_passage_is_cut_around_what_misleads() -> None:
    filler = " ".join(f"Stone number {n} is grey and lies in the yard." for n in range(60))
    pages = [PAGES[0], Page("Lenn Castle", f"{filler} The gate was rebuilt. {filler}")]
    (rows,) = hard_rows(
        pages,
        [BEGUN],
        Drawn(begun=2.0, rebuilt=1.0),
        WordCounts(),  # type: ignore[arg-type]
        seed=3,
    )
    misleading = next(row for row in rows if row.answer is None)
    assert "The gate was rebuilt." in misleading.passage
    assert len(misleading.passage.split()) <= 150


@pytest.mark.slow
@pytest.mark.parametrize("reader", [None, Drawn(the=2.0)], ids=["first sitting", "next sitting"])
def test_rows_hold_their_answer_or_none_and_nothing_held_out(
    reader: Drawn | None, shared_questions: Path, tmp_path: Path
) -> None:
    out = tmp_path / "passages.jsonl"
    embedder: Any = WordCounts()
    count = write_rows(shared_questions, embedder, out, reader=reader, seed=3)
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == count
    answered = [row for row in rows if row["answer"]]
    assert 0.4 < len(answered) / count < 0.8
    assert all(row["passage"][slice(*row["answer"])].strip() for row in answered)
    # A passage may be longer only where one sentence is.
    long = [row for row in rows if len(row["passage"].split()) > 2 * LONGEST_PASSAGE]
    assert len(long) < 0.001 * count
    unseen = held_out_articles(shared_questions) + calibration_articles(shared_questions)
    assert not {row["title"] for row in rows} & {article.title for article in unseen}


@pytest.mark.slow
def test_rows_that_a_kill_cut_off_are_gone_on_with(shared_questions: Path, tmp_path: Path) -> None:
    def write(name: str, *, killed_at: int = 0) -> list[int]:
        """Write rows, and tell which questions were read for it."""
        read: list[int] = []

        def show(done: int, _: int) -> None:
            read.append(done)
            if done == killed_at:
                raise KeyboardInterrupt

        embedder: Any = WordCounts()
        reader: Any = Drawn(the=2.0)
        out = tmp_path / name
        write_rows(shared_questions, embedder, out, reader=reader, count=12, show=show)
        return read

    with pytest.raises(KeyboardInterrupt):
        write("killed.jsonl", killed_at=5)
    assert not (tmp_path / "killed.jsonl").exists()
    assert write("killed.jsonl")[0] == 6
    assert write("whole.jsonl")[0] == 1
    whole, killed = (tmp_path / name for name in ("whole.jsonl", "killed.jsonl"))
    assert killed.read_bytes() == whole.read_bytes()


def test_few_answerable_questions_count_as_weak_and_most_missing_ones_do() -> None:
    random = np.random.default_rng(1)
    answered, missing = random.normal(8, 4, 4000), random.normal(-6, 4, 4000)
    fitted = fit(answered, missing)
    chance = np.array([fitted.probability(score) for score in answered])
    absent = np.array([fitted.probability(score) for score in missing])
    assert np.mean(chance < fitted.fair) < 0.03
    assert np.mean(chance < fitted.strong) == pytest.approx(0.25, abs=0.01)
    assert np.mean(absent < fitted.fair) > 0.92
    # Where as many are answered as not, the probability is a half.
    assert fitted.probability(1.0) == pytest.approx(0.5, abs=0.05)
    # The odds of these scores are exp(.875 (score - 1)); fair evidence has odds of one to three.
    assert fitted.probability(1.0 - math.log(3) / 0.875) == pytest.approx(fitted.fair, abs=0.02)


def test_scores_that_never_mix_still_give_a_finite_curve() -> None:
    fitted = fit(np.array([5.0, 6.0, 7.0]), np.array([-5.0, -6.0, -7.0]))
    assert np.isfinite([fitted.scale, fitted.offset]).all()
    assert fitted.probability(6.0) > 0.9 > 0.1 > fitted.probability(-6.0)
