"""The generator of invented handbooks keeps its promises: exact spans, variety, determinism."""

import itertools
import random

from agentlab.starter.handbooks import SHORTEST, HandbookItem, draw_handbook_item


def handbook_items(seed: int, count: int) -> list[HandbookItem]:
    rng = random.Random(seed)
    drawn = iter(lambda: draw_handbook_item(rng), object())
    return list(itertools.islice(filter(None, drawn), count))


ITEMS = handbook_items(11, 2000)


def both_answers(item: HandbookItem) -> list[tuple[str, str]]:
    pairs = [(item.answer, item.sentence)]
    if item.follow_up_answer and item.follow_up_sentence:
        pairs.append((item.follow_up_answer, item.follow_up_sentence))
    return pairs


def test_the_same_seed_gives_the_same_items_and_another_seed_others() -> None:
    assert handbook_items(11, 50) == ITEMS[:50]
    assert handbook_items(12, 50) != ITEMS[:50]


def test_each_answer_lies_in_its_sentence_and_nowhere_else_in_the_passage() -> None:
    for item in ITEMS:
        for answer, sentence in both_answers(item):
            assert answer in sentence
            assert item.passage.count(sentence) == 1
            assert item.passage.count(answer) == 1


def test_no_template_mark_is_left_in_any_text() -> None:
    for item in ITEMS:
        text = f"{item.title}{item.heading}{item.passage}{item.question}{item.near_miss}"
        text += f"{item.follow_up}{item.follow_up_query}"
        assert not set("<>[]{}|") & set(text), text
        assert "  " not in text


def test_passages_are_of_the_length_of_a_chunk_and_state_several_facts() -> None:
    for item in ITEMS:
        assert SHORTEST <= len(item.passage.split()) <= 120
        assert item.passage.count(".") + item.passage.count("\n") >= 3


def test_a_follow_up_comes_whole_or_not_at_all_and_asks_for_another_answer() -> None:
    followed = [item for item in ITEMS if item.follow_up]
    assert 0.4 < len(followed) / len(ITEMS) < 0.9
    for item in ITEMS:
        parts = [item.follow_up, item.follow_up_query, item.follow_up_answer]
        assert all(parts) or not any([*parts, item.follow_up_sentence])
    assert all(item.follow_up_answer != item.answer for item in followed)
    assert all(item.follow_up_query != item.question for item in followed)


def test_items_vary_widely() -> None:
    assert len({item.title for item in ITEMS}) > 1200
    assert len({item.question for item in ITEMS}) > 0.9 * len(ITEMS)
    assert len({item.heading.lstrip("0123456789. ") for item in ITEMS}) > 400
    tables = [item for item in ITEMS if item.passage.startswith("Table")]
    assert 0.08 < len(tables) / len(ITEMS) < 0.5
    assert any(not item.question.endswith("?") for item in ITEMS)
