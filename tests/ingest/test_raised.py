"""Raised digits: what stands above the line is not run together with what it marks."""

from collections.abc import Callable
from pathlib import Path

import docx
import pytest
from fpdf import FPDF

from ingest.formats import read_document
from ingest.pdf import read_pdf
from ingest.raised import raise_digits, without_mark
from ingest.words import content_words

WRITTEN = "A mass of 10⁶ tons, 30 m² of floor, a rate of 2.9 %¹ and 71 of 1,234² for CO2 at 10⁻⁴."
PARTS = (
    *("A mass of 10", "6", " tons, 30 m", "2", " of floor, a rate of 2.9 %", "1"),
    *(" and 71 of 1,234", "2", " for CO2 at 10", "-4", "."),
)


def _pdf(folder: Path) -> Path:
    pdf = FPDF()
    pdf.add_page()
    pdf.set_font("Helvetica", size=11)
    for place, part in enumerate(PARTS):
        pdf.char_vpos = "SUP" if place % 2 else "LINE"
        pdf.write(8, part)
    path = folder / "raised.pdf"
    path.write_bytes(bytes(pdf.output()))
    return path


def _word(folder: Path) -> Path:
    document = docx.Document()
    paragraph = document.add_paragraph()
    for place, part in enumerate(PARTS):
        paragraph.add_run(part).font.superscript = bool(place % 2)
    path = folder / "raised.docx"
    document.save(str(path))
    return path


def _html(folder: Path) -> Path:
    parts = [f"<sup>{part}</sup>" if place % 2 else part for place, part in enumerate(PARTS)]
    path = folder / "raised.html"
    path.write_text(f"<title>Rates</title><p>{''.join(parts)}</p>", encoding="utf-8")
    return path


def _text(path: Path) -> str:
    return read_document(path, max_bytes=10**6, max_pages=9).pages[0].text


@pytest.mark.parametrize("write", [_pdf, _word, _html])
def test_raised_digits_are_not_read_as_part_of_a_number(
    write: Callable[[Path], Path], tmp_path: Path
) -> None:
    text = " ".join(_text(write(tmp_path)).split())
    assert text == WRITTEN


def test_a_linked_mark_is_raised_and_words_above_the_line_stay(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text(
        '<p>It rose to 2.9 %<sup><a href="#n">2</a></sup> on the 5<sup>th</sup> of May.</p>'
        "<p><sup>2</sup> Since the year before.</p>",
        encoding="utf-8",
    )
    text = _text(path)
    assert text.split("\n\n") == [
        "It rose to 2.9 %² on the 5th of May.",
        "2 Since the year before.",
    ]


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("2.9 %²", "2.9 %"),
        ("the corpus³", "the corpus"),
        ("It was released.¹⁰", "It was released."),
        ("10⁶", "10⁶"),
        ("30 m²", "30 m²"),
        ("⁶", "⁶"),
    ],
)
def test_a_footnote_has_a_mark_and_a_unit_its_exponent(text: str, bare: str) -> None:
    assert without_mark(text) == bare


def test_only_short_numbers_are_raised() -> None:
    assert raise_digits("-12") == "⁻¹²"
    assert [raise_digits(text) for text in ("th", "2031", "2.5")] == ["th", "2031", "2.5"]


def test_a_mark_does_not_keep_words_from_meeting() -> None:
    assert content_words("three annotators⁵") == content_words("three annotators")


def test_real_pages_keep_exponents_marks_and_the_lines_that_they_stand_in(
    shared_pdfs: Path,
) -> None:
    memo = read_pdf(shared_pdfs / "discount-rates-memo.pdf").pages[0].text
    assert "inflation rate: 1.2 %¹" in memo
    assert "BLCC5 is 1.2 %. ² The long-term inflation rate" in memo
    countries = read_pdf(shared_pdfs / "multicolumn.pdf").pages[2].text
    assert "Area (km²) 83,879; Capital Vienna; Official Language German." in countries
    paper = read_pdf(shared_pdfs / "qed-tacl.pdf").pages
    assert "learning rate of 3 · 10⁻⁴" in paper[7].text
    assert "Matthew Lamm¹∗, Jennimaria Palomaki², Chris Alberti²," in paper[0].text
