"""What a reader is worth, on articles whose answers a fake reader knows or does not."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from scripted import WordEmbedder

from agentlab.starter import calibration
from agentlab.starter.calibration import Judged, calibrate_reader, judge, judge_articles, worth_of
from agentlab.starter.questions import Article, Question
from ingest.reader import Calibrated, Reader, Reply
from ingest.reading import Passage

MILL = "The mill opened early. Miss Orne paid for it. The mill made paper."
BRIDGE = "The bridge was built of iron. A ferry ran before. The bridge is long."
TOWER = "The tower holds two bells. Nobody lives in the tower. A keeper climbs it."
MONEY = Question("Who gave the money for the mill?", ("Miss Orne",), "Miss Orne paid for it.", 0)
IRON = Question("What was the bridge built of?", ("iron",), "The bridge was built of iron.", 1)
ARTICLE = Article("Town", (MILL, BRIDGE, TOWER), (MONEY, IRON))


class KnowingReader:
    """A reader that gives the sentences with the right answers high odds, and counts its work."""

    calibration = Calibrated()

    def __init__(self) -> None:
        self.reads: list[tuple[str, str]] = []

    def read(
        self,
        question: str,
        titles: Sequence[str],
        passages: Sequence[str],
        sentences: Sequence[Sequence[tuple[int, int]]],
    ) -> list[Reply]:
        del titles
        self.reads += [(question, passage) for passage in passages]
        gold = {each.text: each.sentence for each in ARTICLE.questions}[question]
        return [
            Reply(tuple(40.0 if text[a:b] == gold else -40.0 for a, b in spans), tuple(spans))
            for text, spans in zip(passages, sentences, strict=True)
        ]


class CountingEmbedder(WordEmbedder):
    """An embedder that notes the texts that it was given."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def encode(self, texts: Sequence[str], progress: Any = None) -> Any:
        self.texts += texts
        return super().encode(texts, progress)


def passages(*texts: str) -> list[Passage]:
    return [Passage("Town", text) for text in texts]


def test_likeness_takes_the_sentence_with_the_questions_words_and_a_reader_the_answer() -> None:
    found, without = passages(TOWER, MILL), passages(TOWER)
    given: Any = (MONEY, MILL, found, without)
    read = judge(*given, encoder=WordEmbedder(), reader=KnowingReader())
    alike = judge(*given, encoder=WordEmbedder(), reader=None)
    assert (read.passage, read.sentence) == (True, True)
    assert read.answered > 30 > -30 > read.missing
    assert (alike.passage, alike.sentence) == (True, False)
    assert alike.answered > alike.missing == 0.0


def test_the_right_words_in_another_passage_are_not_right() -> None:
    double = f"Once more: nothing. {MONEY.sentence}"
    judged = judge(
        MONEY, MILL, passages(double, TOWER), passages(TOWER),
        encoder=WordEmbedder(), reader=KnowingReader(),
    )  # fmt: skip
    assert (judged.passage, judged.sentence) == (False, False)


def test_worth_is_two_shares_and_how_often_an_answer_scores_above_a_missing_one() -> None:
    worth = worth_of(
        [
            Judged(passage=True, sentence=True, answered=3.0, missing=1.0),
            Judged(passage=True, sentence=False, answered=2.0, missing=-1.0),
            Judged(passage=True, sentence=False, answered=0.0, missing=-2.0),
        ]
    )
    assert worth.to_dict() == {"passage": 1.0, "sentence": 0.3333, "area": 0.8889}
    assert worth.passage.of == "3"


def test_each_question_is_read_with_and_without_what_answers_and_nothing_twice() -> None:
    reader, embedder = KnowingReader(), CountingEmbedder()
    pairs = judge_articles(reader, embedder, [ARTICLE], seed=1)  # type: ignore[arg-type]
    assert len(pairs) == len(ARTICLE.questions)
    assert all(read.passage and read.sentence and read.answered > read.missing for read, _ in pairs)
    assert sorted(alike.sentence for _, alike in pairs) == [False, True]
    assert len(reader.reads) == len(set(reader.reads)) == 6
    sentences = [text for text in embedder.texts if text in MILL + BRIDGE + TOWER]
    assert len(sentences) == len(set(sentences))


def test_a_calibrated_reader_keeps_its_curve_and_its_worth_beside_its_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "calibration_articles", lambda _: [ARTICLE])
    config = tmp_path / "reader_config.json"
    config.write_text('{"base": "some/bert", "max_length": 320}')
    embedder: Any = WordEmbedder()
    result = calibrate_reader(tmp_path, KnowingReader(), embedder, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["reader_config.json"]
    kept = json.loads(config.read_text())
    assert (kept["base"], kept["max_length"]) == ("some/bert", 320)
    assert Calibrated(**kept["calibration"]) == result.fitted
    assert result.fitted.fair < 0.5 < result.fitted.strong
    assert kept["worth"]["questions"] == 2
    assert kept["worth"]["reader"] == {"passage": 1.0, "sentence": 1.0, "area": 1.0}
    assert kept["worth"]["likeness"] == result.likeness.to_dict()


@pytest.mark.slow
def test_a_reader_loads_with_what_a_calibration_kept(
    reader: Reader, minilm_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agentlab.library import reader_folder

    for file in reader_folder().iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr(calibration, "calibration_articles", lambda _: [ARTICLE])
    embedder: Any = WordEmbedder()
    result = calibrate_reader(tmp_path, reader, embedder, tmp_path)
    assert Reader(tmp_path, minilm_folder).calibration == result.fitted
