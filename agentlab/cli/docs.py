"""`agentlab docs`: the documents of the library, one by one."""

import json
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentlab.cli import options

if TYPE_CHECKING:
    from agentlab.settings import Settings
    from ingest.catalog import Entry

EXAMPLES = """\b
Examples:
  agentlab docs list
  agentlab docs show "Travel Handbook"
  agentlab docs rm ~/Documents/handbooks/travel.pdf
"""
LIST_EXAMPLES = """\b
Examples:
  agentlab docs list
  agentlab docs list --json | jq '.[].title'
"""
SHOW_EXAMPLES = """\b
Examples:
  agentlab docs show "Travel Handbook"
  agentlab docs show travel.pdf --json
"""
RM_EXAMPLES = """\b
Examples:
  agentlab docs rm "Travel Handbook"
  agentlab docs rm ~/Documents/handbooks/travel.pdf
"""
MANY_HEADINGS = 40
TITLE_WIDTH = 36

app = typer.Typer(
    help="List, show and remove the documents of the library.",
    epilog=EXAMPLES,
    no_args_is_help=True,
    rich_markup_mode=None,
)
Name = Annotated[
    str, typer.Argument(metavar="NAME", help="Path, title, file name, or the start of its id.")
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON.")]


@app.command("list", epilog=LIST_EXAMPLES)
def list_all(
    *,
    as_json: Json = False,
    tenant: options.Tenant = None,
    home: options.Home = None,
    config: options.Config = None,
) -> None:
    """List all documents, and the files that failed."""
    entries = _entries(options.resolve(config, home=home, weaviate_tenant=tenant).settings)
    if as_json:
        _write([entry.to_dict() for entry in entries])
        return
    if not entries:
        sys.stderr.write("agentlab: The library is empty: run agentlab ingest PATH first.\n")
        return
    head = ("id", "title", "kind", "pages", "passages", "when", "state", "path")
    sys.stdout.write(_aligned([head, *(_row(entry) for entry in entries)]))


@app.command(epilog=SHOW_EXAMPLES)
def show(
    name: Name,
    *,
    as_json: Json = False,
    tenant: options.Tenant = None,
    home: options.Home = None,
    config: options.Config = None,
) -> None:
    """Show one document: what is known of it, and its headings.

    Of a file that failed, it says why.
    """
    settings = options.resolve(config, home=home, weaviate_tenant=tenant).settings
    from agentlab.library import store_config
    from ingest.catalog import find_document, list_documents
    from ingest.profiles import Profiles
    from ingest.stores import open_store

    store = open_store(store_config(settings))
    try:
        entry = find_document(list_documents(store), name)
        places = sorted(
            (chunk.page, chunk.start, chunk.heading, chunk.page_label)
            for chunk, _ in (store.rows(entry.record.source) if entry.chunks else ())
        )
        facts = Profiles.of(store).facts_of(entry.record.source)
    finally:
        store.close()
    first: dict[str, tuple[int, str]] = {}
    for page, _, heading, label in places:
        first.setdefault(heading, (page, label))
    headings = [(heading, *page) for heading, page in first.items() if heading]
    if as_json:
        listed = [
            {"heading": heading, "page": page, "page_label": label}
            for heading, page, label in headings
        ]
        _write({**entry.to_dict(), "headings": listed, "metadata": facts})
    else:
        _draw(entry, headings, facts)


@app.command(epilog=RM_EXAMPLES)
def rm(
    name: Name,
    *,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Stop where another process changes the library.")
    ] = False,
    tenant: options.Tenant = None,
    home: options.Home = None,
    config: options.Config = None,
) -> None:
    """Remove a document from the library. Its file stays, and a later ingest brings it back."""
    settings = options.resolve(config, home=home, weaviate_tenant=tenant).settings
    from agentlab.cli.ingest import open_library
    from ingest.catalog import find_document, list_documents, remove_document

    entry = find_document(_entries(settings), name)  # before the embedder is loaded
    collection = open_library(settings, as_made=True)
    try:
        entries = list_documents(collection.store)
        entry = find_document(entries, entry.record.path)
        twins = [e.record.path for e in entries if e.record.same_as == entry.record.source]
        for waiting in remove_document(entry, collection=collection, wait=not no_wait):
            sys.stderr.write(f"waiting for {waiting.holder}, which changes the library\n")
    finally:
        collection.close()
    sys.stdout.write(f"removed {entry.title}: {entry.chunks:,} passages\n")
    if Path(entry.record.path).exists():
        sys.stderr.write(
            f"{entry.record.path} is still there: ingesting it or its folder again brings it back\n"
        )
    for twin in twins:
        sys.stderr.write(
            f"{twin} holds the same, and is not searched either: ingesting it brings it back\n"
        )


def _entries(settings: "Settings") -> "list[Entry]":
    from agentlab.library import store_config
    from ingest.catalog import list_documents
    from ingest.stores import open_store

    store = open_store(store_config(settings))
    try:
        return list_documents(store)
    finally:
        store.close()


def _row(entry: "Entry") -> tuple[str, ...]:
    return (
        entry.id[:8],
        _cut(" ".join(entry.title.split())),
        entry.kind,
        f"{entry.pages:,}",
        f"{entry.chunks:,}",
        _when(entry.record.at),
        _state(entry),
        entry.record.path,
    )


def _cut(title: str) -> str:
    return title if len(title) <= TITLE_WIDTH else f"{title[: TITLE_WIDTH - 3].rstrip()}..."


def _state(entry: "Entry") -> str:
    state, reason = entry.record.state, entry.record.reason
    if state in {"failed", "quarantined"}:
        return f"failed ({reason}){', older version kept' if entry.chunks else ''}"
    return "ok" if state == "verified" else state


def _when(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M") if at else "-"


def _draw(
    entry: "Entry", headings: list[tuple[str, int, str]], metadata: Mapping[str, str]
) -> None:
    from agentlab.console import clean
    from ingest.documents import place

    record = entry.record
    facts = {
        "title": entry.title,
        "path": record.path,
        "cited as": record.source if record.source != record.path else "",
        "id": entry.id,
        "kind": entry.kind,
        "pages" if entry.kind == "pdf" else "parts": f"{entry.pages:,}",
        "passages": f"{entry.chunks:,}",
        "state": _state(entry),
        "same as": record.same_as,
        "when": _when(record.at),
        "version": f"{record.generation}",
        "pipeline": record.pipeline,
        "why": f"{record.detail}; {record.remedy}" if record.detail else "",
        "tried": f"{record.attempts} times" if record.attempts else "",
    }
    lines = [f"{name:<9} {value}" for name, value in facts.items() if value]
    told = {key: value for key, value in metadata.items() if key != "title"}
    lines += [f"{'metadata':<9} {key}={value}" for key, value in told.items()]
    if headings:
        more = len(headings) - MANY_HEADINGS
        shown = headings[:MANY_HEADINGS]
        places = [place(record.path, page, label) for _, page, label in shown]
        width = max(9, *map(len, places))
        lines += [
            "",
            *(f"{at:>{width}}  {each[0]}" for at, each in zip(places, shown, strict=True)),
        ]
        lines += [f"{'':>{width}}  and {more} more"] if more > 0 else []
    sys.stdout.write("".join(f"{clean(line)}\n" for line in lines))


def _aligned(rows: list[tuple[str, ...]]) -> str:
    """Align all columns but the last, which may be as long as it is."""
    from agentlab.console import clean

    rows = [tuple(map(clean, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)]
        lines.append("  ".join([*cells, row[-1]]).rstrip() + "\n")
    return "".join(lines)


def _write(value: object) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
