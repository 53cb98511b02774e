"""Invented documents of many kinds: exact sentences and answers, variety, honest near misses."""

import random
import re
import time
from collections import Counter
from pathlib import Path

import pytest

import agentlab
from agentlab.starter.documents import LONGEST, SHORTEST, _shapes, document_items
from agentlab.starter.handbooks import HandbookItem
from agentlab.starter.kinds import Kind, document_kinds
from agentlab.starter.templates import Binding, sentence_with, slots_of
from ingest.sentences import sentence_spans

COUNT = 2000
ITEMS = document_items(11, COUNT)


def turns(item: HandbookItem) -> list[tuple[str, str, str]]:
    """List the stand-alone questions of an item with their answers and sentences."""
    asked = [
        (item.question, item.answer, item.sentence),
        (item.follow_up_query, item.follow_up_answer, item.follow_up_sentence),
        (
            item.second_follow_up_query,
            item.second_follow_up_answer,
            item.second_follow_up_sentence,
        ),
    ]
    return [(q, answer or "", sentence or "") for q, answer, sentence in asked if q]


def test_the_same_seed_gives_the_same_items_and_another_seed_others() -> None:
    assert document_items(11, 100) == ITEMS[:100]
    assert document_items(12, 100) != ITEMS[:100]


def test_each_answer_stands_once_in_the_passage_and_in_one_of_its_sentences() -> None:
    for item in ITEMS:
        sentences = [item.passage[a:b] for a, b in sentence_spans(item.passage)]
        for _, answer, sentence in turns(item):
            assert answer
            assert sentence
            assert sentences.count(sentence) == 1, item
            assert sentence.count(answer) == item.passage.count(answer) == 1, item
            assert "\n" not in sentence


def test_no_question_of_a_document_gives_its_answer_away() -> None:
    leaking = [item for item in ITEMS for q, answer, _ in turns(item) if answer in q]
    assert len(leaking) <= 0.005 * COUNT, leaking[:3]


def test_no_template_mark_is_left_in_any_text() -> None:
    for item in ITEMS:
        texts = [item.title, item.heading, item.passage, item.near_miss, item.superseded]
        texts += [item.question, item.follow_up, item.second_follow_up]
        texts += [question for question, _, _ in turns(item)]
        for text in filter(None, texts):
            assert not set("<>[]{}|~*") & set(text), text
            assert "  " not in text, text


def test_passages_are_as_long_as_chunks() -> None:
    assert all(SHORTEST <= len(item.passage.split()) <= LONGEST for item in ITEMS)


def test_most_items_go_on_for_a_second_and_many_for_a_third_turn() -> None:
    assert sum(item.follow_up is not None for item in ITEMS) >= 0.6 * COUNT
    assert sum(item.second_follow_up is not None for item in ITEMS) >= 0.3 * COUNT
    for item in ITEMS:
        first = [item.follow_up, item.follow_up_query, item.follow_up_answer]
        second = [item.second_follow_up, item.second_follow_up_query]
        second += [item.second_follow_up_answer, item.second_follow_up_sentence]
        assert all(first) or not any([*first, *second])
        assert all(second) or not any(second)
        answers = [answer for _, answer, _ in turns(item)]
        assert len(set(answers)) == len(answers), item


def test_most_follow_ups_lean_on_the_question_before_them() -> None:
    followed = [(item.follow_up, item.follow_up_query or "") for item in ITEMS if item.follow_up]
    leaning = [text for text, query in followed if len(text) < len(query)]
    assert len(leaning) > 0.6 * len(followed)
    assert any(re.fullmatch(r"[Aa]nd the other( one)?\??", text) for text, _ in followed)


def test_most_items_have_a_near_miss_that_the_passage_does_not_ask_for() -> None:
    missed = [item for item in ITEMS if item.near_miss]
    assert len(missed) >= 0.6 * COUNT
    assert all(
        item.near_miss not in [question for question, _, _ in turns(item)] for item in missed
    )


def test_near_misses_cannot_be_told_by_their_wording() -> None:
    def openings(questions: list[str]) -> Counter[str]:
        full = [question for question in questions if question.endswith("?")]
        return Counter(" ".join(question.lower().split()[:2]) for question in full)

    asked = openings([item.question for item in ITEMS])
    missed = openings([item.near_miss for item in ITEMS if item.near_miss])
    shared = sum(count for opening, count in missed.items() if opening in asked)
    assert shared > 0.9 * missed.total()


def test_items_vary_widely() -> None:
    many = document_items(3, 3000)
    assert len({item.passage for item in many}) > 0.97 * len(many)
    assert len({item.question.lower() for item in many}) > 0.85 * len(many)
    assert len({item.title for item in many}) > 0.4 * len(many)
    assert sum(not item.question.endswith("?") for item in many) > 0.15 * len(many)
    assert sum("\n" in item.passage for item in many) > 0.2 * len(many)


def test_three_thousand_items_take_seconds() -> None:
    start = time.process_time()
    document_items(5, 3000)
    assert time.process_time() - start < 15


def test_nothing_of_the_demo_occurs() -> None:
    texts = Path(agentlab.__file__).parent / "demo" / "texts"
    demo = "\n".join(path.read_text(encoding="utf-8") for path in sorted(texts.glob("*.md")))
    names = (
        "Marrowfin", "tidal", "Limpet", "Selkie", "Brine Hub", "Gangway", "Ennick", "Skerra",
        "Tolland", "Brim Sound", "Ostrander", "Ashdale", "Lindgate", "Harrowell", "Quennell",
        "Dovekie", "Varley", "Trask", "Orrell", "Travel and Expense Handbook",
    )  # fmt: skip
    assert [name for name in names if name not in demo] == []
    pattern = re.compile("|".join(map(re.escape, names)), re.IGNORECASE)
    for item in ITEMS:
        assert not pattern.search(f"{item.title} {item.heading} {item.passage} {item.question}")


@pytest.mark.parametrize("kind", document_kinds(), ids=lambda kind: kind.name)
def test_each_kind_has_shapes_whose_slots_are_defined_and_whose_questions_can_be_answered(
    kind: Kind,
) -> None:
    assert len(kind.shapes) >= 6
    for shape in kind.shapes:
        text = {name for line in shape.lines for name in slots_of(line.text)}
        questions = [text for texts in shape.asks.values() for text in texts]
        leaning = [text for texts in shape.leaning.values() for text in texts]
        others = [shape.heading, shape.on, shape.old, *shape.misses]
        names = {name for each in [*questions, *leaning, *others] for name in slots_of(each)} | text
        assert {name.rstrip("0123456789") for name in names} <= kind.lists.keys()
        assert shape.asks.keys() <= text
        assert all(shape.asks.values())


def test_no_document_states_one_thing_with_two_values() -> None:
    drawn = [_shapes(random.Random(seed), kind) for kind in document_kinds() for seed in range(30)]
    assert sum(len(shapes) > 1 for shapes in drawn) > 0.3 * len(drawn)
    for number, shapes in enumerate(drawn):
        particular = document_kinds()[number // 30].particular
        stated = [{slot.rstrip("0123456789") for slot in shape.asks} for shape in shapes]
        counts = Counter(slot for slots in stated for slot in slots if slot in particular)
        assert all(count == 1 for count in counts.values())


def test_a_later_passage_supersedes_an_older_one_with_another_value() -> None:
    amended = [item for item in document_items(4, 3000) if item.superseded]
    assert 0.03 * 3000 < len(amended) < 0.09 * 3000
    for item in amended:
        assert item.superseded
        assert item.answer not in item.superseded
        assert item.superseded != item.passage


def test_a_binding_keeps_its_values_and_a_repeated_name_gets_another_one() -> None:
    lists = {"colour": ["red", "green"], "car": "{=colour} car", "other": "{colour}"}
    binding = Binding(random.Random(1), lists)
    assert binding.fill("{colour} {colour}") in {"red red", "green green"}
    assert {binding.value("colour1"), binding.value("colour2")} <= {"red", "green"}
    assert binding.value("car") == f"{binding.value('colour')} car"
    assert binding.fill("{Car}") == binding.value("car").capitalize()
    inner = Binding(random.Random(2), lists, outer=binding)
    assert inner.value("colour") == binding.value("colour")


def test_the_article_fits_the_word_that_follows_it() -> None:
    binding = Binding(random.Random(1), {"u": "urn", "e": "eel", "o": "one-way ticket"})
    assert (
        binding.fill("A {u}, a {e}. A {e}, a {o}.") == "An urn, an eel. An eel, a one-way ticket."
    )
    assert binding.fill("Grade A is a uniform.") == "Grade A is a uniform."


def test_a_value_that_stands_twice_or_runs_over_lines_has_no_sentence() -> None:
    assert sentence_with("It costs 5 euros. It is red.", "5 euros") == "It costs 5 euros."
    assert sentence_with("It costs 5 euros. She has 5 euros.", "5 euros") is None
    assert sentence_with("It costs 5 euros.", "6 euros") is None
    assert sentence_with("- One is 4.\n- Two is 7.", "7") == "- Two is 7."
