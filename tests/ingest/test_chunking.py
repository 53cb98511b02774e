"""Chunks: exact slices, within the budget, cut at joints."""

import itertools
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ingest_fakes import token_spans

from ingest.chunking import chunk_document
from ingest.documents import Chunk, Document, Heading, Page
from ingest.layout import body_spans
from ingest.pdf import read_pdf

SENTENCE = "The desk in Northhaven books every room for the crews that stay overnight."


def document(*texts: str, headings: tuple[Heading, ...] = (), title: str = "Rules") -> Document:
    pages = tuple(Page(number, text) for number, text in enumerate(texts, 1))
    return Document(id="f" * 64, source="rules.pdf", title=title, pages=pages, headings=headings)


def cut(subject: Document, tokens: int = 40, window: int | None = None) -> list[Chunk]:
    return chunk_document(
        subject,
        token_spans=token_spans,
        chunk_tokens=tokens,
        embedder="words",
        pipeline="test",
        window=window,
    )


texts = st.text(
    st.one_of(
        st.sampled_from("abc DEF 12.,;:!?\n\n\t-•  "),
        st.characters(codec="utf-8"),
    ),
    max_size=1500,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(texts, min_size=1, max_size=4), st.integers(16, 80))
def test_a_chunk_is_the_exact_slice_of_its_page_and_within_the_budget(
    pages: list[str], tokens: int
) -> None:
    subject = document(*pages)
    chunks = cut(subject, tokens)
    for chunk in chunks:
        page = subject.pages[chunk.page - 1].text
        assert chunk.text == page[chunk.start : chunk.end]
        assert chunk.text == chunk.text.strip() != ""
        assert sum(chunk.start <= start < chunk.end for start, _ in token_spans(page)) <= tokens


@settings(max_examples=150, deadline=None)
@given(st.lists(texts, min_size=1, max_size=4), st.integers(16, 80))
def test_chunks_neither_overlap_nor_lose_a_word_of_the_body(pages: list[str], tokens: int) -> None:
    subject = document(*pages)
    chunks = cut(subject, tokens)
    for page, (start, end) in zip(subject.pages, body_spans(subject.pages), strict=True):
        own = [(chunk.start, chunk.end) for chunk in chunks if chunk.page == page.number]
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(own))
        covered = {place for first, last in own for place in range(first, last)}
        left = [page.text[place] for place in range(start, end) if place not in covered]
        assert not any(char.isalnum() for char in left)


@settings(max_examples=50, deadline=None)
@given(texts)
def test_cutting_again_gives_the_same_ids(text: str) -> None:
    ids = [chunk.id for chunk in cut(document(text))]
    assert ids == [chunk.id for chunk in cut(document(text))]
    assert len(set(ids)) == len(ids)


def test_prose_is_cut_between_sentences() -> None:
    chunks = cut(document(" ".join([SENTENCE] * 9)), tokens=50)
    assert len(chunks) > 2
    assert all(chunk.text.startswith("The desk") and chunk.text.endswith(".") for chunk in chunks)


def test_a_section_starts_a_chunk_and_lends_it_its_heading() -> None:
    text = f"1 Hotels\n{SENTENCE} {SENTENCE}\n2 Meals\n{SENTENCE}"
    headings = (Heading(1, 0, "1 Hotels"), Heading(1, text.index("2 Meals"), "2 Meals"))
    first, second = cut(document(text, headings=headings))
    assert (first.heading, second.heading) == ("1 Hotels", "2 Meals")
    assert second.text.startswith("2 Meals")
    assert second.embedded.startswith("Rules > 2 Meals\n2 Meals")


def test_a_heading_carries_over_to_the_next_page() -> None:
    subject = document(f"Hotels\n{SENTENCE}", SENTENCE, headings=(Heading(1, 0, "Hotels"),))
    assert [chunk.heading for chunk in cut(subject)] == ["Hotels", "Hotels"]


def test_a_heading_is_never_the_last_line_of_a_chunk() -> None:
    before = " ".join([SENTENCE] * 2)
    text = f"{before}\nMeals\n{' '.join([SENTENCE] * 6)}"
    chunks = cut(document(text, headings=(Heading(1, len(before) + 1, "Meals"),)), tokens=40)
    assert not any(chunk.text.endswith("Meals") for chunk in chunks)


def test_a_page_that_only_holds_a_heading_makes_no_chunk() -> None:
    subject = document("Part Two", SENTENCE, headings=(Heading(1, 0, "Part Two"),))
    [chunk] = cut(subject)
    assert (chunk.page, chunk.heading) == (2, "Part Two")


def test_a_heading_that_repeats_the_title_is_left_out_of_the_header() -> None:
    [chunk] = cut(document(SENTENCE, headings=(Heading(1, 0, "RULES"),)))
    assert chunk.header == "Rules"


def test_the_rows_of_a_table_stay_whole_and_together() -> None:
    rows = [f"Class {letter} up to {n} crowns, {n + 1} at sea" for n, letter in enumerate("ABCDE")]
    prose = " ".join([SENTENCE] * 2)
    chunks = cut(document(f"{prose}\n\nLimits by class\n" + "\n".join(rows)), tokens=60)
    [table] = [chunk for chunk in chunks if "Class A" in chunk.text]
    assert all(row in table.text for row in rows)


def test_a_long_table_is_cut_between_rows() -> None:
    rows = [
        f"Class {number} costs {number * 7} crowns or {number * 9} marks" for number in range(30)
    ]
    chunks = cut(document("\n".join(rows)), tokens=50)
    lines = [line for chunk in chunks for line in chunk.text.split("\n")]
    assert lines == rows


@pytest.mark.parametrize("before", range(1, 8))
def test_what_announces_a_list_stays_with_its_beginning(before: int) -> None:
    wanted = "A form", "A copy", "A photo", "A letter", "A stamp"
    items = "\n".join(f"- {each} for the office" for each in wanted)
    prose = " ".join([SENTENCE] * before)
    chunks = cut(document(f"{prose}\n\nPlease bring the following:\n{items}"), tokens=24)
    assert any("following:\n- A form" in chunk.text for chunk in chunks)


@pytest.mark.parametrize(("before", "after"), [(1, 3), (2, 2), (3, 1), (3, 3)])
def test_a_short_list_is_not_cut_between_its_items(before: int, after: int) -> None:
    items = "\n".join(f"- {each} for the office" for each in ("A form", "A copy", "A photo"))
    text = (
        f"{' '.join([SENTENCE] * before)}\nPlease bring:\n{items}\n{' '.join([SENTENCE] * after)}"
    )
    chunks = cut(document(text), tokens=45)
    assert any(f"Please bring:\n{items}" in chunk.text for chunk in chunks)


@pytest.mark.parametrize("before", range(1, 8))
def test_the_names_of_a_tables_columns_stay_with_its_first_row(before: int) -> None:
    rows = "\n".join(f"{years}-Year 2.{years} 4.{years}" for years in range(3, 7))
    prose = " ".join([SENTENCE] * before)
    chunks = cut(
        document(f"{prose}\n\nRates Fees Costs\nDuration Real Nominal\n\n{rows}"), tokens=40
    )
    assert any("Costs\nDuration Real Nominal\n\n3-Year" in chunk.text for chunk in chunks)


def test_running_lines_are_not_in_any_chunk() -> None:
    pages = [f"Quillon 2031\n{SENTENCE} Part {n}.\nPage {n} of 4" for n in ("one", "two", "six")]
    chunks = cut(document(*pages))
    assert len(chunks) == 3
    assert not any("Quillon 2031" in chunk.text for chunk in chunks)


BODIES = [f"{SENTENCE} {word} ends here." for word in ("Spring", "Summer", "Autumn", "Winter")]


def test_a_page_number_is_in_no_chunk_wherever_it_counts_from() -> None:
    numbers = ("xi", "xii", "xiii", "xiv")
    pages = [f"{body}\n- {number} -" for body, number in zip(BODIES, numbers, strict=True)]
    assert [chunk.text for chunk in cut(document(*pages))] == BODIES
    assert [chunk.text for chunk in cut(document(f"{SENTENCE}\nPage 1 of 1"))] == [SENTENCE]


def test_lines_at_the_edges_that_differ_in_what_they_count_are_no_running_lines() -> None:
    pages = [
        f"Invoice number 100{n}\nDue on 2031-0{n}-15\n{body}\nTotal due: {n * 7}.10"
        for n, body in enumerate(BODIES, start=1)
    ]
    assert [chunk.text for chunk in cut(document(*pages), tokens=90)] == pages


def test_a_number_that_ends_a_page_is_a_word_of_it() -> None:
    (chunk,) = cut(document(f"{SENTENCE} Berths for the week:\n46"))
    assert chunk.text.endswith("46")


def test_a_running_line_may_end_in_the_pages_own_number() -> None:
    pages = [f"Harbour rules, part 2 | {n}\n{body}" for n, body in enumerate(BODIES, start=1)]
    assert [chunk.text for chunk in cut(document(*pages))] == BODIES


def test_an_endless_word_is_cut_by_its_length() -> None:
    chunks = cut(document("x" * 5000), tokens=20)
    assert max(len(chunk.text) for chunk in chunks) <= 240
    assert "".join(chunk.text for chunk in chunks) == "x" * 5000


def test_a_long_header_leaves_less_room_for_the_text() -> None:
    title = " ".join(["word"] * 30)
    chunks = cut(document(" ".join([SENTENCE] * 9), title=title), tokens=50, window=60)
    assert max(len(token_spans(chunk.embedded)) for chunk in chunks) <= 60


def test_text_without_a_letter_or_digit_makes_no_chunk() -> None:
    assert cut(document("* * *\n--- \n ...")) == []


@pytest.mark.slow
def test_real_pdfs_fit_the_real_embedder(shared_pdfs: Path, minilm: object) -> None:
    for name in ("qed-tacl.pdf", "discount-rates-memo.pdf", "multicolumn.pdf", "habibi.pdf"):
        subject = read_pdf(shared_pdfs / name)
        chunks = chunk_document(
            subject,
            token_spans=minilm.token_spans,  # type: ignore[attr-defined]
            chunk_tokens=200,
            embedder="minilm",
            pipeline="test",
            window=254,
        )
        for chunk in chunks:
            assert chunk.text == subject.pages[chunk.page - 1].text[chunk.start : chunk.end]
            assert minilm.count_tokens(chunk.text) <= 200  # type: ignore[attr-defined]
            assert minilm.count_tokens(chunk.embedded) <= 254  # type: ignore[attr-defined]
        assert chunks
        assert not any(re.match(r"\d+$", chunk.text) for chunk in chunks)
