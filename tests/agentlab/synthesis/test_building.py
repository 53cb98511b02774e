"""RAFT rows, conversations and pairs on a small library that embeds without a model."""

import random
from typing import Any

import pytest
from scripted import PAGES, small_library

from agentlab import prompts
from agentlab.synthesis.items import Draft, Item, Refused, verify
from agentlab.synthesis.rows import SIMPLE, raft_builder
from agentlab.synthesis.talks import pair_builder, talk_builder
from ingest.collection import Collection

QUESTION = "What may a hotel night cost?"
HOTEL = "A hotel night may cost 140 euros at most."


@pytest.fixture(scope="module")
def library() -> Collection:
    more = [("Menu", "Lunch", page, f"Lunch on day {page} is soup of the day.") for page in (1, 2)]
    return small_library([*PAGES, *more])


@pytest.fixture
def item(library: Collection) -> Item:
    chunk = next(each for each in library.store.chunks() if "140" in each.text)
    return verify(Draft(QUESTION, "140 euros", HOTEL), chunk)


def rows(build: Any, item: Item, count: int = 30) -> list[dict[str, Any]]:
    return [build(item, random.Random(seed)) for seed in range(count)]


def test_the_simple_rows_hold_question_answer_and_place(item: Item) -> None:
    row = SIMPLE["qa"](item, random.Random(0))
    assert (row["instruction"], row["response"], row["quote"]) == (QUESTION, "140 euros", HOTEL)
    assert row["source"] == "/docs/Travel Handbook.pdf"
    row = SIMPLE["reader"](item, random.Random(0))
    assert row["passage"][slice(*row["answer"])] == "140 euros"


def test_a_readers_answer_may_be_broken_by_a_lines_end() -> None:
    text = "In all of the cities of grade A a hotel night may cost 140\neuros at most."
    (chunk,) = small_library([("Handbook", "Hotels", 4, text)]).store.chunks()
    item = verify(Draft(QUESTION, "140 euros", "may cost 140 euros at most."), chunk)
    row = SIMPLE["reader"](item, random.Random(0))
    assert row["passage"][slice(*row["answer"])] == "140\neuros"


def test_a_raft_row_cites_its_passage_among_others_that_lack_the_answer(
    item: Item, library: Collection
) -> None:
    build = raft_builder(library, distractors=2, oracle=1.0, memorise=False)
    numbers = set()
    for row in rows(build, item):
        _, user, answer = (each["content"] for each in row["messages"])
        (quote,) = prompts.parse_answer(answer).quotes
        numbers.add(quote.numbers[0])
        line = next(line for line in user.splitlines() if line.startswith(f"[{quote.numbers[0]}]"))
        assert HOTEL in line
        assert user.count("140 euros") == 1
        assert user.count("\n[") == 2
        assert user.endswith(QUESTION)
    assert numbers == {1, 2, 3}


def test_without_the_passage_a_raft_row_declines_or_remembers(
    item: Item, library: Collection
) -> None:
    for memorise, answer in ((False, prompts.NOT_FOUND), (True, "140 euros")):
        build = raft_builder(library, distractors=2, oracle=0.0, memorise=memorise)
        for row in rows(build, item, 5):
            assert row["messages"][-1]["content"] == answer
            assert HOTEL not in row["messages"][1]["content"]
            assert row["oracle"] is False
    shares = [row["oracle"] for row in rows(raft_builder(library, distractors=1, oracle=0.5,
                                                         memorise=False), item, 100)]  # fmt: skip
    assert 30 < sum(shares) < 70


def test_a_raft_row_needs_another_passage(item: Item) -> None:
    alone = small_library(PAGES[:1])
    with pytest.raises(Refused, match="no other passage"):
        raft_builder(alone, distractors=2, oracle=1.0, memorise=False)(item, random.Random(0))


def test_a_conversation_searches_quotes_and_answers(item: Item, library: Collection) -> None:
    row = talk_builder(library, absent=0.0)(item, random.Random(0))
    roles = [each["role"] for each in row["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "assistant"]
    assert row["messages"][-1]["content"].startswith(f'"{HOTEL}" [')
    assert row["tools"] == prompts.TOOLS
    assert row["lineage"]["kind"] == "documents"


def test_with_the_sentence_hidden_a_conversation_declines(item: Item, library: Collection) -> None:
    row = talk_builder(library, absent=1.0)(item, random.Random(0))
    assert row["messages"][-1]["content"] == prompts.NOT_FOUND
    assert all(HOTEL not in str(each["content"]) for each in row["messages"])
    assert row["tools"] == []


def test_where_nothing_matches_there_is_nothing_to_search(item: Item) -> None:
    other = small_library([*PAGES, ("Menu", "Dinner", 9, "The cook starts early.")])
    with pytest.raises(Refused, match="does not match"):
        talk_builder(other, absent=1.0)(item, random.Random(0))


def test_a_pair_prefers_the_right_quote_to_another_that_was_shown(
    item: Item, library: Collection
) -> None:
    row = pair_builder(library, absent=0.0)(item, random.Random(0))
    chosen, rejected = row["chosen"][0]["content"], row["rejected"][0]["content"]
    assert HOTEL in chosen
    (quote,) = prompts.parse_answer(rejected).quotes
    assert "140 euros" not in rejected
    assert quote.text in row["prompt"][-1]["content"].replace("»", "").replace("›", "")


def test_a_conversation_needs_a_quote_of_one_sentence(library: Collection) -> None:
    chunk = next(each for each in library.store.chunks() if "140" in each.text)
    both = verify(Draft(QUESTION, "140 euros", "140 euros at most. Breakfast is"), chunk)
    with pytest.raises(Refused, match="more than one sentence"):
        talk_builder(library, absent=0.0)(both, random.Random(0))
