"""Report: what an evaluation found, as text, as Markdown for a README, or as JSON."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from agentlab.console import clean
from agentlab.evaluation import Outcome
from agentlab.measures import MEASURES, summarise

Columns = Mapping[str, Sequence[Outcome]]


def rows(columns: Columns) -> list[list[str]]:
    """Lay out the measured rows: measure, aim, and a cell for each column of outcomes."""
    found = {name: summarise(outcomes) for name, outcomes in columns.items()}
    laid = [["measure", "aim", *columns]]
    for measure in MEASURES:
        cells = [each[measure.name] for each in found.values()]
        if any(cell.measured for cell in cells):
            laid.append([measure.label, measure.aim, *map(str, cells)])
    return [*laid, ["questions", "", *(str(len(each)) for each in columns.values())]]


def as_markdown(columns: Columns) -> str:
    """Write the table as Markdown."""
    head, *body = (f"| {' | '.join(row)} |" for row in rows(columns))
    return "\n".join([head, f"|{'---|' * (2 + len(columns))}", *body]) + "\n"


def as_text(columns: Columns) -> str:
    """Write the table in aligned columns."""
    laid = rows(columns)
    widths = [max(len(row[index]) for row in laid) for index in range(2 + len(columns))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in laid
    )
    return "\n".join(lines) + "\n"


def as_json(columns: Columns, *, misses: bool = False) -> str:
    """Write every measure with its interval, and with `misses` every wrong case."""
    value = {
        name: {
            "questions": len(outcomes),
            "measures": {
                measure.name: {
                    "label": measure.label,
                    "aim": measure.aim,
                    **measure.estimate(outcomes).to_dict(),
                }
                for measure in MEASURES
            },
            **({"misses": [asdict(each) for each in wrong(outcomes)]} if misses else {}),
        }
        for name, outcomes in columns.items()
    }
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def as_misses(columns: Columns) -> str:
    """List the wrong cases by what went wrong, each with its searches and the full answer."""
    return "\n".join(_misses(name, wrong(outcomes)) for name, outcomes in columns.items())


def wrong(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Give the outcomes with a cause, the commonest cause first."""
    counts = Counter(each.cause for each in outcomes if each.cause)
    return [each for cause, _ in counts.most_common() for each in outcomes if each.cause == cause]


def _misses(name: str, outcomes: Sequence[Outcome]) -> str:
    counts = Counter(f"{each.case.kind}: {each.cause}" for each in outcomes)
    head = [f"{name}: {len(outcomes)} with something wrong"]
    head += [f"  {count:3}  {what}" for what, count in counts.most_common()]
    return "\n".join([*head, "", *map(_miss, outcomes)])


def _miss(outcome: Outcome) -> str:
    case = outcome.case
    failed = [name for name, (right, of) in outcome.marks.items() if right < of]
    lines = [f"[{outcome.cause}] {case.kind}, {outcome.part}: {case.question}"]
    lines += [f"  before  {question} -> {answer}" for question, answer in case.earlier]
    lines += [f"  means   {case.full}"] if case.full else []
    lines += [f"  gold    {' / '.join(case.answers)}: {case.sentence}"] if case.sentence else []
    lines += [f"  where   {case.title}, p. {case.page}"] if case.page else []
    lines += [f"  failed  {', '.join(name for name in failed if name != 'falsely')}"]
    lines += [f"  score   {outcome.score:.3f}"] if outcome.score is not None else []
    for step in outcome.steps:
        lines += [f"  {step.tool}({step.query})", *_indented(step.observation)]
    lines += ["  answer", *_indented(outcome.raw)]
    return clean("\n".join(lines)) + "\n"


def _indented(text: str) -> list[str]:
    return [f"    {line}" for line in text.splitlines()]
