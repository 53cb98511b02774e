"""`agentlab ingest`: read files into the library."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentlab.cli import options

if TYPE_CHECKING:
    from agentlab.settings import Settings

EXAMPLES = """\b
Examples:
  agentlab ingest ~/Documents/handbooks
  agentlab ingest travel.pdf safety.docx notes.md
"""


def ingest(
    paths: Annotated[
        list[Path], typer.Argument(help="Files (.pdf .docx .md .html .txt), or folders.")
    ],
    *,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the report.")] = False,
    home: options.Home = None,
    config: options.Config = None,
) -> None:
    """Read documents into the library: pages, passages, vectors. Doing it twice changes nothing.

    A file that cannot be read is named with its reason and what to do; the rest goes on. The exit
    code is 0 if every file is in the library, 1 if one was left out.
    """
    settings = options.resolve(config, home=home).settings
    raise typer.Exit(read_into_library(settings, paths, quiet=quiet))


def read_into_library(settings: "Settings", paths: Sequence[Path], *, quiet: bool = False) -> int:
    """Ingest with a progress bar and a report; return the report's exit code."""
    from agentlab.cli.models import tell
    from agentlab.library import open_collection
    from agentlab.progress import draw_ingest
    from ingest.config import IngestConfig
    from ingest.pipeline import find_files
    from ingest.pipeline import ingest as read

    find_files(paths)  # a wrong path should be told before the embedder is loaded
    collection = open_collection(settings, progress=tell)
    try:
        events = read(paths, collection=collection, config=IngestConfig())
        return draw_ingest(events, quiet=quiet)
    finally:
        collection.close()
