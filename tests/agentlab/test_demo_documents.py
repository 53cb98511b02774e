"""The demo handbooks are real PDFs, render the same each time, and hold what is asked of them."""

import json
import random
import re
from pathlib import Path
from typing import Any

import pypdfium2 as pdfium
import pytest

from agentlab.demo import FOLDER, FRESH, HANDBOOKS, QUESTIONS, WEB
from agentlab.demo.manuscript import read_manuscript
from agentlab.demo.render import render, render_all
from agentlab.starter.live import small_talk
from agentlab.tools.providers.recorded import Recorded
from ingest.chunking import chunk_document
from ingest.config import IngestConfig
from ingest.pdf import read_pdf

FILES = sorted(HANDBOOKS.glob("*.pdf"))
CASES: list[dict[str, Any]] = json.loads(FRESH.read_text(encoding="utf-8"))


def of_kind(*kinds: str) -> list[dict[str, Any]]:
    return [case for case in CASES if case["kind"] in kinds]


def pages(path: Path) -> list[str]:
    with pdfium.PdfDocument(path) as document:
        texts = [
            document[number].get_textpage().get_text_range() for number in range(len(document))
        ]
    return [" ".join(text.split()) for text in texts]


def title(path: Path) -> str:
    with pdfium.PdfDocument(path) as document:
        return str(document.get_metadata_value("Title"))


def test_rendering_again_gives_the_same_text_and_titles(tmp_path: Path) -> None:
    again = render_all(tmp_path)
    assert [path.name for path in again] == [path.name for path in FILES]
    for new, kept in zip(again, FILES, strict=True):
        assert pages(new) == pages(kept)
        assert title(new) == title(kept)


def test_rendering_twice_gives_the_same_bytes() -> None:
    manuscript = read_manuscript(FOLDER / "texts" / "products.md")
    assert render(manuscript).output() == render(manuscript).output()


def test_there_are_three_handbooks_of_ten_pages_or_more_and_small_files() -> None:
    assert len(FILES) >= 3
    for path in FILES:
        assert len(pages(path)) >= 10
        assert path.stat().st_size < 300_000


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_page_but_the_cover_has_a_running_header_and_footer(path: Path) -> None:
    texts = pages(path)
    for number, text in enumerate(texts[1:], start=2):
        assert text.startswith(f"Marrowfin Tidal Care {title(path)}")
        assert text.endswith(f"Page {number} of {len(texts)}")
        assert re.search(r"MTC-\w\w-\d\d, version \d\.\d, \d+ \w+ 2026", text)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_outline_names_every_chapter_and_its_page(path: Path) -> None:
    texts = pages(path)
    with pdfium.PdfDocument(path) as document:
        entries = [
            (mark.level, mark.get_title(), mark.get_dest().get_index())
            for mark in document.get_toc()
        ]
    chapters = [name for level, name, _ in entries if level == 0]
    assert [name.split()[0] for name in chapters] == [str(n) for n in range(1, len(chapters) + 1)]
    assert len(entries) > 2 * len(chapters)
    assert all(name in texts[page] for _, name, page in entries)


def test_footnotes_tables_and_columns_come_out_in_reading_order() -> None:
    travel = pages(HANDBOOKS / "travel-and-expenses.pdf")
    assert "Technicians 46 33 31 Apprentices 39 28 31" in travel[5]
    assert travel[5].index("5.4 Day trips") < travel[5].index("² Day trips of exactly 8 hours")
    columns = travel[-1]
    assert "Private nights are at your own cost. Insurance ends with the business part" in columns
    assert columns.index("May I extend a trip privately?") < columns.index("Who decides in doubt?")


def as_ingested(path: Path) -> list[str]:
    """Read the pages as the library does, which names the columns in the rows of tables."""
    return [" ".join(page.text.split()) for page in read_pdf(path).pages]


def test_the_span_of_each_held_out_question_is_on_its_page_and_on_no_other() -> None:
    books = {title(path): as_ingested(path) for path in FILES}
    for case in of_kind("documents", "follow_up"):
        assert any(answer in case["sentence"] for answer in case["answers"])
        found = [
            (book, number)
            for book, texts in books.items()
            for number, text in enumerate(texts, start=1)
            if case["sentence"] in text
        ]
        assert found == [(case["title"], case["page"])]


def test_a_passage_of_the_library_holds_each_sentence_whole() -> None:
    texts = [
        " ".join(chunk.text.split())
        for path in FILES
        for chunk in chunk_document(
            read_pdf(path),
            token_spans=lambda text: [match.span() for match in re.finditer(r"\w+|[^\w\s]", text)],
            chunk_tokens=IngestConfig().chunk_tokens,
            embedder="words",
            pipeline="test",
        )
    ]
    for case in of_kind("documents", "follow_up"):
        assert any(case["sentence"] in text for text in texts), case["sentence"]


def test_nothing_holds_what_near_misses_and_questions_from_nowhere_ask() -> None:
    handbooks = " ".join(text for path in FILES for text in pages(path))
    web = WEB.read_text(encoding="utf-8")
    for case in of_kind("near_miss", "nowhere"):
        assert case["lacks"]
        for words in case["lacks"]:
            said = re.compile(rf"\b{re.escape(words)}\b", re.IGNORECASE)
            assert not said.search(handbooks), (case["question"], words)
            assert case["kind"] == "near_miss" or not said.search(web), (case["question"], words)


def test_the_recorded_web_finds_what_the_questions_outside_ask() -> None:
    web = Recorded.from_file(WEB)
    for case in of_kind("outside"):
        snippets = " ".join(each.snippet for each in web.search(case["question"], limit=3))
        assert case["sentence"] in snippets
        assert any(answer in case["sentence"] for answer in case["answers"])


def test_a_follow_up_tells_its_earlier_turns_and_what_it_means_in_full() -> None:
    turns = [len(case["earlier"]) for case in of_kind("follow_up")]
    assert (turns.count(1), turns.count(2)) == (20, 10)
    for case in CASES:
        assert bool(case.get("earlier")) == bool(case.get("full")) == (case["kind"] == "follow_up")
    for case in of_kind("follow_up"):
        assert case["full"] not in [asked for asked, _ in case["earlier"]]
        assert all(asked and answer for asked, answer in case["earlier"])


def test_held_out_questions_are_of_every_kind_and_other_than_are_asked_elsewhere() -> None:
    kinds = [case["kind"] for case in CASES]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "documents": 42, "follow_up": 30, "near_miss": 15, "live": 10, "small_talk": 10,
        "nowhere": 8, "outside": 6,
    }  # fmt: skip
    asked = [case["question"] for case in of_kind(*set(kinds) - {"follow_up"})]
    assert len(asked) == len(set(asked))
    assert not {*asked} & set(json.loads(QUESTIONS.read_text(encoding="utf-8")))
    rng = random.Random(3)
    trained = {small_talk(rng)[0] for _ in range(3000)}
    assert not {case["question"] for case in of_kind("small_talk")} & trained


def test_the_recorded_web_answers_the_demo_question_and_no_handbook_does() -> None:
    recorded = json.loads(WEB.read_text(encoding="utf-8"))
    searches = {search["query"]: search["results"] for search in recorded["searches"]}
    question = json.loads(QUESTIONS.read_text(encoding="utf-8"))[-1]
    assert len(searches[question]) >= 3
    assert len(searches) >= 25
    everything = " ".join(text for path in FILES for text in pages(path)).lower()
    assert "penicillin" not in everything


def test_body_sentences_are_short_enough_to_quote() -> None:
    for path in sorted(FOLDER.joinpath("texts").glob("*.md")):
        for block in read_manuscript(path).blocks:
            for text in (block.text, *block.parts):
                assert all(len(part.split()) <= 30 for part in re.split(r"(?<=[.?:*]) ", text))
