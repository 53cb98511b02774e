"""Reading Word files: all of the text in its order, and broken ones by name."""

import io
import zipfile
from pathlib import Path
from typing import Any

import docx
import pytest
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls, qn
from formats_fakes import HOTELS, MEALS, headings_of, read, text_of, write_word

from ingest.errors import (
    CorruptError,
    EncryptedError,
    NoTextError,
    TooLargeError,
    UnsupportedError,
)
from ingest.formats import word
from ingest.sentences import sentence_spans

OLD = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def test_all_text_is_read_in_order(tmp_path: Path) -> None:
    document = read(write_word(tmp_path / "a.docx"))
    assert text_of(document).split("\n\n") == [
        "Travel Rules",
        "These rules hold for all.",
        "Hotels",
        HOTELS,
        "- Keep the bill\n- Bring the bill\n1. Ask first\n2. Book then",
        "City | Limit\nNorthhaven | 142\nSouthhaven | 99",
        "Meals",
        MEALS,
        "Trains are fast\nNote: Except in the north.",
        "Seen.",
        "In a control.",
    ]
    assert headings_of(document) == ["Travel Rules", "Hotels", "Meals"]
    assert document.title == "Travel Rules"


def test_the_title_is_the_property_where_no_paragraph_is_one(tmp_path: Path) -> None:
    opened = docx.Document()
    opened.core_properties.title = "Rules of Travel"
    opened.add_heading("Hotels", level=1)
    opened.save(str(tmp_path / "a.docx"))
    assert read(tmp_path / "a.docx").title == "Rules of Travel"
    opened.core_properties.title = "Word Document"
    opened.save(str(tmp_path / "b.docx"))
    assert read(tmp_path / "b.docx").title == "Hotels"


def test_a_style_of_ones_own_is_a_heading_by_what_it_is_based_on(tmp_path: Path) -> None:
    opened = docx.Document()
    own = opened.styles.add_style("Kapitel", docx.enum.style.WD_STYLE_TYPE.PARAGRAPH)
    own.base_style = opened.styles["Heading 2"]
    opened.add_paragraph("Hotels", style="Kapitel")
    plain = opened.add_paragraph("Meals")
    plain._p.get_or_add_pPr().append(parse_xml(f'<w:outlineLvl {nsdecls("w")} w:val="2"/>'))
    opened.add_paragraph(HOTELS)
    opened.save(str(tmp_path / "a.docx"))
    document = read(tmp_path / "a.docx")
    assert headings_of(document) == ["Hotels", "Meals"]


def test_a_table_that_frames_text_is_read_through(tmp_path: Path) -> None:
    opened = docx.Document()
    cell = opened.add_table(rows=1, cols=1).cell(0, 0)
    cell.text = HOTELS
    cell.add_paragraph(MEALS)
    opened.save(str(tmp_path / "a.docx"))
    assert text_of(read(tmp_path / "a.docx")) == f"{HOTELS}\n\n{MEALS}"


def test_a_text_box_is_read_once(tmp_path: Path) -> None:
    inside = "<w:txbxContent><w:p><w:r><w:t>In a box.</w:t></w:r></w:p></w:txbxContent>"
    spaces = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    box = f"""<w:r {nsdecls("w")} {spaces}><mc:AlternateContent><mc:Choice>{inside}</mc:Choice>
        <mc:Fallback>{inside}</mc:Fallback></mc:AlternateContent></w:r>"""
    opened = docx.Document()
    opened.add_paragraph("Before.")._p.append(parse_xml(box))
    opened.save(str(tmp_path / "a.docx"))
    assert text_of(read(tmp_path / "a.docx")) == "Before.\n\nIn a box."


def test_a_file_without_properties_has_no_made_up_title_or_day(tmp_path: Path) -> None:
    opened = docx.Document()
    opened.add_paragraph(HOTELS)
    relations = opened.part.package.rels
    for each in [k for k, v in relations.items() if v.reltype.endswith("/core-properties")]:
        del relations[each]
    opened.save(str(tmp_path / "a.docx"))
    document = read(tmp_path / "a.docx")
    assert document.metadata == {}
    assert document.title == "a"


@pytest.mark.parametrize(
    ("kind", "start", "lines"),
    [
        ("decimal", 5, "5. Ask first\n6. Book then"),
        ("lowerLetter", 5, "- e) Ask first\n- f) Book then"),
        ("upperLetter", 26, "- Z) Ask first\n- AA) Book then"),
        ("lowerRoman", 3, "- iii) Ask first\n- iv) Book then"),
        ("upperRoman", 1, "- I) Ask first\n- II) Book then"),
        ("lowerLetter", 0, "0. Ask first\n- a) Book then"),
    ],
)
def test_list_items_are_numbered_as_the_file_says(
    tmp_path: Path, kind: str, start: int, lines: str
) -> None:
    opened = numbered(kind, start)
    opened.save(str(tmp_path / "a.docx"))
    text = text_of(read(tmp_path / "a.docx"))
    assert text == lines
    assert [text[first:last] for first, last in sentence_spans(text)] == lines.split("\n")


def test_a_list_may_begin_at_another_number_than_its_kind(tmp_path: Path) -> None:
    opened = numbered("decimal", 1)
    override = '<w:lvlOverride {} w:ilvl="0"><w:startOverride w:val="7"/></w:lvlOverride>'
    for each in opened.part.numbering_part.element.num_lst:
        each.append(parse_xml(override.format(nsdecls("w"))))
    opened.save(str(tmp_path / "a.docx"))
    assert text_of(read(tmp_path / "a.docx")) == "7. Ask first\n8. Book then"


def numbered(kind: str, start: int) -> Any:
    """Make a file of one numbered list."""
    opened = docx.Document()
    for level in opened.part.numbering_part.element.iter(qn("w:lvl")):
        level.find(qn("w:numFmt")).set(qn("w:val"), kind)
        level.find(qn("w:start")).set(qn("w:val"), str(start))
    for item in ("Ask first", "Book then"):
        opened.add_paragraph(item, style="List Number")
    return opened


def packed(**entries: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in entries.items():
            package.writestr(name, content)
    return data.getvalue()


@pytest.mark.parametrize(
    ("content", "error", "said"),
    [
        (b"PK\x03\x04 and nothing more", CorruptError, "File is not a zip file"),
        (packed(a=b"b"), CorruptError, "cannot be read as a Word file"),
        (b"%PDF-1.7", UnsupportedError, "not a Word file"),
        (OLD + b"...", UnsupportedError, "an old Word file .* save it as .docx"),
        (OLD + "EncryptedPackage".encode("utf-16-le"), EncryptedError, "locked by a password"),
    ],
)
def test_what_cannot_be_read_is_named(
    tmp_path: Path, content: bytes, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        read(tmp_path / "a.docx", content)


def test_a_file_cut_off_is_corrupt(tmp_path: Path) -> None:
    whole = write_word(tmp_path / "a.docx").read_bytes()
    for share in (0.2, 0.5, 0.9):
        with pytest.raises(CorruptError):
            read(tmp_path / "b.docx", whole[: int(share * len(whole))])


def test_a_file_that_unpacks_to_far_more_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = packed(**{"word/document.xml": b"0" * 70_000_000})
    with pytest.raises(TooLargeError, match="its text unpacks to 70,000,000 bytes"):
        read(tmp_path / "a.docx", bomb)
    (tmp_path / "b.docx").write_bytes(packed(**{"word/media/a.png": b"0" * 5000}))
    with pytest.raises(TooLargeError, match=r"the limit \(max_bytes\) is 1,000"):
        word.read_word(tmp_path / "b.docx", max_bytes=1000, max_pages=9)


def test_a_file_of_pictures_has_no_text(tmp_path: Path) -> None:
    docx.Document().save(str(tmp_path / "a.docx"))
    with pytest.raises(NoTextError, match="ocrmypdf"):
        read(tmp_path / "a.docx")
