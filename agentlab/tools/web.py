"""search_web: what a web search answers, read like the library's pages."""

from collections.abc import Sequence

from langchain_core.tools import BaseTool

from agentlab.probing import Wording
from agentlab.prompts import SEARCH_WEB, Shown, observation, web_header
from agentlab.tools.documents import Library
from agentlab.tools.providers.base import Provider, WebResult
from agentlab.tools.searching import Found, search_tool
from agentlab.tools.sources import SourceBook
from ingest.reading import Passage, Reading


def web_tool(
    provider: Provider,
    library: Library,
    book: SourceBook,
    *,
    asked: Wording | None = None,
    passages: int = 3,
    passage_words: int = 45,
) -> BaseTool:
    """Build the tool; the library reads its results, which are numbered after the pages."""
    first = iter((asked,))

    def search(query: str) -> Found:
        own = next(first, None)
        results = provider.search(query, limit=2 * passages)
        wordings = own.readings(query) if own else [query]
        reading = read_results(library, wordings, results, limit=passages, words=passage_words)
        return tell_results(reading, results, book)

    return search_tool(SEARCH_WEB, search)


def read_results(
    library: Library,
    wordings: Sequence[str],
    results: Sequence[WebResult],
    *,
    limit: int,
    words: int,
) -> Reading:
    """Read the results under their pages' titles, for a question in one or more wordings."""
    passages = tuple(Passage(each.title, each.snippet) for each in results)
    question, *also = wordings
    return library.read(question, passages, also=tuple(also), limit=limit, words=words)


def tell_results(reading: Reading, results: Sequence[WebResult], book: SourceBook) -> Found:
    """Write the results as the model reads them."""
    kept = [results[each.index] for each in reading.passages]
    sources = tuple(
        book.add_web(result, passage)
        for result, passage in zip(kept, reading.passages, strict=True)
    )
    shown = [
        Shown(source.number, _header(result), source.shown)
        for source, result in zip(sources, kept, strict=True)
    ]
    recorded = next((each.recorded for each in kept if each.recorded), None)
    return observation(reading.strength, shown, likely=reading.likely, recorded=recorded), sources


def _header(found: WebResult) -> str:
    title = f"{found.title}, {found.date}" if found.date else found.title
    return web_header(title, found.site)
