"""`agentlab finetune`: tune a model on conversations, or train a reader or a router."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from agentlab.cli import options
from agentlab.errors import INTERRUPTED

if TYPE_CHECKING:
    from finetune.config import RunConfig
    from finetune.events import Event

Plan = TypeVar("Plan", bound="RunConfig")

EXAMPLES = """\b
Examples:
  agentlab finetune sft --recipe starter --data talks.jsonl --out adapters/mine
  agentlab finetune sft --recipe starter --data talks.jsonl --out adapters/mine --resume
  agentlab finetune sft --data talks.jsonl --model smollm2-135m --out a --set lora_rank=8
  agentlab finetune sft --data more.jsonl --model smollm2-135m --out b --set adapter=a
"""

READER_EXAMPLES = """\b
Examples:
  agentlab finetune reader --data rows.jsonl --out readers/mine
  agentlab finetune reader --data rows.jsonl --out readers/mine --resume
  agentlab finetune reader --data more.jsonl --out readers/next --set reader=readers/mine
"""

ROUTER_EXAMPLES = """\b
Rows, one a line:
  {"text": "How tall is the tower?", "label": "ask"}
  {"text": "thanks, that helped", "label": "talk"}

\b
Examples:
  agentlab finetune router --data rows.jsonl --out routers/mine
  agentlab finetune router --data rows.jsonl --eval-data others.jsonl --out routers/mine
  agentlab finetune router --data rows.jsonl --out routers/mine --set layers=3 --set epochs=4
  agentlab finetune router --data rows.jsonl --out routers/mine --resume
"""

ROUTE_EXAMPLES = """\b
Example:
  agentlab finetune routes --questions data/qa --out runs/routes.jsonl
  agentlab finetune router --data runs/routes.jsonl --out runs/router
"""

CONVERSATION_EXAMPLES = """\b
Example:
  agentlab finetune conversations --questions data/qa --out runs/starter.jsonl
"""

PASSAGE_EXAMPLES = """\b
Example:
  agentlab finetune passages --questions data/qa --out runs/passages.jsonl
  agentlab finetune reader --data runs/passages.jsonl --out runs/reader
  agentlab finetune calibrate --questions data/qa --reader runs/reader
"""

Questions = Annotated[
    Path, typer.Option("--questions", help="Folder of the question sets (SQuAD's shape, QED).")
]

Recipe = Annotated[
    str | None, typer.Option("--recipe", help="A shipped recipe's name, or a YAML file.")
]
Data = Annotated[
    list[Path] | None, typer.Option("--data", help="JSONL to learn from (may be repeated).")
]
EvalData = Annotated[
    list[Path] | None, typer.Option("--eval-data", help="Held-out JSONL (may be repeated).")
]
Base = Annotated[
    str | None, typer.Option("--model", "-m", help="Base model or folder (of a BERT but for sft).")
]
Folder = Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the result.")]
Change = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any other setting.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in --out.")]
File = Annotated[Path, typer.Option("--out", "-o", help="JSONL file to write.")]
Seed = Annotated[int, typer.Option("--seed", help="The same seed, the same rows.")]

app = typer.Typer(
    help="Tune a model, or train a reader or a router (pip install 'agentlab-rag[train]').",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def group() -> None:
    """Tune a model, or train a reader or a router (pip install 'agentlab-rag[train]')."""


@app.command(epilog=EXAMPLES)
def sft(
    *,
    recipe: Recipe = None,
    data: Data = None,
    eval_data: EvalData = None,
    model: Base = None,
    out: Folder = None,
    change: Change = None,
    resume: Resume = False,
    config: options.Config = None,
) -> None:
    """Tune a model on what the assistant writes, and save a LoRA adapter."""
    settings = options.resolve(config).settings
    from agentlab.cli.models import tell
    from finetune.config import load_config
    from serve.models import resolve

    given = {"data": data, "eval_data": eval_data, "model": model, "out": out}
    plan = load_config(recipe, given | _values(change or []))
    base = resolve(plan.model, cache=settings.models_folder, progress=tell)
    try:
        from finetune.training import train
    except ImportError as error:
        raise _not_installed(error) from error
    _draw(train(plan, base=base, resume=resume))


@app.command(epilog=READER_EXAMPLES)
def reader(
    *,
    recipe: Recipe = "reader",
    data: Data = None,
    eval_data: EvalData = None,
    model: Base = None,
    out: Folder = None,
    change: Change = None,
    resume: Resume = False,
    config: options.Config = None,
) -> None:
    """Train a reader, which finds the answer to a question in a passage or says there is none.

    A row is {"question": ..., "title": ..., "passage": ..., "answer": [start, end] or null}.
    """
    from finetune.config import load_reader_config

    given = {"data": data, "eval_data": eval_data, "model": model, "out": out}
    plan, base = _plan(load_reader_config, recipe, given | _values(change or []), config)
    try:
        from finetune.reader_training import train_reader
    except ImportError as error:
        raise _not_installed(error) from error
    _draw(train_reader(plan, base=base, resume=resume))


@app.command(epilog=ROUTER_EXAMPLES)
def router(
    *,
    recipe: Recipe = "router",
    data: Data = None,
    eval_data: EvalData = None,
    model: Base = None,
    out: Folder = None,
    change: Change = None,
    resume: Resume = False,
    config: options.Config = None,
) -> None:
    """Train a router, which tells what kind of question a text is.

    A row is {"text": ..., "label": ...}. The labels are what the rows say, two or more; all count
    alike, however few rows a label has. With --eval-data, metrics.json says how many texts of each
    label are told right.
    """
    from finetune.config import load_router_config

    given = {"data": data, "eval_data": eval_data, "model": model, "out": out}
    plan, base = _plan(load_router_config, recipe, given | _values(change or []), config)
    try:
        from finetune.router_training import train_router
    except ImportError as error:
        raise _not_installed(error) from error
    _draw(train_router(plan, base=base, resume=resume))


def _plan(
    load: Callable[[str | None, dict[str, Any]], Plan],
    recipe: str | None,
    given: dict[str, Any],
    config: Path | None,
) -> tuple[Plan, Path]:
    """Return the settings of a run on a BERT, under its whole name, and the folder of that BERT."""
    settings = options.resolve(config).settings
    from agentlab.cli.models import tell
    from serve.models import resolve

    plan = load(recipe, given)
    plan = plan.model_copy(update={"model": whole_name(plan.model)})
    return plan, resolve(plan.model, cache=settings.models_folder, progress=tell)


def whole_name(model: str) -> str:
    """Return a known model's whole name, which the written file keeps; others stay as they are."""
    from serve.models import find_known

    known = find_known(model) or find_known(f"sentence-transformers/{model}")
    return known.name if known and not Path(model).is_dir() else model


def _values(change: list[str]) -> dict[str, Any]:
    """Read the values of KEY=VALUE pairs as YAML, so that 8 is a number."""
    import yaml

    return {key: yaml.safe_load(value) for key, value in options.pairs(change).items()}


def _not_installed(error: ImportError) -> Exception:
    from agentlab.errors import EngineMissingError

    return EngineMissingError(
        f"Tuning needs packages that are not installed ({error.name}): "
        "pip install 'agentlab-rag[train]'."
    )


def _draw(events: "Iterator[Event]") -> None:
    """Draw a run and print its folder."""
    from agentlab.progress import draw_training
    from finetune.errors import StoppedError

    try:
        folder = draw_training(events)
    except StoppedError as stopped:
        # A kind of KeyboardInterrupt, of which the command line would only say that it came.
        sys.stderr.write(f"agentlab: {stopped}\n")
        raise typer.Exit(INTERRUPTED) from stopped
    sys.stdout.write(f"{folder}\n")


@app.command(epilog=PASSAGE_EXAMPLES)
def passages(
    questions: Questions,
    out: File,
    *,
    seed: Seed = 7,
    config: options.Config = None,
) -> None:
    """Write the rows that a reader is trained on: questions, passages, and where the answer is.

    Each question comes with the passage that answers it and with a near one that does not.
    """
    settings = options.resolve(config).settings
    from agentlab.cli.models import tell
    from agentlab.library import open_embedder
    from agentlab.starter.passages import write_rows

    write_rows(questions, open_embedder(settings, progress=tell), out, seed=seed, say=tell)
    sys.stdout.write(f"{out}\n")


@app.command(epilog=ROUTE_EXAMPLES)
def routes(questions: Questions, out: File, *, seed: Seed = 7) -> None:
    """Write the rows that the agent's router is trained on: what people type, and of which kind.

    `ask` is answered by a source that stays, `live` by one of today, `talk` by none.
    """
    from agentlab.starter.routes import write_routes

    write_routes(questions, out, seed=seed)
    sys.stdout.write(f"{out}\n")


@app.command(epilog=PASSAGE_EXAMPLES)
def calibrate(
    questions: Questions,
    reader: Annotated[Path, typer.Option("--reader", help="Folder of the reader.")],
    *,
    config: options.Config = None,
) -> None:
    """Fit a reader's odds on articles that it was not trained on, and measure what it is worth.

    The table compares it with reading by likeness alone, on the questions whose passage was found.
    """
    settings = options.resolve(config).settings
    from agentlab.cli.models import tell
    from agentlab.console import draw_rows, make_console
    from agentlab.library import load_reader, open_embedder
    from agentlab.starter.calibration import calibrate_reader

    opened = load_reader(reader, settings, progress=tell)
    result = calibrate_reader(reader, opened, open_embedder(settings, progress=tell), questions)
    labels = ("best passage right", "marked sentence right", "answerable or not, AUC")
    rows = [
        (label, *(str(each).removesuffix(f" of {each.of}") for each in pair))
        for label, *pair in zip(labels, result.likeness, result.reader, strict=True)
    ]
    header = (f"{result.reader.passage.of} questions", "without the reader", "with it")
    draw_rows(make_console(stderr=True), header, rows)
    fitted = result.fitted
    tell(f"fair evidence from a probability of {fitted.fair:.2f}, strong from {fitted.strong:.2f}")
    sys.stdout.write(f"{reader}\n")


@app.command(epilog=CONVERSATION_EXAMPLES)
def conversations(
    questions: Questions,
    out: File,
    *,
    reader: Annotated[
        Path | None, typer.Option("--reader", help="Folder of a reader; agentlab's own without.")
    ] = None,
    count: Annotated[int, typer.Option("--count", min=1, help="How many conversations.")] = 2400,
    seed: Seed = 7,
    config: options.Config = None,
) -> None:
    """Write the starter model's training conversations.

    Questions on articles and invented handbooks are asked of real, calibrated collections, with
    the prompts, the searches, the reader and the evidence that the agent uses at run time.
    """
    settings = options.resolve(config).settings
    from agentlab.cli.models import tell
    from agentlab.library import load_reader, reader_folder
    from agentlab.starter.build import build_examples
    from serve.models import resolve

    embedder = resolve(settings.embedder, cache=settings.models_folder, progress=tell)
    reads = load_reader(reader or reader_folder(), settings, progress=tell)
    build_examples(questions, embedder, out, reader=reads, count=count, seed=seed, say=tell)
    sys.stdout.write(f"{out}\n")
