"""The two search tools as the agent calls them, and the numbering that they share."""

import json
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from agentlab.probing import Wording
from agentlab.prompts import SEARCH_DOCUMENTS, SEARCH_WEB
from agentlab.tools.documents import document_tool, find_pages, tell_pages
from agentlab.tools.errors import RateLimitError, ToolInputError
from agentlab.tools.providers.base import WebResult
from agentlab.tools.sources import SourceBook
from agentlab.tools.web import web_tool
from ingest.documents import Chunk
from ingest.errors import StoreUnreachableError
from ingest.reading import MarkedPassage, Passage, Reading, mark
from ingest.stores.base import Hit
from ingest.words import content_words

LEAVE = "Staff have thirty days of leave. Leave is asked for by form nine. Cats are not staff."
BOATS = "The harbour has nine berths. Boats pay by length."
TODAY = "Rain is expected today. The wind is from the west."


class Words:
    """An encoder whose vectors count hashed words: equal words, equal direction."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        vectors = np.zeros((len(texts), 256), dtype=np.float32)
        for row, text in zip(vectors, texts, strict=True):
            for word in content_words(text):
                row[zlib.crc32(word.encode()) % 256] += 1
            row[:] /= np.linalg.norm(row) or 1
        return vectors


class Library:
    """Two pages; the passages come in this order whatever is asked."""

    def __init__(self, error: Exception | None = None) -> None:
        self.embedder = Words()
        self.asked: list[tuple[str, int]] = []
        self.read_for: list[str] = []
        self.error = error

    def search(self, query: str, *, limit: int) -> list[Hit]:
        self.asked.append((query, limit))
        if self.error:
            raise self.error
        return [Hit(chunk, 1.0, 1.0, 1.0) for chunk in (LEAVE_PAGE, BOATS_PAGE)][:limit]

    def read(
        self,
        question: str,
        passages: Sequence[Passage],
        *,
        also: Sequence[str] = (),
        limit: int,
        words: int,
    ) -> Reading:
        self.read_for += [question, *also]
        return mark(question, passages, self.embedder, also=also, limit=limit, words=words)


def page(name: str, text: str, number: int, heading: str = "") -> Chunk:
    return Chunk(
        id=name,
        text=text,
        document=name,
        source=f"/papers/{name}.pdf",
        title=name.title(),
        page=number,
        start=100,
        end=100 + len(text),
        heading=heading,
        embedder="words",
    )


LEAVE_PAGE = page("handbook", LEAVE, 4, "Leave")
BOATS_PAGE = page("harbour", BOATS, 7)


class Web:
    """A provider with results set by the test."""

    name = "test"

    def __init__(self, *results: WebResult, error: Exception | None = None) -> None:
        self.results = list(results)
        self.error = error

    def search(self, query: str, *, limit: int) -> list[WebResult]:
        if self.error:
            raise self.error
        return self.results[:limit]


def shown(text: str) -> MarkedPassage:
    return MarkedPassage(0, len(text), text, None)


def call(tool: BaseTool, query: str) -> ToolMessage:
    message = tool.invoke(
        {"name": tool.name, "args": {"query": query}, "id": "c1", "type": "tool_call"}
    )
    assert isinstance(message, ToolMessage)
    return message


def test_the_schemas_are_those_of_the_prompts_byte_for_byte() -> None:
    book = SourceBook()
    tools = [document_tool(Library(), book), web_tool(Web(), Library(), book)]
    shown = [json.dumps(convert_to_openai_tool(tool)) for tool in tools]
    assert shown == [json.dumps(SEARCH_DOCUMENTS), json.dumps(SEARCH_WEB)]


def test_pages_are_numbered_marked_and_kept_whole_as_sources() -> None:
    library, book = Library(), SourceBook()
    message = call(document_tool(library, book, passages=2), "how many days of leave?")
    first, *passages = message.text.splitlines()
    assert first.startswith("Evidence: ")
    assert passages[0].startswith("[1] Handbook, p. 4, Leave: »Staff have thirty days of leave.")
    assert passages[1].startswith("[2] Harbour, p. 7: ")
    leave, _ = message.artifact
    assert (leave.kind, leave.text, leave.location) == ("page", LEAVE, "/papers/handbook.pdf")
    assert (leave.page, leave.heading, leave.start, leave.end) == (
        4,
        "Leave",
        100,
        100 + len(LEAVE),
    )
    assert message.artifact == book.sources
    assert library.asked == [("how many days of leave?", 4)]


def test_a_page_with_a_label_is_shown_by_it_and_its_number() -> None:
    library, book = Library(), SourceBook()
    preface = replace(LEAVE_PAGE, page_label="ii")
    reading = library.read("leave?", [Passage(preface.header, preface.text)], limit=1, words=45)
    observed, (source,) = tell_pages(reading, [Hit(preface, 1.0, 1.0, 1.0)], book)
    assert "[1] Handbook, p. ii (4th page), Leave: »Staff have" in observed
    assert (source.page, source.page_label) == (4, "ii")


def test_a_document_without_pages_is_shown_by_its_part() -> None:
    library, book = Library(), SourceBook()
    notes = replace(LEAVE_PAGE, source="/papers/handbook.docx")
    hits = [Hit(notes, 1.0, 1.0, 1.0)]
    reading = library.read("leave?", [Passage(notes.header, notes.text)], limit=1, words=45)
    observed, _ = tell_pages(reading, hits, book)
    assert "[1] Handbook, part 4, Leave: »Staff have" in observed


def test_the_first_search_also_looks_for_the_persons_own_words() -> None:
    library = Library()
    tool = document_tool(library, SourceBook(), asked=Wording("How long is leave, all told?"))
    call(tool, "leave")
    call(tool, "form for leave")
    assert [query for query, _ in library.asked] == [
        "leave", "How long is leave, all told?", "form for leave",
    ]  # fmt: skip
    assert library.read_for == ["How long is leave, all told?", "form for leave"]


def test_what_any_wording_finds_first_comes_first() -> None:
    library = Library()
    ranks = {"boats": "ABC", "harbour": "DBEA"}
    pages = {name: page(name, f"Text {name}.", 1) for name in "ABCDE"}
    library.search = lambda query, *, limit: [  # type: ignore[method-assign]
        Hit(pages[name], 1.0, 1.0, 1.0) for name in ranks[query]
    ]
    found = find_pages(library, ["boats", "harbour"], limit=6)
    assert [hit.chunk.text for hit in found] == [f"Text {name}." for name in "ADBCE"]


def test_a_question_that_leans_on_another_is_read_in_own_words_and_in_the_models() -> None:
    library = Library()
    asked = Wording("And for cats?", "How many days of leave are there?")
    call(document_tool(library, SourceBook(), asked=asked), "days of leave for cats")
    assert library.asked[1][0] == "How many days of leave are there? And for cats?"
    own = "How many days of leave are there? And for cats?"
    assert library.read_for == [own, "days of leave for cats"]


def test_a_passage_is_cut_around_its_best_sentence() -> None:
    tool = document_tool(Library(), SourceBook(), passages=1, passage_words=8)
    message = call(tool, "which form asks for leave?")
    assert "form nine" in message.text
    assert "thirty" not in message.text
    assert message.artifact[0].text == LEAVE


def test_web_results_are_read_by_the_same_function_and_numbered_on() -> None:
    book = SourceBook()
    call(document_tool(Library(), book), "leave")
    web = Web(WebResult("Weather", "https://www.w.example/x", TODAY, date="Nov 3, 2026"))
    message = call(web_tool(web, Library(), book), "rain today")
    expected = mark("rain today", [Passage("Weather", TODAY)], Words())
    assert message.text == (
        f"Evidence: {expected.strength}\n"
        f"[3] Weather, Nov 3, 2026 (w.example): {expected.passages[0].shown}"
    )
    (source,) = message.artifact
    assert (source.kind, source.text, source.location) == ("web", TODAY, "https://www.w.example/x")
    assert [each.number for each in book.sources] == [1, 2, 3]


def test_recorded_results_say_so_to_the_model_and_to_the_person() -> None:
    web = Web(WebResult("Weather", "https://w.example", TODAY, recorded="2026-11-02"))
    message = call(web_tool(web, Library(), SourceBook()), "rain today")
    assert message.text.startswith("Recorded on 2026-11-02, not live.\nEvidence: ")
    (source,) = message.artifact
    assert source.recorded == "2026-11-02"
    assert "recorded 2026-11-02" in source.label


def test_no_results_are_said_and_have_no_sources() -> None:
    message = call(web_tool(Web(), Library(), SourceBook()), "rain today")
    assert (message.text, message.artifact) == ("Evidence: weak\nNo results.", ())


@pytest.mark.parametrize(
    "arguments", [{}, {"query": ""}, {"query": 7}, {"q": "x"}, {"query": "x", "n": 1}]
)
def test_wrong_arguments_get_one_line_that_says_what_is_right(arguments: dict[str, object]) -> None:
    tool = document_tool(Library(), SourceBook())
    with pytest.raises(
        ToolInputError, match="search_documents takes one argument, query"
    ) as caught:
        tool.invoke({"name": tool.name, "args": arguments, "id": "c1", "type": "tool_call"})
    assert "\n" not in str(caught.value)


def test_a_query_is_tidied_and_cut_before_it_is_searched() -> None:
    library = Library()
    call(document_tool(library, SourceBook()), "  days\n of leave " + "x" * 1000)
    ((query, _),) = library.asked
    assert query.startswith("days of leave x")
    assert len(query) == 400


@pytest.mark.parametrize("error", [StoreUnreachableError("no answer"), RateLimitError("wait")])
def test_errors_of_the_store_and_the_provider_pass_through(error: Exception) -> None:
    book = SourceBook()
    for tool in (document_tool(Library(error), book), web_tool(Web(error=error), Library(), book)):
        with pytest.raises(type(error)):
            call(tool, "x")
    assert book.sources == ()


def test_what_is_found_again_keeps_its_number() -> None:
    book = SourceBook()
    found = WebResult("A", "https://a.example", "One.")
    assert book.add_page(LEAVE_PAGE, shown("first")).number == 1
    assert book.add_web(found, shown("One.")).number == 2
    assert book.add_page(LEAVE_PAGE, shown("second")).number == 1
    assert book.add_web(found, shown("One.")).number == 2
    assert [source.shown for source in book.sources] == ["second", "One."]


def test_the_same_address_with_other_text_is_another_source() -> None:
    book = SourceBook()
    book.add_web(WebResult("A", "https://a.example", "One."), shown("One."))
    book.add_web(WebResult("A", "https://a.example", "Two."), shown("Two."))
    assert [(each.number, each.text) for each in book.sources] == [(1, "One."), (2, "Two.")]


def test_a_cleared_book_counts_from_one_again() -> None:
    book = SourceBook()
    book.add_page(LEAVE_PAGE, shown("x"))
    book.clear()
    assert book.sources == ()
    assert book.add_page(BOATS_PAGE, shown("x")).number == 1


def test_numbers_stay_unique_when_tools_run_at_once() -> None:
    book = SourceBook()
    pages = [page(f"p{index % 50}", "Text.", index) for index in range(500)]
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda each: book.add_page(each, shown("x")).number, pages))
    assert sorted(set(numbers)) == list(range(1, 51))
    assert len({(each.id, number) for each, number in zip(pages, numbers, strict=True)}) == 50
