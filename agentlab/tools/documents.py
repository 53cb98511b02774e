"""search_documents: the passages of the library that answer a query best."""

from collections.abc import Sequence
from typing import Protocol

from langchain_core.tools import BaseTool

from agentlab.prompts import SEARCH_DOCUMENTS, Shown, observation, page_header
from agentlab.tools.searching import Found, search_tool
from agentlab.tools.sources import SourceBook
from ingest.reading import Encoder, mark
from ingest.stores.base import Hit


class Library(Protocol):
    """What is searched: a collection."""

    @property
    def embedder(self) -> Encoder:
        """Give the encoder that also marks the best sentences."""

    def search(self, query: str, *, limit: int) -> Sequence[Hit]:
        """Find the best passages, best first."""


def document_tool(
    library: Library, book: SourceBook, *, passages: int = 3, passage_words: int = 60
) -> BaseTool:
    """Build the tool; what it finds is numbered in the book.

    A failing store's own error passes through: it names the server and what to do.
    """

    def search(query: str) -> Found:
        hits = library.search(query, limit=passages)
        return read_pages(query, hits, library.embedder, book, words=passage_words)

    return search_tool(SEARCH_DOCUMENTS, search)


def read_pages(
    query: str, hits: Sequence[Hit], encoder: Encoder, book: SourceBook, *, words: int
) -> Found:
    """Mark the best sentences of the passages and write them as the model reads them."""
    reading = mark(query, [hit.chunk.text for hit in hits], encoder, words=words)
    sources = tuple(
        book.add_page(hit.chunk, passage)
        for hit, passage in zip(hits, reading.passages, strict=True)
    )
    shown = [
        Shown(each.number, page_header(each.title, each.page or 0, each.heading), each.shown)
        for each in sources
    ]
    return observation(reading.strength, shown), sources
