"""`agentlab search`: the passages that a query finds and why, without any language model."""

import json
import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from agentlab import choices
from agentlab.cli import options
from agentlab.errors import ABSTAINED, USAGE

if TYPE_CHECKING:
    from ingest.evidence import Evidence
    from ingest.stores.base import Hit, Store, Where

EXAMPLES = """\b
Examples:
  agentlab search "hotel nights"
  agentlab search "notice period" -n 10 --json
  agentlab search "hotel nights" --source "Travel Handbook" --page 3 --page iv
  agentlab search "hotel nights" --kind pdf --mmr 0.7
  agentlab search "hotel nights" --since 2023 --meta author=Weber
  agentlab search "capital expenditure of Acme in 2018" --two-step always
  agentlab search "hotel nights" --rerank late --parents page --full

\b
What you see:
  score    what decides: alpha x meaning + (1 - alpha) x words, each scaled to
           0..1 within this search; 1.00 is best in both
  cosine   the likeness in meaning of passage and query, at most 1
  BM25     the weight of the query's words in the passage, 0 where none was found
  holds    the query's words in the passage or its heading, whatever their ending
  its document  why the passage's document is preferred, in a search of two steps

\b
Dates and metadata are those of the documents: from the file's own metadata
(PDF, Word, a Markdown file's front matter), its name, its title and its first
lines. `agentlab docs show NAME` lists them. The values of --meta fit whatever
the case, and one word of a list or a sentence is enough.
"""
_ORIGINS = {
    "setting": ", as the setting alpha says",
    "tuned": ", tuned to this library",
    "default": "",
}
_MOST_DIGITS = 9
"""What is longer counts no pages, and does not fit the 32 bits that a page's number has."""


class Kind(StrEnum):
    """The kinds of files, as options name them."""

    PDF = "pdf"
    MARKDOWN = "markdown"
    HTML = "html"
    TEXT = "text"
    DOCX = "docx"


def search(
    query: Annotated[list[str], typer.Argument(metavar="WORDS", help="Words to look for.")],
    *,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=100, metavar="N", help="How many passages.")
    ] = 5,
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--source",
            metavar="NAME",
            help="Only this document: path, title, file name or start of id (may be repeated).",
        ),
    ] = None,
    page: Annotated[
        list[str] | None,
        typer.Option(
            "--page",
            metavar="PAGE",
            help="Only this page of the file: 6; or label: iv (may be repeated).",
        ),
    ] = None,
    kind: Annotated[
        list[Kind] | None,
        typer.Option(
            "--kind",
            metavar=f"<{'|'.join(Kind)}>",
            help="Only files of this kind (may be repeated).",
        ),
    ] = None,
    date: Annotated[
        str | None,
        typer.Option("--date", metavar="DATE", help="Only documents of a day, month or year."),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="DATE", help="Only documents from then on.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="DATE", help="Only documents up to then.")
    ] = None,
    meta: Annotated[
        list[str] | None,
        typer.Option(
            "--meta",
            metavar="KEY=VALUE",
            help="Only documents with this metadata (may be repeated).",
        ),
    ] = None,
    two_step: Annotated[
        choices.TwoStep | None,
        typer.Option("--two-step", help="Look for documents first, then within them."),
    ] = None,
    rerank: Annotated[
        str | None,
        typer.Option(
            "--rerank", metavar="HOW", help="Order anew: off, late, or the name of a cross-encoder."
        ),
    ] = None,
    parents: Annotated[
        choices.Parents | None,
        typer.Option("--parents", help="Widen what is found to its neighbours, or its page."),
    ] = None,
    mmr: Annotated[
        float | None,
        typer.Option(
            "--mmr",
            metavar="LAMBDA",
            min=0,
            max=1,
            help="Less that says the same twice: 1 is by relevance alone, 0.7 spares repetition.",
        ),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Whole passages, not snippets.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write all of it as JSON.")] = False,
    tenant: options.Tenant = None,
    home: options.Home = None,
    config: options.Config = None,
) -> None:
    """Show the passages that match, best first, and why.

    How well the library matches is told of the whole library, whatever the filter. A number after
    --page counts the pages of the file, from 1, whatever they call themselves; anything else is
    what a page calls itself.
    """
    text = " ".join(query).strip()
    if not text:
        sys.stderr.write('agentlab: The query is empty: agentlab search "your words".\n')
        raise typer.Exit(USAGE)
    settings = options.resolve(
        config,
        home=home,
        weaviate_tenant=tenant,
        two_step=two_step,
        rerank=rerank,
        parents=parents,
    ).settings
    from agentlab.cli.models import tell
    from agentlab.console import draw_hits, make_console
    from agentlab.library import open_collection
    from agentlab.resolving import with_changes
    from ingest.profiles import Only

    collection = open_collection(with_changes(settings, likelihood=False), progress=tell)
    try:
        sources = _sources(collection.store, source or (), kind or ())
        where = _where(sources or (), page or ())
        only = Only(since or "", until or "", date or "", _meta(meta or ()))
        hits = (
            []
            if sources == []
            else collection.search(text, limit=limit, where=where, only=only, mmr=mmr)
        )
        evidence = collection.probe(text)
        empty = not hits and collection.store.count() == 0
        alpha, origin = collection.alpha, collection.alpha_from
    finally:
        collection.close()
    if as_json:
        found = _plain(text, hits, evidence, alpha=alpha, alpha_from=origin, mmr=mmr)
        sys.stdout.write(json.dumps(found, ensure_ascii=False) + "\n")
    else:
        said = f"score: {alpha:.2g} meaning + {1 - alpha:.2g} words{_ORIGINS[origin]}"
        draw_hits(make_console(), text, hits, evidence=evidence, alpha=said, full=full)
    if not hits:
        reason = "The library is empty: run agentlab ingest PATH first." if empty else "No match."
        if sources == []:
            reason = f"The library holds no such file of kind {' or '.join(kind or ())}."
        sys.stderr.write(f"agentlab: {reason}\n")
        raise typer.Exit(ABSTAINED)


def _sources(store: "Store", names: Sequence[str], kinds: Sequence[str]) -> list[str] | None:
    """List what is searched, by the names of documents and the kinds of files; None is all."""
    if not names and not kinds:
        return None
    from ingest.catalog import find_document, list_documents

    entries = list_documents(store)
    if not entries:
        return None
    named = [find_document(entries, name) for name in names] or entries
    chosen = [each.record for each in named if each.kind in kinds or not kinds]
    return sorted({each.same_as or each.source for each in chosen})


def _where(sources: Sequence[str], pages: Sequence[str]) -> "Where":
    """Tell pages by their number where one is given, else by what they call themselves."""
    from ingest.stores.base import Where

    numbers = [each for each in pages if each.isdecimal() and len(each) <= _MOST_DIGITS]
    labels = [each for each in pages if each not in numbers]
    return Where(tuple(sources), tuple(map(int, numbers)), tuple(labels))


def _meta(pairs: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Collect the values of each key."""
    meta: dict[str, tuple[str, ...]] = {}
    for each in pairs:
        key, equals, value = (part.strip() for part in each.partition("="))
        if not (key and equals and value):
            raise typer.BadParameter(f"{each!r}: write KEY=VALUE", param_hint="--meta")
        meta[key] = (*meta.get(key, ()), value)
    return meta


def _plain(
    query: str,
    hits: "Sequence[Hit]",
    evidence: "Evidence",
    *,
    alpha: float,
    alpha_from: str,
    mmr: float | None,
) -> dict[str, object]:
    from ingest.evidence import MEANING

    return {
        "query": query,
        "alpha": alpha,
        "alpha_from": alpha_from,
        "mmr": mmr,
        "evidence": {
            "strength": evidence.strength,
            "score": evidence.score,
            "meaning": MEANING[evidence.strength],
        },
        "passages": [_passage(query, hit) for hit in hits],
    }


def _passage(query: str, hit: "Hit") -> dict[str, object]:
    from ingest.matching import match

    chunk, why = hit.chunk, match(query, hit.chunk)
    return {
        "source": chunk.source,
        "title": chunk.title,
        "page": chunk.page,
        "page_label": chunk.page_label,
        "heading": chunk.heading,
        "text": chunk.text,
        "score": hit.score,
        "cosine": hit.cosine,
        "keyword": hit.keyword,
        "holds": why.held,
        "lacks": why.missing,
        "spans": why.spans,
        "why": hit.why,
    }
