import json
from dataclasses import replace
from io import FileIO
from pathlib import Path

import pytest
from scripted import small_library

from agentlab.answer import Answer, Citation, Source, Step, Usage
from agentlab.evaluation import Marks, Outcome, cause, examine, first_score, judge
from agentlab.measures import MEASURES, summarise
from agentlab.prompts import NOT_FOUND
from agentlab.record import Record
from agentlab.starter.exam import Case
from agentlab.tools.providers.base import WebResult
from agentlab.tools.sources import SourceBook
from ingest.reading import MarkedPassage

PAGE = Source(
    1, "page", "Guide", "The limit is 90 euros. Ask first.", "»The limit is 90 euros. Ask first.",
    "guide.pdf", page=4, sentences=("The limit is 90 euros.", "Ask first."), score=0.8,
)  # fmt: skip
RESULT = Source(2, "web", "Site", "Words.", "Words.", "https://site.example", score=0.1)
CASE = Case(
    "documents", "What is the limit?", answers=("90 euros",), sentence="The limit is 90 euros.",
    title="Guide", page=4,
)  # fmt: skip
NEAR = Case("near_miss", "What is the limit on Sundays?")
RIGHT = Citation(PAGE, "The limit is 90 euros.", "90 euros", supported=True)
SEARCH = Step("search_documents", {"query": "limit"}, "Evidence: strong", (PAGE,))
ON_WEB = Step("search_web", {"query": "limit"}, "Evidence: weak", (RESULT,))
SILENT = {"text": NOT_FOUND, "raw": NOT_FOUND, "abstained": True, "citations": ()}


def answer(**changes: object) -> Answer:
    values: dict = {
        "question": CASE.question, "text": "90 euros [1]", "raw": "90 euros [1]",
        "steps": (SEARCH,), "sources": (PAGE,), "citations": (RIGHT,), "usage": Usage(100, 20, 2),
    }  # fmt: skip
    return Answer(**{**values, **changes})


def found(case: Case, query: str) -> bool:
    return query in ("limit", case.alone)


def marks_of(case: Case, given: Answer) -> Marks:
    return judge(case, given, found)


def cause_of(case: Case, given: Answer) -> str | None:
    return cause(case, given, marks_of(case, given))


def test_a_right_answer_is_right_by_every_measure() -> None:
    marks = marks_of(CASE, answer())
    assert marks.pop("falsely") == (0, 1)
    assert marks.pop("second") == (0, 1)
    assert set(marks) == {
        "valid", "route_documents", "verbatim", "query_found", "query_own", "query_shown", "gold",
        "short", "cited", "gold_shown", "short_shown", "cited_shown", "cited_first_shown",
    }  # fmt: skip
    assert all(right == of for right, of in marks.values())
    assert cause_of(CASE, answer()) is None


def test_a_citation_of_another_page_is_wrong() -> None:
    other = replace(PAGE, text="Words.", page=9)
    wrong = answer(citations=(Citation(other, "Words.", "90 euros", supported=True),))
    assert marks_of(CASE, wrong)["cited"] == (0, 1)
    assert cause_of(CASE, wrong) == "wrong sentence"


def test_a_second_quote_that_leads_to_the_answer_is_right_and_told_apart() -> None:
    other = Citation(replace(PAGE, text="Words.", page=9), "Words.", "", supported=True)
    marks = marks_of(CASE, answer(citations=(other, *answer().citations)))
    assert (marks["cited_shown"], marks["cited_first_shown"]) == ((1, 1), (0, 1))
    assert marks["second"] == (1, 1)


def test_other_words_of_the_right_page_are_cited_right_only_if_they_answer() -> None:
    table = replace(PAGE, text="Limit 90 euros")
    holds = answer(citations=(Citation(table, "Limit 90 euros", "90 euros", supported=True),))
    lacks = answer(citations=(Citation(table, "Limit", "90 euros", supported=True),))
    assert marks_of(CASE, holds)["cited"] == (1, 1)
    assert marks_of(CASE, lacks)["cited"] == (0, 1)


def test_an_unsupported_quote_is_not_the_answers() -> None:
    made_up = Citation(PAGE, "It is 90 euros.", "", supported=False)
    marks = marks_of(CASE, answer(text="yes", citations=(made_up,)))
    assert (marks["gold"], marks["verbatim"], marks["cited"]) == ((0, 1), (0, 1), (0, 1))


def test_a_number_inside_a_larger_one_and_a_sources_number_are_no_gold() -> None:
    assert marks_of(CASE, answer(text="190 euros", citations=()))["short"] == (0, 1)
    one = replace(CASE, answers=("1",), sentence="The limit is 1.")
    assert marks_of(one, answer(text="two [1]", citations=()))["short"] == (0, 1)


def test_a_malformed_call_counts_against_validity() -> None:
    given = answer(usage=Usage(1, 1, 2, malformed_calls=1))
    assert marks_of(CASE, given)["valid"] == (1, 2)
    assert cause_of(CASE, given) == "invalid call"


def test_an_answer_without_any_call_has_no_valid_one_and_no_query() -> None:
    marks = marks_of(CASE, answer(steps=(), sources=(), citations=()))
    assert (marks["valid"], marks["route_documents"]) == ((0, 1), (0, 1))
    assert not {"query_found", "gold_shown", "falsely"} & set(marks)


def test_a_follow_up_without_a_search_has_not_found_its_passage() -> None:
    case = replace(CASE, kind="follow_up", question="And now?", full="What is the limit now?")
    marks = marks_of(case, answer(steps=(), sources=(), citations=()))
    assert (marks["follow_found"], marks["follow_own"]) == ((0, 1), (1, 1))


def test_only_the_agents_first_query_of_the_library_counts() -> None:
    lost = replace(SEARCH, arguments={"query": "boundary"})
    assert marks_of(CASE, answer(steps=(ON_WEB, lost, SEARCH)))["query_found"] == (0, 1)
    assert marks_of(CASE, answer(steps=(ON_WEB, SEARCH, lost)))["query_found"] == (1, 1)


def test_what_a_search_shows_counts_beside_what_its_query_finds() -> None:
    lost = replace(SEARCH, arguments={"query": "boundary"})
    marks = marks_of(CASE, answer(steps=(lost,)))
    assert (marks["query_found"], marks["query_shown"]) == ((0, 1), (1, 1))
    empty = replace(SEARCH, sources=())
    marks = marks_of(CASE, answer(steps=(empty, SEARCH)))
    assert (marks["query_found"], marks["query_shown"]) == ((1, 1), (0, 1))


def test_talk_is_right_without_a_search() -> None:
    marks = marks_of(Case("small_talk", "Hello"), answer(steps=(), sources=(), citations=()))
    assert marks == {"route_talk": (1, 1)}
    assert cause_of(Case("small_talk", "Hello"), answer()) == "route"


def test_a_near_miss_is_right_after_the_web_has_been_asked_too() -> None:
    both = answer(**SILENT, steps=(SEARCH, ON_WEB))
    assert marks_of(NEAR, both)["near_miss"] == (1, 1)
    assert cause_of(NEAR, both) is None
    early = answer(**SILENT)
    assert (marks_of(NEAR, early)["near_web"], marks_of(NEAR, early)["near_miss"]) == (
        (0, 1),
        (0, 1),
    )
    assert cause_of(NEAR, early) == "not on the web"
    assert cause_of(NEAR, answer(steps=(SEARCH, ON_WEB))) == "answered"


def test_a_run_that_failed_has_not_said_that_it_does_not_know() -> None:
    case = Case("nowhere", "Who?")
    assert marks_of(case, answer(**SILENT))["nowhere"] == (1, 1)
    failed = answer(text="The model gave no answer.", raw="", abstained=True, citations=())
    assert marks_of(case, failed)["nowhere"] == (0, 1)


def test_silence_beside_the_answer_is_false() -> None:
    marks = marks_of(CASE, answer(**SILENT))
    assert (marks["falsely"], marks["gold_shown"]) == ((1, 1), (0, 1))
    assert cause_of(CASE, answer(**SILENT)) == "abstained"
    unseen = answer(**SILENT, sources=(RESULT,))
    assert "falsely" not in marks_of(CASE, unseen)


def test_the_cause_tells_how_far_the_answer_came() -> None:
    wrong = {"text": "Ask first", "citations": (replace(RIGHT, quote="Ask first."),)}
    assert cause_of(CASE, answer(**wrong, steps=(ON_WEB,), sources=(RESULT,))) == "route"
    assert cause_of(CASE, answer(**wrong, sources=(RESULT,))) == "not found"
    cut = replace(PAGE, sentences=("Ask first.",))
    assert cause_of(CASE, answer(**wrong, sources=(cut,))) == "not shown"
    assert cause_of(CASE, answer(**wrong)) == "wrong sentence"
    assert cause_of(CASE, answer(text="The limit")) == "wrong span"


def test_the_score_is_the_best_of_the_first_search_of_the_library() -> None:
    better = replace(PAGE, number=3, score=0.9)
    steps = (ON_WEB, replace(SEARCH, sources=(PAGE, better)), replace(SEARCH, sources=(RESULT,)))
    assert first_score(answer(steps=steps)) == 0.9
    assert (
        first_score(answer(steps=(replace(SEARCH, sources=(replace(PAGE, score=None),)),))) is None
    )
    assert first_score(answer(steps=(ON_WEB,))) is None


def outcomes(*given: tuple[Case, Answer]) -> list[Outcome]:
    answers = dict(given)
    return list(examine(answers.__getitem__, found, answers, model="m", part="p", build="b"))


def test_every_row_of_the_table_is_measured() -> None:
    follow = replace(CASE, kind="follow_up", question="And now?", full="limit")
    web = Case("outside", "Words?", answers=("words",), sentence="Words.")
    both = answer(**SILENT, steps=(SEARCH, ON_WEB))
    figures = summarise(
        outcomes(
            (CASE, answer()),
            (follow, answer()),
            (web, answer(text="words", steps=(ON_WEB,), sources=(RESULT,), citations=())),
            (Case("live", "Now?"), answer(steps=(ON_WEB,))),
            (Case("small_talk", "Hi"), answer(steps=())),
            (NEAR, both),
            (Case("nowhere", "Who?"), both),
        )
    )
    assert set(figures) == {measure.name for measure in MEASURES}
    assert all(figure.measured for figure in figures.values())
    assert figures["near_area"].of == "1 + 1"
    assert figures["near_area"].value == 0.5


def test_without_a_readers_scores_there_is_no_area() -> None:
    plain = (replace(SEARCH, sources=(replace(PAGE, score=None),)),)
    figures = summarise(outcomes((CASE, answer(steps=plain)), (NEAR, answer(steps=plain))))
    assert str(figures["near_area"]) == "-"


def test_near_misses_are_told_where_a_tenth_of_the_answerable_lies_below() -> None:
    def scored(case: Case, score: float) -> Outcome:
        (outcome,) = outcomes((case, answer()))
        return replace(outcome, score=score)

    answerable = [scored(CASE, 0.1 * number) for number in range(1, 11)]
    near = [scored(NEAR, score) for score in (0.05, 0.15, 0.19, 0.5)]
    told = summarise([*answerable, *near])["near_told"]
    assert (told.value, told.of) == (0.75, "4")


def test_a_lost_query_costs_points_and_a_found_one_gains_them() -> None:
    lost = answer(steps=(replace(SEARCH, arguments={"query": "boundary"}),))
    other = replace(CASE, question="Which limit?")
    figures = summarise(outcomes((CASE, answer()), (other, lost)))
    assert (figures["query_found"].value, figures["query_own"].value) == (0.5, 1.0)
    assert figures["query_points"].value == pytest.approx(-50.0)


def test_a_stopped_evaluation_goes_on_where_it_was(tmp_path: Path) -> None:
    record = Record(tmp_path / "runs" / "out.jsonl")
    case = replace(CASE, kind="follow_up", earlier=(("Before?", "Yes"),), full="In full?")
    [outcome] = outcomes((case, answer()))
    record.add(outcome)
    with record.path.open("a", encoding="utf-8") as file:
        file.write('{"shape": 2, "model": "m", "cut')
    assert record.outcomes() == [outcome]
    assert record.left_out() == 1
    assert record.missing([case], model="m", build="b", part="p") == []
    assert record.missing([case], model="m q=1", build="b", part="p") == [case]
    assert record.missing([case], model="m", build="after training", part="p") == [case]
    record.add(outcome)
    assert record.outcomes() == [outcome, outcome]


def test_a_line_separator_within_an_answer_does_not_end_its_line(tmp_path: Path) -> None:
    record = Record(tmp_path / "out.jsonl")
    [outcome] = outcomes((CASE, answer()))
    record.add(replace(outcome, raw="one\u2028two\x85three"))
    assert [each.raw for each in record.outcomes()] == ["one\u2028two\x85three"]
    assert record.left_out() == 0


def test_a_line_that_is_cut_within_a_character_costs_no_other(tmp_path: Path) -> None:
    record = Record(tmp_path / "out.jsonl")
    [outcome] = outcomes((CASE, answer()))
    record.add(outcome)
    with record.path.open("ab") as file:
        file.write('{"shape": 2, "model": "é'.encode()[:-1])
    record.add(outcome)
    assert record.outcomes() == [outcome, outcome]
    assert record.left_out() == 1


def test_a_line_is_whole_where_a_write_takes_a_part_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Narrow(FileIO):
        def write(self, data: bytes) -> int:
            return super().write(data[:100])

    record = Record(tmp_path / "out.jsonl")
    [outcome] = outcomes((CASE, answer()))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda path, *_, **__: Narrow(path, "a+"))
        record.add(outcome)
    assert record.outcomes() == [outcome]


def test_a_record_of_an_older_shape_is_left_out(tmp_path: Path) -> None:
    record = Record(tmp_path / "out.jsonl")
    [outcome] = outcomes((CASE, answer()))
    record.add(outcome)
    row = json.loads(record.path.read_text(encoding="utf-8"))
    old = [
        {**row, "shape": 1},
        {key: value for key, value in row.items() if key != "shape"},
        {**row, "case": {**row["case"], "kind": "absent", "unknown": 1}},
        ["no", "outcome"],
    ]
    record.path.write_text("\n".join(json.dumps(each) for each in old), encoding="utf-8")
    assert record.outcomes() == []
    assert record.left_out() == 4
    assert record.missing([CASE], model="m", build="b", part="p") == [CASE]


def test_what_the_reader_thinks_of_a_passage_reaches_the_measure() -> None:
    chunk = next(iter(small_library().store.chunks()))
    book = SourceBook()
    read = MarkedPassage(0, len(chunk.text), chunk.text, None, score=0.7)
    page = book.add_page(chunk, read)
    web = book.add_web(
        WebResult("Site", "https://site.example", "Words."), replace(read, score=0.2)
    )
    steps = (replace(ON_WEB, sources=(web,)), replace(SEARCH, sources=(page, web)))
    assert (page.score, web.score) == (0.7, 0.2)
    assert first_score(answer(steps=steps)) == 0.7
