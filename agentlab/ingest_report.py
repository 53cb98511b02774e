"""The report of an ingest, and its plan, drawn for people."""

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from agentlab.console import clean, make_console, print_line
from ingest import pipeline
from ingest.amounts import count
from ingest.plan import Plan
from ingest.tuning import EVEN, LEAST_QUESTIONS, Tuning

SHOWN = 10


def draw_report(report: pipeline.Report) -> None:
    """Draw the counts on stdout, and what was left out where errors go."""
    console, errors = make_console(), make_console(stderr=True)
    said = "; ".join(_counts(report)) or "nothing to do"
    console.print(Text(f"{said} ({_seconds(report.seconds)})"), soft_wrap=True)
    holds = f"{count(report.total_documents, 'document')}, "
    holds += count(report.total_chunks, "passage")
    console.print(Text(f"the library holds {holds}"))
    if report.tuning and report.tuning.questions >= LEAST_QUESTIONS:
        print_line(console, Text(_tuned(report.tuning)))
    for remark in report.remarks:
        _line(errors, f"note: {remark.source}: {remark.detail}", "note")
    for each in report.skipped:
        said = f"{each.source} ({each.reason}): {each.detail}; {each.remedy}"
        _line(errors, f"left out: {said}", "bad")
    if report.still_failing:
        named = [f"{each.source} ({each.reason})" for each in report.still_failing]
        _line(errors, f"still failing, not tried again: {_some(named)}", "note")
        _line(errors, "  --retry-failed tries again; agentlab docs show NAME tells why", "note")


def draw_plan(plan: Plan) -> None:
    """Draw what an ingest would do: what changes by name, the rest as counts."""
    console = make_console()
    lines = list(_plan_lines(plan))
    for line in lines:
        _line(console, line)
    same = [
        f"{len(plan.of('unchanged'))} unchanged",
        *([count(len(found), "duplicate")] if (found := plan.of("duplicate")) else []),
        *([f"{len(found)} still failing"] if (found := plan.of("quarantined")) else []),
    ]
    _line(
        console, f"{count(len(lines), 'file')} to deal with; {'; '.join(same)}; nothing was changed"
    )
    if plan.held_back:
        _line(make_console(stderr=True), f"note: {plan.held_back}", "note")


def _counts(report: pipeline.Report) -> Iterator[str]:
    if report.documents:
        amounts = ((report.pages, "page"), (report.parts, "part"), (report.chunks, "passage"))
        amounts_said = ", ".join(count(number, noun) for number, noun in amounts if number)
        yield f"read {count(report.documents, 'document')}: {amounts_said}"
    if report.moved:
        yield f"{len(report.moved)} moved"
    if report.removed:
        yield f"{len(report.removed)} removed"
    if report.unchanged:
        yield f"{report.unchanged:,} unchanged"
    if report.duplicates:
        yield count(len(report.duplicates), "duplicate")
    if report.skipped:
        yield f"{len(report.skipped)} left out"
    if report.still_failing:
        yield f"{len(report.still_failing)} still failing"


def _tuned(tuning: Tuning) -> str:
    if tuning.alpha == EVEN:
        return (
            f"search weighs meaning and words alike: on {tuning.questions} questions made from "
            "this library no other weight is clearly better (mean reciprocal rank "
            f"{tuning.even:.2f})"
        )
    return (
        f"search is tuned to this library: {tuning.alpha:.2g} meaning + {1 - tuning.alpha:.2g} "
        f"words (mean reciprocal rank of {tuning.questions} questions made from it: "
        f"{tuning.tuned:.2f}, with equal weights {tuning.even:.2f})"
    )


def _plan_lines(plan: Plan) -> Iterator[str]:
    for step in plan.steps:
        if step.before:
            yield f"moved    {step.before.source} -> {step.source}"
        elif step.reads:
            yield f"{step.kind:<8} {step.source}"
        elif step.error:
            yield f"left out {step.source}: {step.error.detail}"
    for left_out in plan.left_out:
        yield f"left out {left_out.source}: {left_out.detail}"
    for record in plan.removals:
        yield f"remove   {record.source}"


def _some(names: list[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


def _line(console: Console, text: str, style: str = "") -> None:
    # The terminal breaks these, not we: names and commands can then be copied whole.
    console.print(Text(clean(text), style=style), soft_wrap=True)
