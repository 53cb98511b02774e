"""search_web: what a web search answers, read like the library's pages."""

from collections.abc import Sequence

from langchain_core.tools import BaseTool

from agentlab.prompts import SEARCH_WEB, Shown, observation, web_header
from agentlab.tools.providers.base import Provider, WebResult
from agentlab.tools.searching import Found, search_tool
from agentlab.tools.sources import SourceBook
from ingest.reading import Encoder, mark


def web_tool(
    provider: Provider,
    encoder: Encoder,
    book: SourceBook,
    *,
    passages: int = 3,
    passage_words: int = 60,
) -> BaseTool:
    """Build the tool; what it finds is numbered in the book, after the pages found before."""

    def search(query: str) -> Found:
        results = provider.search(query, limit=passages)
        return read_results(query, results, encoder, book, words=passage_words)

    return search_tool(SEARCH_WEB, search)


def read_results(
    query: str, results: Sequence[WebResult], encoder: Encoder, book: SourceBook, *, words: int
) -> Found:
    """Mark the best sentences of the results and write them as the model reads them."""
    reading = mark(query, [each.snippet for each in results], encoder, words=words)
    sources = tuple(
        book.add_web(each, passage) for each, passage in zip(results, reading.passages, strict=True)
    )
    shown = [
        Shown(source.number, _header(each), source.shown)
        for source, each in zip(sources, results, strict=True)
    ]
    recorded = next((each.recorded for each in results if each.recorded), None)
    return observation(reading.strength, shown, recorded=recorded), sources


def _header(found: WebResult) -> str:
    title = f"{found.title}, {found.date}" if found.date else found.title
    return web_header(title, found.site)
