import uuid
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from ingest_fakes import WordEmbedder

from ingest.documents import Chunk
from ingest.evidence import Calibration, background_questions, calibrate
from ingest.reader import Calibrated, Reply
from ingest.stores.base import Hit, relative_score_fusion
from ingest.words import content_words


def hit(text: str, *, cosine: float, title: str = "Guide") -> Hit:
    chunk = Chunk("1", text, "d", "guide.pdf", title, 1, 0, len(text), "Meals", "fake")
    return Hit(chunk, 1.0, cosine, 0.0)


class AlwaysAsSure:
    """A reader to whom every sentence answers with the same log-odds."""

    calibration = Calibrated(likeness=0.0, order=0.0)

    def __init__(self, odds: float) -> None:
        self.odds = odds

    def read(self, question: str, titles: Any, passages: Any, sentences: Any) -> list[Reply]:
        del question, titles, passages
        return [Reply((self.odds,) * len(each), tuple(each)) for each in sentences]


NOTHING: dict[str, list[Hit]] = {"who sang": [], "where it was": []}
PASSAGES = [f"page {index} about pumps and valves" for index in range(20)]


def test_a_rare_word_weighs_more_than_a_common_one() -> None:
    calibration = calibrate([*PASSAGES, "the allowance of a diver"], NOTHING)
    assert calibration.idf("allowance") > calibration.idf("pump")


def test_coverage_is_the_weighted_share_of_the_questions_words() -> None:
    calibration = calibrate(PASSAGES, NOTHING)
    assert calibration.coverage("pumps and valves?", PASSAGES[0]) == pytest.approx(1.0)
    assert calibration.coverage("opera singers?", PASSAGES[0]) == 0.0
    assert 0 < calibration.coverage("pumps at the opera?", PASSAGES[0]) < 1


def test_a_question_that_matches_beats_every_background_question() -> None:
    def search(question: str) -> list[Hit]:
        known = "pump" in question
        return [hit(PASSAGES[0], cosine=0.8 if known else 0.1)]

    calibration = calibrate(PASSAGES, {each: search(each) for each in background_questions()})
    asked = "Which pumps have valves?"
    assert calibration.evidence(asked, search(asked)).strength == "strong"
    assert calibration.evidence("who sang", [hit("x", cosine=0.0)]).strength == "none"


def test_an_empty_search_is_no_evidence() -> None:
    calibration = calibrate(PASSAGES, {"who": [hit("x", cosine=0.1)]})
    evidence = calibration.evidence("anything", [])
    assert (evidence.strength, evidence.titles) == ("none", ())


def test_the_words_for_evidence_follow_the_percentiles() -> None:
    calibration = Calibration(10, {}, weak=0.4, good=0.6, strong=0.8)
    grades = [calibration.grade(score) for score in (0.1, 0.4, 0.6, 0.8)]
    assert grades == ["none", "weak", "good", "strong"]


def background(answered: int) -> dict[str, list[Hit]]:
    """Let 240 questions score as a normal distribution has it, but for those that are answered."""
    spread = NormalDist(0.4, 0.1)
    scores = [spread.inv_cdf((place + 0.5) / 240) for place in range(240 - answered)]
    scores += [0.95] * answered
    return {f"who {place}": [hit("x", cosine=score)] for place, score in enumerate(scores)}


@pytest.mark.parametrize("answered", [0, 12])
def test_background_questions_that_a_large_collection_answers_raise_no_threshold(
    answered: int,
) -> None:
    calibration = calibrate(PASSAGES, background(answered), size=2_000)
    assert calibration.weak == pytest.approx(0.4 + 1.28 * 0.1, abs=0.02)
    assert calibration.good == pytest.approx(0.4 + 1.88 * 0.1, abs=0.02)


def test_a_small_collection_is_graded_by_the_percentiles_and_nothing_jumps() -> None:
    good = [calibrate(PASSAGES, background(12), size=size).good for size in (20, 1_000, 1_001)]
    assert good == pytest.approx([0.95, 0.95, 0.95], abs=1e-3)
    between = [calibrate(PASSAGES, background(12), size=size).good for size in (1_400, 9_000)]
    assert 0.6 < between[0] < 0.9
    assert between[1] == pytest.approx(0.588, abs=0.02)


def test_a_calibration_survives_json() -> None:
    calibration = calibrate(PASSAGES, NOTHING)
    assert Calibration.from_dict(calibration.to_dict()) == calibration


def test_a_large_collection_is_measured_anew_when_a_tenth_of_it_or_its_embedder_changed() -> None:
    calibration = calibrate(PASSAGES, NOTHING, size=10_000, embedder="one")
    assert calibration.fits(10_900, "one")
    assert not calibration.fits(11_100, "one")
    assert not calibration.fits(8_900, "one")
    assert not calibration.fits(10_000, "two")
    assert not calibrate(PASSAGES, NOTHING, embedder="one").fits(20, "one")


def test_a_calibration_counts_the_words_of_a_sample_only(tmp_path, monkeypatch) -> None:
    from ingest.collection import Collection
    from ingest.stores.embedded import LanceStore

    monkeypatch.setattr("ingest.collection.SAMPLE", 50)
    monkeypatch.setattr("ingest.evidence.SAMPLE", 50)
    monkeypatch.setattr("ingest.collection.background_questions", lambda: ["who", "where"])
    embedder = WordEmbedder()
    store = LanceStore(tmp_path, collection="many")
    chunks = [
        Chunk(str(uuid.uuid5(uuid.NAMESPACE_URL, str(n))), f"rule {n}", "d", "a.pdf", "A", n, 0, 9,
              "", "words") for n in range(300)
    ]  # fmt: skip
    store.write(chunks, embedder.encode([chunk.embedded for chunk in chunks]))
    store.finish()
    collection = Collection(store, embedder)
    collection.calibrate()
    note = store.note("calibration")
    assert (note["size"], note["embedder"]) == (300, "words")
    assert 20 < note["passages"] < 100
    embedder.encoded.clear()
    collection.calibrate()
    store.delete([chunk.id for chunk in chunks[:20]])
    collection.calibrate()
    assert embedder.encoded == []
    store.delete([chunk.id for chunk in chunks[:40]])
    collection.calibrate()
    assert embedder.encoded == ["who", "where"]
    assert store.note("calibration")["size"] == 260


def test_there_are_enough_background_questions_and_none_twice() -> None:
    questions = background_questions()
    assert len(questions) >= 200
    assert len(set(questions)) == len(questions)


def test_content_words_meet_across_endings() -> None:
    asked = content_words("Which allowances do the managers get?")
    assert asked == content_words("an allowance of the manager")
    assert content_words("boxes stored") == content_words("box store")
    assert content_words("5 km2 and 3 m3 of CO2") == content_words("5 km² and 3 m³ of CO2")
    assert content_words("policies") == content_words("policy")


def test_fusion_scales_each_arm_and_weighs_them() -> None:
    fused = relative_score_fusion({"a": 0.9, "b": 0.1}, {"b": 12.0, "c": 2.0}, 0.5)
    assert fused == {"a": 0.5, "b": 0.5, "c": 0.0}
    assert relative_score_fusion({"a": 0.3}, {}, 1.0) == {"a": 1.0}


@pytest.mark.slow
def test_real_vectors_tell_a_covered_question_from_an_uncovered_one(minilm, tmp_path) -> None:
    from ingest.collection import Collection
    from ingest.stores.embedded import LanceStore

    texts = [
        "The daily meal allowance of a diver is 48 euros on the islands.",
        "A pump of the north field is serviced every 400 hours by two fitters.",
        "The harbour crane may lift at most nine tonnes in a calm sea.",
    ]
    chunks = [
        Chunk(str(i), text, "d", "guide.pdf", "Guide", i, 0, len(text), "", minilm.name)
        for i, text in enumerate(texts, start=1)
    ]
    store = LanceStore(tmp_path, collection="guide")
    store.write(chunks, minilm.encode([chunk.embedded for chunk in chunks]))
    store.finish()
    collection = Collection(store, minilm)
    assert collection.probe("anything").strength == "none"
    collection.calibrate()
    assert collection.probe("How much can a diver spend on meals?").strength in ("good", "strong")
    assert collection.probe("Who wrote the opera Carmen?").strength in ("none", "weak")
    carmen = "Who wrote the opera Carmen?"
    collection.reader = AlwaysAsSure(40.0)
    assert collection.probe(carmen).strength == "good"
    assert collection.answers(carmen)
    assert not collection.answers(carmen, 1.01)
    collection.reader = AlwaysAsSure(-40.0)
    assert collection.probe(carmen).strength == "none"
    assert not collection.answers(carmen)
    assert np.isclose(np.linalg.norm(minilm.encode(["a"])[0]), 1.0, atol=1e-5)
