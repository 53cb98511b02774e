"""What a document holds, how it begins, and which ones mention some words.

The tools outline_document, open_document and find_documents are called by the agent itself, for
requests that no single passage answers; their results are the answer, every line a sentence of a
source that is cited.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from pathlib import PurePath
from typing import Any, TypeVar

from langchain_core.tools import BaseTool

from agentlab.answer import Source
from agentlab.prompts import NOT_FOUND
from agentlab.router import LISTS
from agentlab.toolcalls import Call
from agentlab.tools.searching import Found, tool_of
from agentlab.tools.sources import SourceBook
from agentlab.wholes import Whole, holds, in_order
from ingest.amounts import count
from ingest.collection import Collection
from ingest.documents import Chunk, kind_of
from ingest.reading import MarkedPassage
from ingest.sentences import one_line, sentence_spans
from ingest.words import content_words

Item = TypeVar("Item")
OUTLINE, OPENING, MENTIONS = "outline_document", "open_document", "find_documents"
_PARTS, _SENTENCES, _FEWEST_SECTIONS = 8, 6, 3
_SEARCHED, _LISTED = 60, 10
_LONGEST, _SHORTEST = 300, 3
_OPENING_LINES, _WHOLE_SENTENCE = 6, 8
_APART = re.compile(
    r"[\dA-Z.\s]*\b(?:references|bibliography|acknowledge?ments?|(?:table of )?contents|index"
    r"|inhaltsverzeichnis|literatur\w*|danksagung\w*)\b",
    re.IGNORECASE,
)
_STOPS = (".", "!", "?", "”", ")")


def call_for(whole: Whole) -> Call:
    """Give the call that a request for a whole is for."""
    calls = {
        "outline": Call(OUTLINE, {"document": whole.subject}),
        "opening": Call(OPENING, {"document": whole.subject}),
        "mentions": Call(MENTIONS, {"query": whole.subject}),
        "list": Call(LISTS, {}),
    }
    return calls[whole.kind]


def whole_tools(library: Collection) -> list[BaseTool]:
    """Build all three tools; their results are numbered from 1."""
    book = SourceBook()
    outlining = _schema(OUTLINE, "Outline a document of the library.", "document")
    beginning = _schema(OPENING, "Show how a document begins.", "document")
    return [
        document_tool(library, book, outlining, outline),
        document_tool(library, book, beginning, opening),
        mentions_tool(library, book),
    ]


def document_tool(
    library: Collection,
    book: SourceBook,
    schema: dict[str, Any],
    tell: Callable[[Sequence[Chunk], SourceBook], Found],
) -> BaseTool:
    """Build a tool that tells something of a document, which is named by its source."""

    def run(document: str) -> Found:
        return tell(in_order(library, document), book)

    return tool_of(schema, run)


def mentions_tool(library: Collection, book: SourceBook) -> BaseTool:
    """Build the tool that finds the documents with a passage that holds all words of a query."""

    def run(query: str) -> Found:
        hits = library.search(query, limit=_SEARCHED)
        return mentions(query, [hit.chunk for hit in hits], book)

    return tool_of(_schema(MENTIONS, "Find the documents that mention something.", "query"), run)


def outline(chunks: Sequence[Chunk], book: SourceBook) -> Found:
    """Say how the parts of a document begin: its sections, or its passages where it has few."""
    sections = [list(part) for _, part in groupby(chunks, key=lambda each: each.heading)]
    parts = sections if len(sections) >= _FEWEST_SECTIONS else [[chunk] for chunk in chunks]
    whole = [(part[0].heading, said) for part in parts if (said := _first(part, parts))]
    told = whole or [(part[0].heading, said) for part in parts if (said := _said(part))]
    if not told:
        return NOT_FOUND, ()
    kept = _spread(told, _PARTS)
    sources: dict[int, Source] = {}
    lines = []
    for heading, said in kept:
        indent = "  " if heading and parts is sections else ""
        lines += [f"- {heading}"] if indent else []
        for chunk, sentence in said:
            source = _numbered(chunk, book)
            sources[source.number] = source
            lines.append(f"{indent}- “{sentence}” [{source.number}]")
    introduction = _introduction(chunks, shown=len(kept), of=len(told))
    return "\n".join([introduction, *lines]), tuple(sources.values())


def opening(chunks: Sequence[Chunk], book: SourceBook) -> Found:
    """Quote a document's lines up to its first sentence: its authors and its date stand there."""
    if not chunks:
        return NOT_FOUND, ()
    first = chunks[0]
    said = [one_line(first.text[slice(*span)]) for span in sentence_spans(first.text)]
    own = [line for line in said if _can_stand_in_quotes(line) and line != first.title]
    prose = next((at for at, line in enumerate(own) if _is_prose(line)), len(own))
    lines = own[: min(prose + 1, _OPENING_LINES)]
    source = book.add_page(
        first, MarkedPassage(0, len(first.text), first.text, None, sentences=tuple(lines))
    )
    told = [f"- “{line}” [{source.number}]" for line in lines]
    return "\n".join([f"{_named(chunks)} begins:", *told]), (source,)


def mentions(query: str, chunks: Iterable[Chunk], book: SourceBook) -> Found:
    """List the documents of the passages that hold all words of a query, with a sentence each."""
    wanted = content_words(query)
    holding: dict[str, Chunk] = {}
    for chunk in chunks:
        if holds(query, chunk):
            holding.setdefault(chunk.source, chunk)
    if not holding:
        return f"{NOT_FOUND} No passage holds all words of “{query}”.", ()
    sources: list[Source] = []
    lines = []
    for chunk in list(holding.values())[:_LISTED]:
        said = max(_quotable(chunk), key=lambda each: len(wanted & content_words(each)), default="")
        source = _numbered(chunk, book)
        sources.append(source)
        lines.append(
            f"- {chunk.title}, {chunk.place}"
            if said
            else f"- {chunk.title}, {chunk.place} [{source.number}]"
        )
        lines += [f"  - “{said}” [{source.number}]"] if said else []
    more = len(holding) - len(sources)
    lines += [f"- and {more} more"] if more > 0 else []
    one = len(holding) == 1
    head = "One document mentions" if one else f"{len(holding)} documents mention"
    return "\n".join([f"{head} “{query}”:", *lines]), tuple(sources)


def _introduction(chunks: Sequence[Chunk], *, shown: int, of: int) -> str:
    some = f", {shown} of its {of} sections" if shown < of else ""
    return f"{_named(chunks)}{some}, in its own words:"


def _named(chunks: Sequence[Chunk]) -> str:
    pages, first = len({chunk.page for chunk in chunks}), chunks[0]
    kind = "page" if kind_of(first.source) == "pdf" else "part"
    return f"{first.title} ({PurePath(first.source).name}, {count(pages, kind)})"


def _first(part: Sequence[Chunk], parts: Sequence[object]) -> list[tuple[Chunk, str]]:
    """Give the whole sentences that a part begins with, as many as there is room for."""
    if _APART.match(part[0].heading):
        return []
    whole = [each for each in _said(part) if each[1].endswith(_STOPS)]
    return whole[: max(1, _SENTENCES // len(parts))]


def _said(part: Sequence[Chunk]) -> list[tuple[Chunk, str]]:
    return [(chunk, sentence) for chunk in part for sentence in _quotable(chunk)]


def _quotable(chunk: Chunk) -> list[str]:
    """List the sentences of a passage that say something and can be quoted."""
    sentences = [one_line(chunk.text[start:end]) for start, end in sentence_spans(chunk.text)]
    return [
        each
        for each in sentences
        if each not in (chunk.heading, chunk.title)
        and len(each.split()) >= _SHORTEST
        and len(each) <= _LONGEST
        and not each[0].islower()
        and (each[0].isalnum() or each[0] in "$€£(")
        and _can_stand_in_quotes(each)
    ]


def _is_prose(line: str) -> bool:
    return line.endswith(_STOPS) and len(line.split()) >= _WHOLE_SENTENCE


def _can_stand_in_quotes(line: str) -> bool:
    return not any(mark in line for mark in '[]"“”')


def _spread(items: Sequence[Item], number: int) -> list[Item]:
    """Take so many items, evenly."""
    step = max(1.0, len(items) / number)
    return [items[int(at * step)] for at in range(min(number, len(items)))]


def _numbered(chunk: Chunk, book: SourceBook) -> Source:
    said = tuple(_quotable(chunk))
    return book.add_page(chunk, MarkedPassage(0, len(chunk.text), chunk.text, None, sentences=said))


def _schema(name: str, description: str, argument: str) -> dict[str, Any]:
    parameters = {
        "type": "object",
        "properties": {argument: {"type": "string"}},
        "required": [argument],
    }
    return {"function": {"name": name, "description": description, "parameters": parameters}}
