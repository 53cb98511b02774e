"""`agentlab search`: the passages that a query finds, without any language model."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentlab.cli import options
from agentlab.errors import ABSTAINED

if TYPE_CHECKING:
    from ingest.stores.base import Hit

EXAMPLES = """\b
Examples:
  agentlab search "hotel nights"
  agentlab search "notice period" -n 10 --json
"""


def search(
    query: Annotated[list[str], typer.Argument(help="Words to look for.")],
    *,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100, help="Passages.")] = 5,
    source: Annotated[
        list[Path] | None, typer.Option("--source", help="Only this file (may be repeated).")
    ] = None,
    page: Annotated[
        list[int] | None, typer.Option("--page", min=1, help="Only this page (may be repeated).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write the passages as JSON.")] = False,
    tenant: options.Tenant = None,
    home: options.Home = None,
    config: options.Config = None,
) -> None:
    """Show the passages of the library that match, best first, with their scores."""
    settings = options.resolve(config, home=home, weaviate_tenant=tenant).settings
    from agentlab.cli.models import tell
    from agentlab.console import draw_hits, make_console
    from agentlab.library import open_collection
    from agentlab.settings import with_changes
    from ingest.stores.base import Where

    text = " ".join(query)
    collection = open_collection(with_changes(settings, likelihood=False), progress=tell)
    try:
        where = Where(tuple(str(each) for each in source or ()), tuple(page or ()))
        hits = collection.search(text, limit=limit, where=where)
        evidence = collection.probe(text)
        empty = not hits and collection.store.count() == 0
    finally:
        collection.close()
    if as_json:
        sys.stdout.write(json.dumps([_plain(hit) for hit in hits], ensure_ascii=False) + "\n")
    else:
        draw_hits(make_console(), hits, evidence)
    if not hits:
        reason = "The library is empty: run agentlab ingest PATH first." if empty else "No match."
        sys.stderr.write(f"agentlab: {reason}\n")
        raise typer.Exit(ABSTAINED)


def _plain(hit: "Hit") -> dict[str, object]:
    chunk = hit.chunk
    return {
        "source": chunk.source,
        "title": chunk.title,
        "page": chunk.page,
        "heading": chunk.heading,
        "text": chunk.text,
        "score": hit.score,
        "cosine": hit.cosine,
        "keyword": hit.keyword,
    }
