"""Evaluation: the whole agent asked what no training saw, judged measure by measure."""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agentlab.answer import Answer, Source
from agentlab.starter.exam import Case

MEASURES = {
    "valid": "tool calls valid as written",
    "route_documents": "first route right: in the library",
    "route_outside": "first route right: outside it",
    "route_live": "first route right: live, covered subject",
    "route_talk": "first route right: small talk",
    "shown": "passage that answers was shown",
    "gold": "quote or answer holds the gold span",
    "short": "short answer alone holds it",
    "cited": "right passage cited",
    "verbatim": "quotes verbatim in their passage",
    "web_gold": "web: quote or answer holds the gold span",
    "follow_up": "follow-up: passage that answers was shown",
    "abstains": "answer nowhere: says so",
    "answers": "answer shown: does not abstain",
}


@dataclass(frozen=True)
class Outcome:
    """One case and what came of it: for each measure that applies, how often right of how many."""

    model: str
    part: str
    case: Case
    marks: dict[str, tuple[int, int]]
    text: str
    raw: str
    tools: tuple[str, ...]
    seconds: float
    tokens: int


@dataclass(frozen=True)
class Share:
    """A share with its 95 % interval (Wilson's score interval)."""

    right: int
    of: int

    @property
    def value(self) -> float:
        """Give the share, 0..1; nan where nothing was measured."""
        return self.right / self.of if self.of else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Give Wilson's 95 % interval."""
        if not self.of:
            return (math.nan, math.nan)
        z = 1.959964
        centre = self.value + z * z / (2 * self.of)
        spread = z * math.sqrt(
            self.value * (1 - self.value) / self.of + z * z / (4 * self.of * self.of)
        )
        scale = 1 + z * z / self.of
        return (max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale))

    def __str__(self) -> str:
        if not self.of:
            return "-"
        low, high = self.interval
        return f"{self.value:.0%} [{low:.0%}, {high:.0%}] of {self.of}"


def judge(case: Case, answer: Answer) -> dict[str, tuple[int, int]]:
    """Judge an answer by every measure that applies to its case."""
    marks: dict[str, tuple[int, int]] = {}
    calls = len(answer.steps) + answer.usage.malformed_calls
    if calls:
        wrong = answer.usage.malformed_calls + sum(step.error for step in answer.steps)
        marks["valid"] = (max(0, calls - wrong), calls)
    elif case.first_tool:
        marks["valid"] = (0, 1)
    first = answer.steps[0].tool if answer.steps else None
    route = "talk" if case.kind == "small_talk" else case.kind
    if f"route_{route}" in MEASURES:
        marks[f"route_{route}"] = _mark(first == case.first_tool)
    quotes = [each for each in answer.citations if each.quote]
    if quotes:
        marks["verbatim"] = (sum(each.supported for each in quotes), len(quotes))
    if case.kind in ("documents", "follow_up"):
        shown = any(_holds(source, case) for source in answer.sources)
        marks["follow_up" if case.kind == "follow_up" else "shown"] = _mark(shown)
        marks["gold"] = _mark(_has_gold(case, _all_text(answer)))
        marks["short"] = _mark(_has_gold(case, answer.text))
        marks["cited"] = _mark(
            any(each.supported and _holds(each.source, case) for each in answer.citations)
        )
        if shown:
            marks["answers"] = _mark(not answer.abstained)
    if case.kind == "outside":
        marks["web_gold"] = _mark(_has_gold(case, _all_text(answer)))
    if case.kind == "absent":
        marks["abstains"] = _mark(answer.abstained)
    return marks


def examine(
    ask: Callable[[Case], Answer], cases: Iterable[Case], *, model: str, part: str
) -> Iterator[Outcome]:
    """Ask every case and judge what comes."""
    for case in cases:
        answer = ask(case)
        yield Outcome(
            model=model,
            part=part,
            case=case,
            marks=judge(case, answer),
            text=answer.text,
            raw=answer.raw,
            tools=tuple(step.tool for step in answer.steps),
            seconds=answer.seconds,
            tokens=answer.usage.completion_tokens,
        )


def summarise(outcomes: Sequence[Outcome]) -> dict[str, Share]:
    """Add the marks up, measure by measure."""
    return {
        name: Share(
            sum(each.marks.get(name, (0, 0))[0] for each in outcomes),
            sum(each.marks.get(name, (0, 0))[1] for each in outcomes),
        )
        for name in MEASURES
    }


class Record:
    """The outcomes so far, a line each: an evaluation that is stopped goes on where it was."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def outcomes(self) -> list[Outcome]:
        """Read the outcomes; a line that a crash cut short is left out."""
        if not self.path.exists():
            return []
        rows = []
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                rows.append(_outcome(json.loads(line)))
            except (ValueError, KeyError, TypeError):
                continue
        return rows

    def add(self, outcome: Outcome) -> None:
        """Append an outcome."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(outcome), ensure_ascii=False) + "\n")

    def missing(self, cases: Sequence[Case], *, model: str, part: str) -> list[Case]:
        """Give the cases that have no outcome yet."""
        done = {each.case for each in self.outcomes() if (each.model, each.part) == (model, part)}
        return [case for case in cases if case not in done]


def _outcome(row: dict[str, Any]) -> Outcome:
    case = Case(
        **{
            **row["case"],
            "earlier": tuple(row["case"]["earlier"]),
            "answers": tuple(row["case"]["answers"]),
        }
    )
    marks = {name: (pair[0], pair[1]) for name, pair in row["marks"].items()}
    return Outcome(**{**row, "case": case, "marks": marks, "tools": tuple(row["tools"])})


def _mark(right: bool) -> tuple[int, int]:
    return (int(right), 1)


def _holds(source: Source, case: Case) -> bool:
    if case.page is not None:
        return source.kind == "page" and (source.title, source.page) == (case.title, case.page)
    return bool(case.sentence) and _plain(case.sentence) in _plain(source.text)


def _all_text(answer: Answer) -> str:
    return " ".join([answer.text, *(each.quote for each in answer.citations if each.supported)])


def _has_gold(case: Case, text: str) -> bool:
    written = f" {_plain(text)} "
    return any(f" {_plain(each)} " in written for each in case.answers if _plain(each))


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[^\w\s]|_", " ", text.lower()).split())
