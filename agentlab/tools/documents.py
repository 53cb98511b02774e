"""search_documents: the passages of the library that answer a query best."""

from collections.abc import Sequence
from typing import Protocol

from langchain_core.tools import BaseTool

from agentlab.probing import Wording
from agentlab.prompts import SEARCH_DOCUMENTS, Shown, observation, page_header
from agentlab.tools.searching import Found, search_tool
from agentlab.tools.sources import SourceBook
from ingest.reading import Passage, Reading
from ingest.stores.base import Hit


class Library(Protocol):
    """What is searched and read: a collection."""

    def search(self, query: str, *, limit: int) -> Sequence[Hit]:
        """Find the best passages, best first."""

    def read(
        self,
        question: str,
        passages: Sequence[Passage],
        *,
        also: Sequence[str] = (),
        limit: int,
        words: int,
    ) -> Reading:
        """Mark the sentences that answer, in the best `limit` passages."""


def document_tool(
    library: Library,
    book: SourceBook,
    *,
    asked: Wording | None = None,
    passages: int = 3,
    passage_words: int = 45,
) -> BaseTool:
    """Build the tool; what it finds is numbered in the book.

    The first search also looks for the person's own words, `asked`: a small model's query may have
    lost some of them. A failing store's own error passes through: it names the server and what to
    do.
    """
    first = iter((asked,))

    def search(query: str) -> Found:
        own = next(first, None)
        hits = find_pages(library, own.searches(query) if own else [query], limit=2 * passages)
        wordings = own.readings(query) if own else [query]
        reading = read_pages(library, wordings, hits, limit=passages, words=passage_words)
        return tell_pages(reading, hits, book)

    return search_tool(SEARCH_DOCUMENTS, search)


def find_pages(library: Library, searches: Sequence[str], *, limit: int) -> list[Hit]:
    """Search in several wordings; the hits by the best rank that any wording gives them."""
    found = [library.search(text, limit=limit) for text in searches]
    ranked = sorted(
        ((rank, order, hit) for order, hits in enumerate(found) for rank, hit in enumerate(hits)),
        key=lambda each: each[:2],
    )
    best: dict[str, Hit] = {}
    for *_, hit in ranked:
        best.setdefault(hit.chunk.id, hit)
    return list(best.values())


def read_pages(
    library: Library, wordings: Sequence[str], hits: Sequence[Hit], *, limit: int, words: int
) -> Reading:
    """Read the passages under their documents' titles, for a question in one or more wordings."""
    passages = tuple(Passage(hit.chunk.header, hit.chunk.text) for hit in hits)
    question, *also = wordings
    return library.read(question, passages, also=tuple(also), limit=limit, words=words)


def tell_pages(reading: Reading, hits: Sequence[Hit], book: SourceBook) -> Found:
    """Write the passages as the model reads them."""
    sources = tuple(book.add_page(hits[each.index].chunk, each) for each in reading.passages)
    shown = [
        Shown(
            each.number,
            page_header(each.title, each.place, each.heading),
            each.shown,
        )
        for each in sources
    ]
    return observation(reading.strength, shown, likely=reading.likely), sources
