"""`agentlab finetune`, its second half: the rows that make another starter, and its calibration."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from agentlab.cli import options

ROUTE_EXAMPLES = """\b
Example:
  agentlab finetune routes --questions data/qa --out runs/routes.jsonl
  agentlab finetune router --data runs/routes.jsonl --out runs/router
"""

INTENT_EXAMPLES = """\b
Example:
  agentlab finetune intents --out runs/intents.jsonl
  agentlab finetune router --recipe intents --data runs/intents.jsonl --out runs/intents
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
\b
Again, on what misleads that reader:
  agentlab finetune passages --questions data/qa --reader runs/reader --out runs/hard.jsonl
  agentlab finetune reader --data runs/hard.jsonl --set reader=runs/reader --set blend=0.75 \\
    --out runs/next
"""

Questions = Annotated[
    Path,
    typer.Option(
        "--questions", metavar="DIR", help="Folder of the question sets (SQuAD's shape, QED)."
    ),
]

File = Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="JSONL file to write.")]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="The same seed, the same rows.")]


def passages(
    questions: Questions,
    out: File,
    *,
    reader: Annotated[
        Path | None,
        typer.Option(
            "--reader",
            metavar="DIR",
            help="Folder of a reader: write rows for its next sitting, on what misleads it.",
        ),
    ] = None,
    count: Annotated[
        int,
        typer.Option("--count", min=1, metavar="N", help="Questions that --reader is tried with."),
    ] = 3600,
    seed: Seed = 7,
    config: options.Config = None,
) -> None:
    """Write the rows that a reader is trained on.

    They are questions, passages, and where the answer is. Each question comes with the passage that
    answers it and with a near one that does not. The same command goes on with what a killed one
    had read with --reader.
    """
    settings = options.resolve(config).settings
    from agentlab.cli.models import tell
    from agentlab.console import make_console
    from agentlab.library import load_reader, open_embedder
    from agentlab.progress import Bar
    from agentlab.starter.passages import write_rows

    embedder = open_embedder(settings, progress=tell)
    opened = load_reader(reader, settings, progress=tell) if reader else None
    with Bar(make_console(stderr=True)) as bar:
        write_rows(
            questions,
            embedder,
            out,
            reader=opened,
            count=count,
            about=_version(reader) if reader else "",
            seed=seed,
            say=bar.line,
            show=lambda done, total: bar.show("reading", done, total),
        )
    sys.stdout.write(f"{out}\n")


def _version(reader: Path) -> str:
    """Name a reader by its weights and its calibration, which may be replaced in its folder."""
    from finetune.reader_export import SETTINGS, WEIGHTS
    from finetune.run_folder import sha256

    return " ".join(sha256(reader / name) for name in (WEIGHTS, SETTINGS))


def routes(questions: Questions, out: File, *, seed: Seed = 7) -> None:
    """Write the rows that the agent's router is trained on.

    They are what people type, and of which kind: `ask` is answered by a source that stays, `live`
    by one of today, `talk` by none.
    """
    from agentlab.starter.routes import write_routes

    write_routes(questions, out, seed=seed)
    sys.stdout.write(f"{out}\n")


def intents(out: File, *, seed: Seed = 7) -> None:
    """Write the rows that tell the intents of small talk apart.

    The agent's second router is trained on them. It looks at what the first one takes for talk: at
    thanks and greetings, and at questions about the library itself.
    """
    from agentlab.starter.routes import write_intents

    write_intents(out, seed=seed)
    sys.stdout.write(f"{out}\n")


def calibrate(
    questions: Questions,
    reader: Annotated[Path, typer.Option("--reader", metavar="DIR", help="Folder of the reader.")],
    *,
    config: options.Config = None,
) -> None:
    """Fit a reader's odds, and measure what it is worth.

    Both are done on articles that it was not trained on. The table compares it with reading by
    likeness alone, on the questions whose passage was found.
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


def conversations(
    questions: Questions,
    out: File,
    *,
    reader: Annotated[
        Path | None,
        typer.Option("--reader", metavar="DIR", help="Folder of a reader; agentlab's own without."),
    ] = None,
    count: Annotated[
        int, typer.Option("--count", min=1, metavar="N", help="How many conversations.")
    ] = 2400,
    seed: Seed = 7,
    config: options.Config = None,
) -> None:
    """Write the starter model's training conversations.

    Questions on articles and invented handbooks are asked of real, calibrated collections, with
    the prompts, the searches, the reader and the evidence that the agent uses at run time. The same
    command goes on with what a killed one had written.
    """
    settings = options.resolve(config).settings
    from agentlab.cli.models import tell
    from agentlab.console import make_console
    from agentlab.library import load_reader, reader_folder
    from agentlab.progress import Bar
    from agentlab.starter.build import build_examples
    from serve.models import resolve

    embedder = resolve(settings.embedder, cache=settings.models_folder, progress=tell)
    folder = reader or reader_folder()
    opened = load_reader(folder, settings, progress=tell)
    with Bar(make_console(stderr=True)) as bar:
        build_examples(
            questions,
            embedder,
            out,
            reader=opened,
            count=count,
            about=_version(folder),
            seed=seed,
            say=bar.line,
            show=lambda done, total: bar.show("writing", done, total),
        )
    sys.stdout.write(f"{out}\n")
