"""Reading PDFs: real ones, ones made here, and broken ones."""

import logging
import pickle
from pathlib import Path

import pypdf
import pypdfium2
import pytest
from fpdf import FPDF
from ingest_fakes import Handbook, write_pdf
from pypdf.generic import ByteStringObject, NameObject

from ingest.errors import (
    CorruptError,
    DocumentError,
    EncryptedError,
    NoTextError,
    PathMissingError,
    TooLargeError,
    UnsupportedError,
)
from ingest.layout import BROKEN_HYPHEN, Line, body_spans, clean, mend_divisions
from ingest.pdf import quality, read_pdf

HOTELS = "A night in Northhaven is paid up to 142 crowns. Ask the desk before you book."


def test_pages_title_and_metadata_are_read(tmp_path: Path) -> None:
    path = write_pdf(tmp_path / "travel.pdf", [[("", HOTELS)], [("", "Two")]], title="Travel Rules")
    document = read_pdf(path)
    assert document.title == "Travel Rules"
    assert document.source == str(path)
    assert len(document.id) == 64
    assert [page.number for page in document.pages] == [1, 2]
    assert document.pages[0].text == HOTELS
    assert document.metadata["title"] == "Travel Rules"


def test_headings_are_the_lines_that_look_like_one(tmp_path: Path) -> None:
    pages = [[("1 Hotels", HOTELS * 4), ("2 Meals", HOTELS * 4)]]
    document = read_pdf(write_pdf(tmp_path / "a.pdf", pages))
    assert [heading.text for heading in document.headings] == ["1 Hotels", "2 Meals"]
    for heading in document.headings:
        assert document.pages[0].text[heading.start :].startswith(heading.text)


def test_an_outline_entry_is_found_on_its_page(tmp_path: Path) -> None:
    pdf = FPDF()
    pdf.add_page()
    pdf.set_font("Helvetica", size=11)
    pdf.multi_cell(0, 6, HOTELS * 3, new_x="LMARGIN", new_y="NEXT")
    pdf.start_section("Meals abroad")
    pdf.cell(0, 6, "Meals abroad", new_x="LMARGIN", new_y="NEXT")
    pdf.multi_cell(0, 6, HOTELS * 3)
    (tmp_path / "a.pdf").write_bytes(bytes(pdf.output()))
    headings = read_pdf(tmp_path / "a.pdf").headings
    assert [heading.text for heading in headings] == ["Meals abroad"]


def test_an_outline_entry_cut_within_a_letter_costs_no_more_than_itself(tmp_path: Path) -> None:
    whole = write_pdf(tmp_path / "whole.pdf", [[("", "Fares are paid back within a month.")]])
    writer = pypdf.PdfWriter(clone_from=str(whole))
    entry = writer.add_outline_item(title="Fares", page_number=0).get_object()
    half_a_pair = ByteStringObject("\ufeffFares".encode("utf-16-be") + b"\xd8\x3d")
    entry[NameObject("/Title")] = half_a_pair
    writer.write(str(tmp_path / "cut.pdf"))
    assert read_pdf(tmp_path / "cut.pdf").pages == read_pdf(whole).pages


def test_a_bold_row_of_a_table_is_no_heading(tmp_path: Path) -> None:
    pdf = Handbook()
    pdf.add_page()
    pdf.prose(HOTELS * 4)
    pdf.set_font("Helvetica", style="B", size=11)
    for name in ("City", "Limit", "Season"):
        pdf.cell(60, 8, name)
    pdf.ln()
    (tmp_path / "a.pdf").write_bytes(bytes(pdf.output()))
    document = read_pdf(tmp_path / "a.pdf")
    assert "City Limit Season" in document.pages[0].text
    assert document.headings == ()


def test_running_headers_and_footers_stand_outside_the_body(tmp_path: Path) -> None:
    words = ["hotels", "meals", "flights", "trains"]
    pages = [[(word.title(), f"All about {word}. {HOTELS * 3}")] for word in words]
    document = read_pdf(write_pdf(tmp_path / "a.pdf", pages, running="Quillon Ltd 2031"))
    assert [heading.text for heading in document.headings] == [word.title() for word in words]
    for page, (start, end) in zip(document.pages, body_spans(document.pages), strict=True):
        assert page.text.startswith("Quillon Ltd 2031")
        assert page.text[start:end].startswith(words[page.number - 1].title())
        assert "Page" not in page.text[start:end]


def test_pages_that_are_all_alike_keep_their_body(tmp_path: Path) -> None:
    document = read_pdf(write_pdf(tmp_path / "a.pdf", [[("", "Notice of closure")]] * 4))
    assert body_spans(document.pages) == [(0, len("Notice of closure"))] * 4


def test_a_name_serves_as_title_where_nothing_better_is_there(tmp_path: Path) -> None:
    path = write_pdf(tmp_path / "leave_rules-2031.pdf", [[("", HOTELS)]], title="Untitled")
    assert read_pdf(path).title == "leave rules 2031"


def test_a_locked_pdf_is_named_and_opens_with_its_password(tmp_path: Path) -> None:
    path = write_pdf(tmp_path / "locked.pdf", [[("", HOTELS)]], password="quillon")
    with pytest.raises(EncryptedError, match=r"locked\.pdf: locked by a password; give its"):
        read_pdf(path)
    with pytest.raises(EncryptedError, match="none of those given opens it"):
        read_pdf(path, passwords=["wrong"])
    assert read_pdf(path, passwords=["wrong", "quillon"]).pages[0].text == HOTELS


@pytest.mark.parametrize(
    ("content", "error", "says"),
    [
        (b"", UnsupportedError, "empty"),
        (b"PK\x03\x04 a zip file", UnsupportedError, "not a PDF"),
        (b"%PDF-1.7\nnothing that a reader could use", CorruptError, "neither reader"),
    ],
)
def test_what_is_no_whole_pdf_is_refused_with_its_reason(
    tmp_path: Path, content: bytes, error: type[DocumentError], says: str
) -> None:
    path = tmp_path / "odd.pdf"
    path.write_bytes(content)
    with pytest.raises(error, match=says) as caught:
        read_pdf(path)
    assert caught.value.source == str(path)
    assert caught.value.advice in str(caught.value)


def test_a_pdf_cut_short_is_repaired_or_called_corrupt_in_silence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    whole = write_pdf(tmp_path / "whole.pdf", [[("", HOTELS)]] * 5).read_bytes()
    logging.getLogger("pypdf").setLevel(logging.DEBUG)
    reasons = set()
    for share in (0.1, 0.3, 0.5, 0.7, 0.9, 0.99):
        path = tmp_path / "part.pdf"
        path.write_bytes(whole[: int(len(whole) * share)])
        try:
            read_pdf(path)
        except DocumentError as error:
            reasons.add(error.reason)
    assert reasons <= {"corrupt", "no_text"}
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


def test_a_pdf_without_text_is_called_a_scan(tmp_path: Path) -> None:
    pdf = FPDF()
    pdf.add_page()
    pdf.rect(20, 20, 80, 80, style="F")
    (tmp_path / "scan.pdf").write_bytes(bytes(pdf.output()))
    with pytest.raises(NoTextError, match="1 page without text; it looks like a scan"):
        read_pdf(tmp_path / "scan.pdf")


def test_limits_on_bytes_and_pages_hold(tmp_path: Path) -> None:
    path = write_pdf(tmp_path / "a.pdf", [[("", HOTELS)]] * 3)
    with pytest.raises(TooLargeError, match="max_bytes"):
        read_pdf(path, max_bytes=100)
    with pytest.raises(TooLargeError, match="3 pages"):
        read_pdf(path, max_pages=2)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(PathMissingError, match=r"gone\.pdf: it does not exist"):
        read_pdf(tmp_path / "gone.pdf")


def test_errors_survive_pickling(tmp_path: Path) -> None:
    error = EncryptedError("a.pdf", "locked by a password")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.reason, again.source) == (str(error), "encrypted", "a.pdf")
    assert isinstance(again, PermissionError)


def test_the_page_that_the_second_reader_reads_better_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_pdf(tmp_path / "a.pdf", [[("", HOTELS)], [("", "The second page is fine.")]])
    import ingest.pdf

    read = ingest.pdf._pdfium_lines

    def garbled(pdf: object, index: int) -> list[Line]:
        lines = read(pdf, index)
        return [Line(char) for line in lines for char in line.text] if index == 0 else lines

    monkeypatch.setattr(ingest.pdf, "_pdfium_lines", garbled)
    pages = read_pdf(path).pages
    assert pages[0].text.split() == HOTELS.split()
    assert pages[1].text == "The second page is fine."


def test_a_reader_that_counts_other_pages_does_not_lend_their_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_pdf(tmp_path / "a.pdf", [[("", HOTELS)], [("", "The second page is fine.")]])
    path.write_bytes(path.read_bytes().replace(b"/Type /Page\n", b"/Type /Pgae\n", 1))
    assert len(pypdf.PdfReader(path).pages) == 1
    lone = [Line(char) for char in "garbled"]
    monkeypatch.setattr("ingest.pdf._pdfium_lines", lambda pdf, index: lone)
    assert "second page" not in read_pdf(path).pages[0].text


def test_quality_tells_prose_from_garbage() -> None:
    assert quality(HOTELS) == 1.0
    assert quality("\n".join("A night in Northhaven")) < 0.5
    assert quality("fluctua\x00ons and \x01\x02 defini\x00ons") < 0.5
    assert quality("") == 0.0


def test_ligatures_and_invisible_characters_are_cleaned() -> None:
    assert (
        clean("The \ufb01rst e\ufb00ort\u00ad\u200b\x00 \u00a0 counts\t")
        == "The first effort counts"
    )


def test_what_turns_the_direction_of_a_text_and_halves_of_characters_are_cleaned() -> None:
    assert clean("pay \u202egnp.exe\u202c \u2066now\u2069 \ud83d") == "pay gnp.exe now"


def test_words_divided_at_a_line_end_are_joined_and_compounds_kept() -> None:
    texts = [f"debuggabil{BROKEN_HYPHEN}ity", f"long{BROKEN_HYPHEN}term", "a long-term plan"]
    [mended] = mend_divisions([[Line(text) for text in texts]])
    assert [line.text for line in mended] == ["debuggability", "long-term", "a long-term plan"]


def test_words_divided_at_a_line_end_are_joined_by_the_second_reader_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "The quaran-\ntine lasts. Mind the North-\nSea ferry and the quarantine."
    path = write_pdf(tmp_path / "divided.pdf", [[("", text)]])

    def closed(*_: object, **__: object) -> None:
        raise pypdfium2.PdfiumError("broken")

    monkeypatch.setattr(pypdfium2, "PdfDocument", closed)
    read = read_pdf(path).pages[0].text
    assert "The quarantine lasts. Mind the North-\nSea ferry" in read


def test_real_pdfs_are_read_or_refused_by_name(shared_pdfs: Path) -> None:
    reasons = {}
    titles = {}
    for path in sorted(shared_pdfs.glob("*.pdf")):
        if path.name.startswith("GeoTopo"):
            continue
        try:
            titles[path.name] = read_pdf(path).title
        except DocumentError as error:
            reasons[path.name] = error.reason
    assert reasons == {
        "grayscale-image.pdf": "no_text",
        "libreoffice-writer-password.pdf": "encrypted",
    }
    assert titles["blcc-faqs.pdf"] == "BLCC Frequently Asked Questions (FAQs) (08/11/2025)"
    assert titles["discount-rates-memo.pdf"] == "discount rates memo"
    assert titles["qed-tacl.pdf"].startswith("QED: A Framework and Dataset")


def test_a_real_paper_gives_its_sections_and_whole_words(shared_pdfs: Path) -> None:
    document = read_pdf(shared_pdfs / "qed-tacl.pdf")
    texts = [heading.text for heading in document.headings]
    assert {"Abstract", "1 Introduction", "2.1 Basic Definitions", "5.2 Results"} <= set(texts)
    assert "debuggability, extensibility, and trust" in document.pages[0].text
    assert not any(BROKEN_HYPHEN in page.text for page in document.pages)


def test_a_real_locked_pdf_opens_with_its_password(shared_pdfs: Path) -> None:
    path = shared_pdfs / "libreoffice-writer-password.pdf"
    assert read_pdf(path, passwords=["openpassword"]).pages[0].text
