import json
import re

import pytest

from agentlab.demo import FRESH
from agentlab.starter.handbooks import HandbookItem
from agentlab.starter.tables import table_items
from ingest.sentences import sentence_spans

ITEMS = table_items(5, 300)


def plain(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.casefold()))


def test_the_same_seed_gives_the_same_tables() -> None:
    assert table_items(5, 300) == ITEMS
    assert table_items(6, 300) != ITEMS


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.question[:40])
def test_each_cell_asked_for_stands_once_in_its_line(item: HandbookItem) -> None:
    lines = item.passage.split("\n")
    for turn in ((item.answer, item.sentence), *((t.answer, t.sentence) for t in item.turns)):
        value, line = turn
        assert lines.count(line) == 1
        assert line.count(value) == 1


def test_each_line_of_a_table_is_read_as_a_sentence() -> None:
    for item in ITEMS:
        read = [item.passage[start:end] for start, end in sentence_spans(item.passage)]
        assert item.sentence in read


def test_tables_and_sheets_are_drawn_and_most_are_asked_about_again() -> None:
    sheets = [item for item in ITEMS if item.passage.split("\n")[0].endswith(":")]
    assert 0.15 < len(sheets) / len(ITEMS) < 0.5
    assert sum(bool(item.follow_up) for item in ITEMS) > 0.4 * len(ITEMS)
    assert all(item.near_miss for item in ITEMS)


def test_no_table_comes_close_to_the_demos_exam() -> None:
    asked = [plain(row["question"]) for row in json.loads(FRESH.read_text(encoding="utf-8"))]
    for item in ITEMS:
        for question in filter(None, (item.question, item.follow_up_query, item.near_miss)):
            words = plain(question)
            assert max(len(words & each) / len(words | each) for each in asked) < 0.7, question
