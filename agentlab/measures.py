"""Measures: the rows of the evaluation's table, each with its aim."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agentlab import estimates
from agentlab.estimates import Estimate
from agentlab.evaluation import Outcome

Outcomes = Sequence[Outcome]


@dataclass(frozen=True)
class Measure:
    """A row of the table: its name, what it is called, its aim, and how it is estimated."""

    name: str
    label: str
    aim: str
    estimate: Callable[[Outcomes], Estimate]


def _share(name: str, label: str, aim: str = "") -> Measure:
    def estimate(outcomes: Outcomes) -> Estimate:
        marks = [each.marks[name] for each in outcomes if name in each.marks]
        return estimates.share(sum(right for right, _ in marks), sum(of for _, of in marks))

    return Measure(name, label, aim, estimate)


def _pairs(outcomes: Outcomes, name: str, own: str) -> list[estimates.Pair]:
    """Pair whether the agent got the passage with whether the question itself finds it."""
    marks = [each.marks for each in outcomes if name in each.marks]
    return [(bool(each[name][0]), bool(each[own][0])) for each in marks]


def _ratio(name: str, label: str, aim: str = "") -> Measure:
    def estimate(outcomes: Outcomes) -> Estimate:
        return estimates.paired_ratio(_pairs(outcomes, name, "follow_own"))

    return Measure(f"{name}_ratio", label, aim, estimate)


_TURNED_AWAY = 0.1


def _scores(outcomes: Outcomes, kind: str) -> list[float]:
    return [each.score for each in outcomes if each.case.kind == kind and each.score is not None]


def _near_miss_area(outcomes: Outcomes) -> Estimate:
    return estimates.area(_scores(outcomes, "near_miss"), _scores(outcomes, "documents"))


def _near_miss_told(outcomes: Outcomes) -> Estimate:
    """Count the near misses below the score under which a tenth of the answerable lie."""
    answerable = sorted(_scores(outcomes, "documents"))
    near = _scores(outcomes, "near_miss")
    if not answerable:
        return estimates.share(0, 0)
    bar = answerable[int(_TURNED_AWAY * len(answerable))]
    return estimates.share(sum(score < bar for score in near), len(near))


MEASURES = (
    _share("valid", "valid tool calls", ">= 99.5 %"),
    _share("route_documents", "first route right: in the library", ">= 97 %"),
    _share("route_follow_up", "first route right: follow-up in the library"),
    _share("route_outside", "first route right: outside", ">= 97 %"),
    _share("route_live", "first route right: live, covered subject", ">= 95 %"),
    _share("route_talk", "first route right: small talk", ">= 95 %"),
    _share("query_found", "the query finds the passage (hit@3)"),
    _share("query_own", "the question itself finds it (hit@3)"),
    Measure(
        "query_points", "query less question, in points", ">= -1",
        lambda outcomes: estimates.paired_points(_pairs(outcomes, "query_found", "query_own")),
    ),
    _share("query_shown", "the first search shows the passage"),
    _share("follow_found", "follow-up: the query finds the passage (hit@3)"),
    _share("follow_own", "follow-up: the stand-alone question finds it (hit@3)"),
    _ratio("follow_found", "follow-up: the query's rate of the stand-alone's", ">= 85 %"),
    _share("follow_shown", "follow-up: the first search shows the passage"),
    _ratio("follow_shown", "follow-up: the search's rate of the stand-alone's"),
    _share("verbatim", "quotes verbatim in their passage", ">= 99 %"),
    _share("gold_shown", "passage retrieved: quote or answer holds the gold span", ">= 88 %"),
    _share("gold", "over all: quote or answer holds it"),
    _share("short_shown", "passage retrieved: short answer alone holds it", ">= 70 %"),
    _share("short", "over all: short answer alone holds it"),
    _share("cited_shown", "passage retrieved: cited passage right", ">= 95 %"),
    _share("cited_first_shown", "passage retrieved: the first cited passage right"),
    _share("cited", "over all: cited passage right"),
    _share("second", "of answers with a quote: a second one beside it"),
    _share("web_gold_shown", "web result retrieved: quote or answer holds the gold span"),
    _share("web_gold", "web, over all: quote or answer holds it"),
    _share("nowhere", "nothing relevant anywhere: says so", ">= 95 %"),
    _share("falsely", "abstains although the answer was retrieved", "<= 3 %"),
    _share("near_web", "near miss: goes on to the web"),
    _share("near_miss", "near miss: goes on to the web, then abstains", ">= 70 %"),
    Measure(
        "near_area", "answerable against near miss, AUC of the reader's score", ">= .90",
        _near_miss_area,
    ),
    Measure(
        "near_told", "near miss: told by that score at 10 % of the answerable turned away",
        ">= 70 %", _near_miss_told,
    ),
    Measure(
        "tokens", "tokens written a question, mean", "",
        lambda outcomes: estimates.average([each.tokens for each in outcomes]),
    ),
    Measure(
        "tokens_median", "tokens written a question, median", "",
        lambda outcomes: estimates.middle([each.tokens for each in outcomes]),
    ),
    Measure(
        "seconds", "seconds a question, mean", "",
        lambda outcomes: estimates.average([each.seconds for each in outcomes]),
    ),
    Measure(
        "seconds_median", "seconds a question, median", "",
        lambda outcomes: estimates.middle([each.seconds for each in outcomes]),
    ),
)  # fmt: skip


def summarise(outcomes: Outcomes) -> dict[str, Estimate]:
    """Estimate every measure."""
    return {measure.name: measure.estimate(outcomes) for measure in MEASURES}
