import json
import re
from pathlib import Path

import pytest

from agentlab.demo import FRESH
from agentlab.starter import scenes
from agentlab.starter.handbooks import HandbookItem
from agentlab.starter.scenes import (
    scene_items,
    sentence_of,
    training_scenes,
)
from ingest.answer_kinds import of_another_kind
from ingest.sentences import sentence_spans

ITEMS = scene_items()


def plain(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.casefold()))


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.question[:50])
def test_every_scene_answers_what_it_is_asked(item: HandbookItem) -> None:
    assert 30 <= len(item.passage.split()) <= 130
    assert item.passage.count(item.sentence) == 1
    assert item.answer in item.sentence
    if item.follow_up:
        assert item.follow_up_answer in item.follow_up_sentence in item.passage
    if item.second_follow_up:
        assert item.second_follow_up_answer in item.second_follow_up_sentence in item.passage


def test_no_question_is_asked_twice() -> None:
    asked = [(item.title, item.question.casefold()) for item in ITEMS]
    assert len(asked) == len(set(asked))


def test_no_scene_comes_close_to_the_demos_exam() -> None:
    rows = json.loads(FRESH.read_text(encoding="utf-8"))
    asked = [plain(row["question"]) for row in rows]
    for item in ITEMS:
        for question in (item.question, item.follow_up_query, item.second_follow_up_query):
            words = plain(question or "")
            near = max(len(words & each) / len(words | each) for each in asked)
            assert near < 0.7, question


def test_every_file_of_scenes_is_read() -> None:
    folder = Path(scenes.__file__).parent / "scenes"
    assert sorted(scenes._FILES) == sorted(each.stem for each in folder.glob("*.toml"))


def test_whole_scenes_are_kept_from_training() -> None:
    trained = set(training_scenes())
    kept = set(ITEMS) - trained
    assert len({item.passage for item in kept}) >= 30
    assert trained < set(ITEMS)
    assert not {item.passage for item in trained} & {item.passage for item in kept}


def test_an_answer_that_stands_in_two_sentences_is_refused() -> None:
    text = "The gate opens at six. The shop opens at six."
    with pytest.raises(ValueError, match="2 sentences hold 'six'"):
        sentence_of(text, {"q": "When?", "a": "six"})
    assert sentence_of(text, {"q": "When?", "a": "six", "near": "shop"}) == "The shop opens at six."


def test_of_another_kind_are_many_sentences_and_hardly_one_that_answers() -> None:
    right, beside = [], []
    for item in ITEMS:
        told = [item.passage[slice(*span)] for span in sentence_spans(item.passage)]
        whole = f"{item.title} {item.heading} {item.passage}"
        (others,) = of_another_kind(item.question, [whole], [told])
        for own, other in zip(told, others, strict=True):
            answers = own in item.sentence or item.sentence in own
            (right if answers else beside).append(other)
    assert sum(right) < 0.002 * len(right)
    assert sum(beside) > 0.02 * len(beside)
