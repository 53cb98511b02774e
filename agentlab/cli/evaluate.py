"""`agentlab evaluate`: the whole agent on held-out questions, model beside model."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentlab.cli import options

if TYPE_CHECKING:
    from agentlab.evaluation import Outcome, Share

EXAMPLES = """\b
Examples:
  agentlab evaluate --quick                   the demo's handbooks, ten questions
  agentlab evaluate                           the handbooks, all forty questions
  agentlab evaluate starter smollm2-135m      the tuned model beside its base
  agentlab evaluate --questions data/qa       and articles that no training saw
"""


def evaluate(
    models: Annotated[
        list[str] | None, typer.Argument(help="Models to compare [starter].", show_default=False)
    ] = None,
    *,
    questions: Annotated[
        Path | None, typer.Option("--questions", help="Folder of question sets in SQuAD's shape.")
    ] = None,
    count: Annotated[
        int, typer.Option("--count", min=20, help="How many questions on the articles.")
    ] = 120,
    quick: Annotated[bool, typer.Option("--quick", help="Ask few questions.")] = False,
    out: Annotated[
        Path, typer.Option("--out", help="The outcomes, a line each; a stopped run goes on.")
    ] = Path("runs/evaluation.jsonl"),
    config: options.Config = None,
) -> None:
    """Ask held-out questions and print each measure with its 95 % interval.

    What was asked before is read from --out and not asked again: remove the file to start anew.
    """
    settings = options.resolve(config).settings
    from agentlab.console import make_console
    from agentlab.evaluation import Record
    from agentlab.library import open_embedder
    from agentlab.model import open_model
    from agentlab.progress import Bar
    from agentlab.settings import with_changes
    from agentlab.starter.examination import exam_parts, quick_parts, run_exam

    parts = exam_parts(questions, count=count)
    if quick:
        parts = quick_parts(parts)
    record = Record(out)
    embedder = open_embedder(settings)
    names = models or ["starter"]
    console = make_console()
    with Bar(console) as bar:
        for name in names:
            own = with_changes(settings, model=name)
            model = open_model(own)
            total = sum(len(part.cases) for part in parts)
            left = sum(
                len(record.missing(part.cases, model=name, part=part.name)) for part in parts
            )
            outcomes = run_exam(
                model, parts, settings=own, embedder=embedder, questions=questions, record=record
            )
            for done, outcome in enumerate(outcomes, start=total - left + 1):
                bar.show(name, done, total, outcome.case.question)
            model.close()
    wanted = {(part.name, case) for part in parts for case in part.cases}
    found = [each for each in record.outcomes() if (each.part, each.case) in wanted]
    sys.stdout.write(table({name: [o for o in found if o.model == name] for name in names}))


def table(outcomes: "dict[str, list[Outcome]]") -> str:
    """Write the measures as a Markdown table, a column a model."""
    from agentlab.evaluation import MEASURES, summarise

    columns: dict[str, dict[str, Share]] = {
        name: summarise(found) for name, found in outcomes.items()
    }
    lines = [f"| measure | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for key, label in MEASURES.items():
        if any(shares[key].of for shares in columns.values()):
            cells = " | ".join(str(shares[key]) for shares in columns.values())
            lines.append(f"| {label} | {cells} |")
    seconds = " | ".join(_mean([each.seconds for each in found]) for found in outcomes.values())
    tokens = " | ".join(_mean([each.tokens for each in found]) for found in outcomes.values())
    lines.append(f"| questions | {' | '.join(str(len(found)) for found in outcomes.values())} |")
    lines.append(f"| seconds a question | {seconds} |")
    lines.append(f"| tokens written a question | {tokens} |")
    return "\n".join(lines) + "\n"


def _mean(values: "list[float] | list[int]") -> str:
    return f"{sum(values) / len(values):.1f}" if values else "-"
