"""What the commands that train share: their options, the model's folder, and drawing the run."""

import sys
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from agentlab.cli import options
from agentlab.errors import INTERRUPTED

if TYPE_CHECKING:
    from finetune.config import RunConfig
    from finetune.events import Event
    from finetune.rlmf_config import RlmfConfig
    from finetune.stages import Plan as StagesPlan
    from finetune.tune_config import TuneConfig

Plan = TypeVar("Plan", bound="RunConfig")
Tuned = TypeVar("Tuned", bound="TuneConfig | RlmfConfig | StagesPlan")

Recipe = Annotated[
    str | None,
    typer.Option("--recipe", metavar="NAME", help="A shipped recipe's name, or a YAML file."),
]
Data = Annotated[
    list[Path] | None,
    typer.Option(
        "--data",
        metavar="FILE",
        help="JSONL, CSV, Parquet or a folder to learn from (may be repeated).",
    ),
]
EvalData = Annotated[
    list[Path] | None,
    typer.Option("--eval-data", metavar="FILE", help="Held-out rows (may be repeated)."),
]
Base = Annotated[
    str | None,
    typer.Option("--model", "-m", metavar="NAME", help="Base model: a name or a folder."),
]
Language = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        help="Base model: a name or a folder; `starter` goes on from the starter's adapter.",
    ),
]
Folder = Annotated[
    Path | None, typer.Option("--out", "-o", metavar="DIR", help="Folder of the result.")
]
Change = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Any other setting, as a recipe has it (may be repeated); --dry-run lists them.",
    ),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Print settings, memory, time and how it is served; stop."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in --out.")]


def settings_of(load: Callable[[dict[str, Any]], Tuned], given: dict[str, Any]) -> Tuned:
    """Load settings; where they name the starter, they go on from its adapter, on its base."""
    from agentlab.model import STARTER, STARTER_BASE, starter_adapter

    plan = load(given)
    if plan.model != STARTER:
        return plan
    return load(given | {"model": STARTER_BASE, "adapter": plan.adapter or starter_adapter()})


def with_base(plan: Plan, config: Path | None) -> tuple[Plan, Path]:
    """Return the settings with the model's whole name, and the folder of that model."""
    plan = plan.model_copy(update={"model": whole_name(plan.model)})
    return plan, folder_of(plan.model, config)


def folder_of(model: str, config: Path | None) -> Path:
    """Return the folder of a model, which is fetched where it is not yet here."""
    settings = options.resolve(config).settings
    from agentlab.cli.models import tell
    from serve.models import resolve

    return resolve(whole_name(model), cache=settings.models_folder, progress=tell)


def found(model: str, config: Path | None) -> Path | None:
    """Return the folder of a model where it lies already; nothing is fetched."""
    settings = options.resolve(config).settings
    from serve.models import find

    return Path(model) if Path(model).is_dir() else find(model, settings.models_folder)


def with_encoder(plan: Plan, config: Path | None) -> Plan:
    """Return the settings with the folder of the encoder, where the method has one."""
    encoder = getattr(plan, "encoder", None)
    if encoder is None:
        return plan
    settings = options.resolve(config).settings
    from agentlab.cli.models import tell
    from serve.models import resolve

    folder = resolve(whole_name(encoder), cache=settings.models_folder, progress=tell)
    return plan.model_copy(update={"encoder": str(folder)})


def template_for(model: str) -> Path | None:
    """Return agentlab's own template for a model whose own shows no tools and marks no assistant.

    It is what the agent itself writes by; other models keep theirs.
    """
    if "smollm2" not in model.casefold():
        return None
    return Path(str(resources.files("agentlab") / "chat_template.jinja"))


def with_template(plan: Plan) -> Plan:
    """Return the settings with that template, where they name none and the method takes one."""
    named = getattr(plan, "chat_template", "none taken")
    if named is not None or getattr(plan, "method", "") == "cpt":
        return plan
    return plan.model_copy(update={"chat_template": template_for(plan.model)})


def whole_name(model: str) -> str:
    """Return a known model's whole name, which the written file keeps; others stay as they are."""
    from serve.models import find_known

    known = find_known(model) or find_known(f"sentence-transformers/{model}")
    return known.name if known and not Path(model).is_dir() else model


def values(change: list[str] | None) -> dict[str, Any]:
    """Read the values of KEY=VALUE pairs as YAML, so that 8 is a number."""
    import yaml

    return {key: yaml.safe_load(value) for key, value in options.pairs(change or []).items()}


def not_installed(error: ImportError) -> Exception:
    """Say which extra brings the packages that train."""
    from agentlab.errors import EngineMissingError

    return EngineMissingError(
        f"Tuning needs packages that are not installed ({error.name}): "
        "pip install 'agentlab-rag[train]'."
    )


def draw(events: "Iterator[Event]") -> Path:
    """Draw a run and return its folder; leave with 130 where the person stopped it."""
    from agentlab.progress import draw_training
    from finetune.errors import StoppedError

    try:
        return draw_training(events)
    except StoppedError as stopped:
        # A kind of KeyboardInterrupt, of which the command line would only say that it came.
        sys.stderr.write(f"agentlab: {stopped}\n")
        raise typer.Exit(INTERRUPTED) from stopped
