"""Evaluation: the whole agent asked what no training saw, judged measure by measure."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from agentlab.answer import Answer, Citation, Source
from agentlab.prompts import parse_answer
from agentlab.starter.exam import Case

FIRST = 3
"""How many passages of a search count as found."""
_LIBRARY, _WEB = "search_documents", "search_web"
_ROUTES = {
    "documents": "route_documents",
    "follow_up": "route_follow_up",
    "outside": "route_outside",
    "live": "route_live",
    "small_talk": "route_talk",
}
_READ = ("documents", "follow_up", "outside")
Marks = dict[str, tuple[int, int]]
Finds = Callable[[Case, str], bool]
"""Tells whether a query finds the passage that answers a case among the library's first three."""


@dataclass(frozen=True)
class Asked:
    """A search that the agent made, and what the model read of it."""

    tool: str
    query: str
    observation: str


@dataclass(frozen=True)
class Outcome:
    """One case and what came of it: for each measure that applies, how often right of how many.

    `model` names the model and the settings changed for it, `build` the weights behind that name.
    `cause` says what went wrong first, None where nothing did; `score` is how likely the best
    passage of the first search of the library was to answer, where a reader told.
    """

    model: str
    build: str
    part: str
    case: Case
    marks: Marks
    cause: str | None
    text: str
    raw: str
    steps: tuple[Asked, ...]
    score: float | None
    seconds: float
    tokens: int


def examine(
    ask: Callable[[Case], Answer],
    finds: Finds,
    cases: Iterable[Case],
    *,
    model: str,
    part: str,
    build: str = "",
) -> Iterator[Outcome]:
    """Ask every case and judge what comes."""
    for case in cases:
        answer = ask(case)
        marks = judge(case, answer, finds)
        yield Outcome(
            model=model,
            build=build,
            part=part,
            case=case,
            marks=marks,
            cause=cause(case, answer, marks),
            text=answer.text,
            raw=answer.raw,
            steps=tuple(
                Asked(step.tool, str(step.arguments.get("query", "")), step.observation)
                for step in answer.steps
            ),
            score=first_score(answer),
            seconds=answer.seconds,
            tokens=answer.usage.completion_tokens,
        )


def judge(case: Case, answer: Answer, finds: Finds) -> Marks:
    """Judge an answer by every measure that applies to its case."""
    marks: Marks = {}
    _judge_calls(case, answer, marks)
    quotes = [each for each in answer.citations if each.quote]
    if quotes:
        marks["verbatim"] = (sum(each.supported for each in quotes), len(quotes))
        marks["second"] = _mark(len(quotes) > 1)
    if case.kind in ("documents", "follow_up"):
        _judge_query(case, answer, finds, marks)
    if case.kind in _READ:
        _judge_reading(case, answer, marks)
    if case.kind == "nowhere":
        marks["nowhere"] = _mark(_says_not_found(answer))
    if case.kind == "near_miss":
        on_web = any(step.tool == _WEB for step in answer.steps)
        marks["near_web"] = _mark(on_web)
        marks["near_miss"] = _mark(on_web and _says_not_found(answer))
    return marks


def cause(case: Case, answer: Answer, marks: Marks) -> str | None:
    """Name the first thing that went wrong on the way to the answer, as far as the marks tell."""
    if _failed(marks, *_ROUTES.values()):
        return "route"
    if case.kind in ("near_miss", "nowhere") and not _says_not_found(answer):
        return "answered"
    if _failed(marks, "near_web"):
        return "not on the web"
    if case.kind in _READ and _failed(marks, "gold", "short", "cited", "web_gold"):
        return _reading_cause(case, answer)
    if _failed(marks, "verbatim"):
        return "quote not verbatim"
    return "invalid call" if _failed(marks, "valid") else None


def first_score(answer: Answer) -> float | None:
    """Give the largest score among the passages of the first search of the library."""
    for step in answer.steps:
        if step.tool == _LIBRARY:
            return max(
                (each.score for each in step.sources if each.score is not None), default=None
            )
    return None


def _judge_calls(case: Case, answer: Answer, marks: Marks) -> None:
    calls = len(answer.steps) + answer.usage.malformed_calls
    if calls:
        wrong = answer.usage.malformed_calls + sum(step.error for step in answer.steps)
        marks["valid"] = (max(0, calls - wrong), calls)
    elif case.first_tool:
        marks["valid"] = (0, 1)
    if case.kind in _ROUTES:
        first = answer.steps[0].tool if answer.steps else None
        marks[_ROUTES[case.kind]] = _mark(first == case.first_tool)


def _judge_query(case: Case, answer: Answer, finds: Finds, marks: Marks) -> None:
    """Compare the agent's first search with the question: a follow-up without one has lost.

    "found" is what the query finds by itself, "shown" what the search showed the model: it may know
    the person's words too, and reads more than it shows.
    """
    search = next((step for step in answer.steps if step.tool == _LIBRARY), None)
    if search is None and case.kind == "documents":
        return
    query = str(search.arguments.get("query", "")) if search else ""
    shown = any(case.stands_in(each.text) for each in search.sources) if search else False
    name = "follow" if case.kind == "follow_up" else "query"
    marks[f"{name}_found"] = _mark(finds(case, query))
    marks[f"{name}_shown"] = _mark(shown)
    marks[f"{name}_own"] = _mark(finds(case, case.alone))


def _judge_reading(case: Case, answer: Answer, marks: Marks) -> None:
    gold = case.answered_by(all_text(answer))
    shown = any(case.stands_in(source.text) for source in answer.sources)
    if case.kind == "outside":
        marks["web_gold"] = _mark(gold)
        if shown:
            marks["web_gold_shown"] = _mark(gold)
    else:
        short = case.answered_by(answer.text)
        right = [_right(each, case) for each in answer.citations]
        for name, held in (("gold", gold), ("short", short), ("cited", any(right))):
            marks[name] = _mark(held)
            if shown:
                marks[f"{name}_shown"] = _mark(held)
        if shown:
            marks["cited_first_shown"] = _mark(any(right[:1]))
    if shown:
        marks["falsely"] = _mark(answer.abstained)


def _reading_cause(case: Case, answer: Answer) -> str:
    holding = [source for source in answer.sources if case.stands_in(source.text)]
    if not holding:
        return "not found"
    if not any(case.stands_in(_visible(source)) for source in holding):
        return "not shown"
    if answer.abstained:
        return "abstained"
    quoted = any(case.answered_by(each.quote) for each in answer.citations if each.supported)
    return "wrong span" if quoted else "wrong sentence"


def _visible(source: Source) -> str:
    return " ".join(source.sentences) or source.shown


def _right(citation: Citation, case: Case) -> bool:
    """Tell whether a citation leads to the answer: its passage, or the same page's own words."""
    source = citation.source
    if not citation.supported:
        return False
    on_page = case.page is not None and (source.title, source.page) == (case.title, case.page)
    return case.stands_in(source.text) or (on_page and case.answered_by(citation.quote))


def _says_not_found(answer: Answer) -> bool:
    """Tell whether the model itself says so: a run that failed does not."""
    return parse_answer(answer.raw).abstained


def all_text(answer: Answer) -> str:
    """Join an answer with what it quotes, where that stands in its source."""
    quotes = (each.quote for each in answer.citations if each.supported)
    return " ".join([answer.text, *quotes])


def _failed(marks: Marks, *names: str) -> bool:
    found = (marks[name] for name in names if name in marks)
    return any(right < of for right, of in found)


def _mark(right: bool) -> tuple[int, int]:
    return (int(right), 1)
