"""Options: the flags that several commands share, and how they become settings."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from agentlab import choices

if TYPE_CHECKING:
    from agentlab.resolving import Resolved

Config = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Settings file [./agentlab.toml].")
]
Home = Annotated[
    Path | None,
    typer.Option("--home", metavar="DIR", help="Folder of the index, journal and conversations."),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model", "-m", metavar="NAME", help="Language model: `starter`, a name or a folder."
    ),
]
Engine = Annotated[
    choices.Engine | None,
    typer.Option(
        "--engine",
        help="What runs the model: this process (transformers), vLLM, or any OpenAI-compatible "
        "endpoint (openai).",
    ),
]
BaseUrl = Annotated[
    str | None,
    typer.Option("--base-url", metavar="URL", help="Address of an OpenAI-compatible endpoint."),
]
Web = Annotated[
    choices.Web | None,
    typer.Option(
        "--web", help="What searches the web; auto takes the first that has a key, else ddgs."
    ),
]
Recorded = Annotated[
    Path | None,
    typer.Option("--recorded", metavar="FILE", help="Recorded web results, for --web recorded."),
]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", metavar="SECONDS", help="Wall-clock budget of one question."),
]
Thread = Annotated[
    str | None, typer.Option("--thread", metavar="ID", help="Go on with this conversation.")
]
Continue = Annotated[
    bool, typer.Option("--continue", "-c", help="Go on with the latest conversation.")
]
Password = Annotated[
    list[str],
    typer.Option("--password", metavar="WORD", help="Try this on locked PDFs (may be repeated)."),
]
OcrMode = Annotated[
    Literal["auto", "always", "never"],
    typer.Option("--ocr", help="Read PDF pages with tesseract: those without text, all, or none."),
]
OcrLanguages = Annotated[
    str, typer.Option("--ocr-languages", metavar="NAMES", help="Of scans, such as eng+deu.")
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, metavar="N", help="Files read at a time [cores, at most 4]."),
]
FileTimeout = Annotated[
    float, typer.Option("--timeout", min=0.1, metavar="SECONDS", help="Time that a file may take.")
]
Memory = Annotated[
    int, typer.Option("--memory", min=256, metavar="MB", help="Memory that a file may take.")
]
Tenant = Annotated[
    str | None, typer.Option("--tenant", metavar="NAME", help="Tenant of a shared Weaviate.")
]
Fast = Annotated[bool, typer.Option("--fast", help="Leave out what loads the model.")]


def resolve(config: Path | None, **overrides: Any) -> "Resolved":
    """Resolve the settings; a flag that was not given is None and sets nothing."""
    from agentlab.resolving import load_settings

    return load_settings(overrides, file=config)


def pairs(given: list[str]) -> dict[str, str]:
    """Split the KEY=VALUE pairs of --set; whoever uses them checks keys and values."""
    split = {}
    for each in given:
        key, equals, value = each.partition("=")
        if not equals:
            raise typer.BadParameter(f"{each!r} has no value: write KEY=VALUE", param_hint="--set")
        split[key.strip()] = value
    return split
