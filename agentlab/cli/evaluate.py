"""`agentlab evaluate`: the whole agent on held-out questions, model beside model."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentlab.cli import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentlab.evaluation import Outcome
    from agentlab.progress import Bar
    from agentlab.record import Record
    from agentlab.settings import Settings
    from agentlab.starter.exam import Case, Part

EXAMPLES = """\b
Examples:
  agentlab evaluate --quick                         two questions of every kind
  agentlab evaluate --questions data/qa             the whole exam: over 300 questions
  agentlab evaluate starter smollm2-135m --quick    the tuned model beside its base
  agentlab evaluate --set passages=2 --markdown     a column more: what a setting changes
  agentlab evaluate --misses                        what went wrong, case by case
"""
# What the exam itself sets, or what names a column.
_FIXED = ("model", "home", "journal", "web", "recorded", "store", "collection", "embedder")


def evaluate(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="MODEL", help="Models to compare [starter].", show_default=False),
    ] = None,
    *,
    questions: Annotated[
        Path | None,
        typer.Option(
            "--questions", metavar="DIR", help="Folder of question sets in SQuAD's shape."
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(
            "--count", min=20, metavar="N", help="How many questions on the articles [190]."
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Ask two of every kind.")] = False,
    change: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A column with this setting changed (may be repeated).",
        ),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="FILE", help="The outcomes, a line each; a stopped run goes on."
        ),
    ] = Path("runs/evaluation.jsonl"),
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            min=1,
            max=64,
            metavar="N",
            help="Processes that answer at once [on a CPU one a core].",
            show_default=False,
        ),
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    general: Annotated[
        bool,
        typer.Option(
            "--general", help="Also the starter's loss on general text (needs --questions)."
        ),
    ] = False,
    misses: Annotated[bool, typer.Option("--misses", help="List the wrong cases.")] = False,
    config: options.Config = None,
) -> None:
    """Measure the whole agent on held-out questions.

    Each measure is printed with its 95 % interval and its aim. What was asked before is read from
    --out and not asked again, as long as the model's weights are the same; the table shows every
    column recorded there for these models and questions.
    """
    if general and questions is None:
        raise typer.BadParameter(
            "needs --questions DIR, the articles whose text it is measured on",
            param_hint="--general",
        )
    if general and json:
        raise typer.BadParameter(
            "its line stands below the table, which --json is not; ask for one of the two",
            param_hint="--general",
        )
    changes = _changes(change or [])
    plain = options.resolve(config).settings
    settings = options.resolve(config, **changes).settings
    from agentlab.cli import report
    from agentlab.console import make_console
    from agentlab.progress import Bar
    from agentlab.record import Record
    from agentlab.starter.exam import ARTICLE_CASES
    from agentlab.starter.examination import exam_parts, quick_parts

    parts = exam_parts(questions, count=count or ARTICLE_CASES)
    parts = quick_parts(parts) if quick else parts
    record = Record(out)
    names = list(dict.fromkeys(models or ["starter"]))
    with Bar(make_console(stderr=True)) as bar:
        if left_out := record.left_out():
            bar.line(f"{out}: lines of another shape, asked anew: {left_out}", "note")
        for name in names:
            _examine(
                name, changes, parts, settings, out,
                questions=questions, workers=workers, bar=bar,
            )  # fmt: skip
    columns = _columns(record, names, parts, (plain, settings))
    if json:
        sys.stdout.write(report.as_json(columns, misses=misses))
        return
    sys.stdout.write(report.as_markdown(columns) if markdown else report.as_text(columns))
    if general and questions:
        from agentlab.starter.general import forgotten

        sys.stdout.write(f"\n{forgotten(settings, questions)}\n")
    if misses:
        sys.stdout.write("\n" + report.as_misses(columns))


def _examine(
    name: str,
    changes: dict[str, str],
    parts: "list[Part]",
    settings: "Settings",
    out: Path,
    *,
    questions: Path | None,
    workers: int | None,
    bar: "Bar",
) -> None:
    """Ask one model what it was not asked before."""
    from agentlab.resolving import with_changes
    from agentlab.starter.examination import build_of, label_of
    from agentlab.starter.sitting import Sitting, sit

    own = with_changes(settings, model=name)
    _fetch(own, bar)
    label = label_of(name, changes)
    sitting = Sitting(own, tuple(parts), out, questions, label, build_of(own))
    total, left = len(sitting), len(sitting.rest())
    note, started = "reading the library", time.monotonic()
    for done in sit(sitting, workers=workers, progress=bar.line):
        if done:
            note = _left((time.monotonic() - started) / done * (left - done))
        bar.show(label, total - left + done, total, note)


def _fetch(settings: "Settings", bar: "Bar") -> None:
    """Fetch a model whose weights are nameless until they are here; the starter's never are."""
    from agentlab.model import STARTER, choose_engine, find_model, model_folder

    here = settings.model == STARTER or choose_engine(settings) == "openai"
    if not here and find_model(settings.model, settings) is None:
        model_folder(settings.model, settings, progress=bar.line)


def _columns(
    record: "Record", names: list[str], parts: "list[Part]", under: "Sequence[Settings]"
) -> "dict[str, list[Outcome]]":
    """Sort what is recorded of these models, as they are now, and of these questions.

    They are what they are `under` one of these settings, which may lead to other weights. A case
    counts once, however often two runs recorded it.
    """
    from agentlab.resolving import with_changes
    from agentlab.starter.examination import build_of

    wanted = {(part.name, case) for part in parts for case in part.cases}
    found: dict[tuple[str, str, Case], Outcome] = {}
    for name in names:
        builds = {build_of(with_changes(each, model=name)) for each in under}
        for each in record.outcomes():
            of_model = each.model == name or each.model.startswith(f"{name} ")
            if of_model and each.build in builds and (each.part, each.case) in wanted:
                found[each.model, each.part, each.case] = each
    columns: dict[str, list[Outcome]] = {}
    for each in found.values():
        columns.setdefault(each.model, []).append(each)
    return columns


def _changes(given: list[str]) -> dict[str, str]:
    """Read the settings to change; what the exam itself sets is refused."""
    changes = options.pairs(given)
    for key in _FIXED:
        if key in changes:
            raise typer.BadParameter(
                f"the exam brings its own {key}; leave {key}={changes[key]} out",
                param_hint="--set",
            )
    return changes


def _left(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes} min left" if minutes else f"{seconds:.0f} s left"
