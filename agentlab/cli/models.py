"""`agentlab models`: the models on this machine, and how to get more."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentlab.cli import options

if TYPE_CHECKING:
    from agentlab.settings import Settings

EXAMPLES = """\b
Examples:
  agentlab models list
  agentlab models pull Qwen/Qwen3-4B-Instruct-2507
  agentlab models path smollm2-135m
"""
LIST_EXAMPLES = """\b
Example:
  agentlab models list
"""
PATH_EXAMPLES = """\b
Examples:
  agentlab models path smollm2-135m
  agentlab finetune export adapters/mine --model "$(agentlab models path smollm2-135m)" --out out
"""
PULL_EXAMPLES = """\b
Examples:
  agentlab models pull
  agentlab models pull Qwen/Qwen3-4B-Instruct-2507
"""

app = typer.Typer(
    help="List, fetch and find models.",
    epilog=EXAMPLES,
    no_args_is_help=True,
    rich_markup_mode=None,
)
Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="`starter`, a known short name, a hub name or a folder."),
]


@app.command("list", epilog=LIST_EXAMPLES)
def list_models(config: options.Config = None) -> None:
    """List the models with a short name, and those already here."""
    settings = options.resolve(config).settings
    from agentlab.console import draw_rows, make_console
    from serve.models import KNOWN, cached

    here = {model.name: model for model in cached(settings.models_folder)}
    rows = [
        (known.short, known.name, known.use, "here" if known.name in here else "not yet here")
        for known in KNOWN
    ]
    names = {known.name for known in KNOWN}
    rows += [
        ("", model.name, model.origin, f"{model.size / 1e6:,.0f} MB")
        for model in here.values()
        if model.name not in names
    ]
    draw_rows(make_console(), ("short", "name", "what", "state"), rows)
    sys.stderr.write(f"cache: {settings.models_folder}\n")


@app.command(epilog=PULL_EXAMPLES)
def pull(name: Name = "starter", config: options.Config = None) -> None:
    """Fetch a model; by default the starter and its embedder."""
    settings = options.resolve(config).settings
    if name == "starter":
        fetch_embedder(settings)
    sys.stdout.write(f"{fetch(name, settings)}\n")


@app.command(epilog=PATH_EXAMPLES)
def path(name: Name = "starter", config: options.Config = None) -> None:
    """Print the folder of a model, fetching it if need be."""
    settings = options.resolve(config).settings
    sys.stdout.write(f"{fetch(name, settings)}\n")


def fetch(name: str, settings: "Settings") -> Path:
    """Return the folder of a model, telling on stderr what is done to get it."""
    from agentlab.model import model_folder

    return model_folder(name, settings, progress=tell)


def fetch_embedder(settings: "Settings") -> Path:
    """Return the folder of the embedding model, telling what is done to get it."""
    from serve.models import resolve

    return resolve(settings.embedder, cache=settings.models_folder, progress=tell)


def tell(message: str) -> None:
    """Write a remark on stderr."""
    sys.stderr.write(f"{message}\n")
