"""The demo handbooks are real PDFs, render the same each time, and hold what is asked of them."""

import json
import re
from pathlib import Path
from typing import Any

import pypdfium2 as pdfium
import pytest

from agentlab.demo import FOLDER, FRESH, HANDBOOKS, QUESTIONS, WEB
from agentlab.demo.manuscript import read_manuscript
from agentlab.demo.render import render, render_all

FILES = sorted(HANDBOOKS.glob("*.pdf"))
CASES: list[dict[str, Any]] = json.loads(FRESH.read_text(encoding="utf-8"))


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


def test_the_span_of_each_held_out_question_is_on_its_page_and_on_no_other() -> None:
    books = {title(path): pages(path) for path in FILES}
    for case in CASES:
        if case["kind"] not in ("documents", "follow_up"):
            assert case["page"] is None
            continue
        assert any(answer in case["sentence"] for answer in case["answers"])
        found = [
            (book, number)
            for book, texts in books.items()
            for number, text in enumerate(texts, start=1)
            if case["sentence"] in text
        ]
        assert found == [(case["title"], case["page"])]


def test_held_out_questions_are_of_every_kind_and_other_than_the_demo_asks() -> None:
    kinds = [case["kind"] for case in CASES]
    assert len(CASES) >= 40
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "documents": 18, "follow_up": 6, "absent": 6, "live": 6, "small_talk": 4,
    }  # fmt: skip
    asked = {case["question"] for case in CASES}
    assert not asked & set(json.loads(QUESTIONS.read_text(encoding="utf-8")))
    assert all(bool(case["earlier"]) == (case["kind"] == "follow_up") for case in CASES)


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
