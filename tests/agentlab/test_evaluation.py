from pathlib import Path

import pytest

from agentlab.answer import Answer, Citation, Source, Step, Usage
from agentlab.evaluation import Outcome, Record, Share, judge, summarise
from agentlab.starter.exam import Case

PAGE = Source(
    1, "page", "Guide", "The limit is 90 euros. Ask first.", "»The limit is 90 euros.",
    "guide.pdf", page=4,
)  # fmt: skip
CASE = Case(
    "documents", "What is the limit?", answers=("90 euros",), sentence="The limit is 90 euros.",
    title="Guide", page=4,
)  # fmt: skip


def answer(**changes: object) -> Answer:
    step = Step("search_documents", {"query": "limit"}, "…", (PAGE,))
    citation = Citation(PAGE, "The limit is 90 euros.", "90 euros", supported=True)
    values: dict = {
        "question": CASE.question, "text": "90 euros [1]", "raw": "", "steps": (step,),
        "sources": (PAGE,), "citations": (citation,), "usage": Usage(100, 20, 2),
    }  # fmt: skip
    return Answer(**{**values, **changes})


def test_a_right_answer_is_right_by_every_measure() -> None:
    marks = judge(CASE, answer())
    assert set(marks) == {
        "valid", "route_documents", "verbatim", "shown", "gold", "short", "cited", "answers",
    }  # fmt: skip
    assert all(right == of for right, of in marks.values())


def test_a_citation_of_another_page_is_wrong() -> None:
    other = Source(2, "page", "Guide", "Words.", "Words.", "guide.pdf", page=9)
    wrong = answer(citations=(Citation(other, "Words.", "90 euros", supported=True),))
    assert judge(CASE, wrong)["cited"] == (0, 1)


def test_an_unsupported_quote_is_not_the_answers() -> None:
    made_up = Citation(PAGE, "It is 90 euros.", "", supported=False)
    marks = judge(CASE, answer(text="yes", citations=(made_up,)))
    assert (marks["gold"], marks["verbatim"], marks["cited"]) == ((0, 1), (0, 1), (0, 1))


def test_a_number_inside_a_larger_one_is_no_gold() -> None:
    assert judge(CASE, answer(text="190 euros", citations=()))["short"] == (0, 1)


def test_a_malformed_call_counts_against_validity() -> None:
    assert judge(CASE, answer(usage=Usage(1, 1, 2, malformed_calls=1)))["valid"] == (1, 2)


def test_an_answer_without_any_call_has_no_valid_one() -> None:
    marks = judge(CASE, answer(steps=(), sources=(), citations=()))
    assert (marks["valid"], marks["route_documents"], marks["shown"]) == ((0, 1), (0, 1), (0, 1))


def test_talk_is_right_without_a_search() -> None:
    marks = judge(Case("small_talk", "Hello"), answer(steps=(), sources=(), citations=()))
    assert marks == {"route_talk": (1, 1)}


def test_silence_where_nothing_answers_is_right() -> None:
    marks = judge(Case("absent", "Who?"), answer(text="-", abstained=True, citations=()))
    assert marks["abstains"] == (1, 1)


def test_wilsons_interval_is_the_published_one() -> None:
    low, high = Share(9, 10).interval
    assert (low, high) == (pytest.approx(0.5958, abs=1e-4), pytest.approx(0.9821, abs=1e-4))
    assert str(Share(0, 0)) == "-"


def test_a_stopped_evaluation_goes_on_where_it_was(tmp_path: Path) -> None:
    record = Record(tmp_path / "runs" / "out.jsonl")
    outcome = Outcome(
        "m", "p", CASE, judge(CASE, answer()), "t", "r", ("search_documents",), 1.0, 9
    )
    record.add(outcome)
    with record.path.open("a", encoding="utf-8") as file:
        file.write('{"model": "m", "cut')
    assert record.outcomes() == [outcome]
    assert record.missing([CASE], model="m", part="p") == []
    assert record.missing([CASE], model="other", part="p") == [CASE]
    assert summarise(record.outcomes())["gold"].value == 1.0
