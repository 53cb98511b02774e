"""What the tests of formats share: files made on the spot, and how they are read."""

import io
import re
import zipfile
from pathlib import Path

import docx
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls

from ingest.documents import Document
from ingest.formats import read_document

HOTELS = "A night in Northhaven is paid up to 142 crowns. Ask the desk before you book."
MEALS = "Meals at sea are free. Meals on land are paid up to 31 crowns a day."
_NOTES = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/footnotes"


def write_word(path: Path) -> Path:
    """Write a Word file with headings, lists, a table, a footnote and tracked changes."""
    opened = docx.Document()
    opened.add_heading("Travel Rules", level=0)
    opened.add_paragraph("These rules hold for all.")
    opened.add_heading("Hotels", level=1)
    opened.add_paragraph(HOTELS)
    opened.add_paragraph("Keep the bill", style="List Bullet")
    opened.add_paragraph("Bring the bill", style="List Bullet")
    opened.add_paragraph("Ask first", style="List Number")
    opened.add_paragraph("Book then", style="List Number")
    table = opened.add_table(rows=0, cols=2)
    for city, limit in (("City", "Limit"), ("Northhaven", "142"), ("Southhaven", "99")):
        cells = table.add_row().cells
        cells[0].text, cells[1].text = city, limit
    opened.add_heading("Meals", level=2)
    opened.add_paragraph(MEALS).runs[0].font.bold = True
    changed = opened.add_paragraph("Trains are ")
    changed._p.append(
        parse_xml(f"<w:del {nsdecls('w')}><w:r><w:delText>slow</w:delText></w:r></w:del>")
    )
    changed._p.append(parse_xml(f"<w:ins {nsdecls('w')}><w:r><w:t>fast</w:t></w:r></w:ins>"))
    changed._p.append(parse_xml(f'<w:r {nsdecls("w")}><w:footnoteReference w:id="2"/></w:r>'))
    secret = opened.add_paragraph("Seen. ").add_run("Unseen.")
    secret.font.hidden = True
    control = f"""<w:sdt {nsdecls("w")}><w:sdtContent><w:p><w:r><w:t>In a control.</w:t></w:r></w:p>
        </w:sdtContent></w:sdt>"""
    opened.element.body.insert_element_before(parse_xml(control), "w:sectPr")
    saved = io.BytesIO()
    opened.save(saved)
    path.write_bytes(_with_footnote(saved.getvalue(), "Except in the north."))
    return path


def _with_footnote(data: bytes, note: str) -> bytes:
    """Add a part for footnotes to a Word file; the one with id 2 holds the note."""
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            text = old.read(name)
            if name == "word/_rels/document.xml.rels":
                link = f'<Relationship Id="rId99" Type="{_NOTES}" Target="footnotes.xml"/>'
                text = re.sub(b"(?=</Relationships>)", link.encode(), text)
            if name == "[Content_Types].xml":
                kind = (
                    "application/vnd.openxmlformats-officedocument.wordprocessingml.footnotes+xml"
                )
                part = f'<Override PartName="/word/footnotes.xml" ContentType="{kind}"/>'
                text = re.sub(b"(?=</Types>)", part.encode(), text)
            new.writestr(name, text)
        notes = f"""<w:footnotes {nsdecls("w")}><w:footnote w:id="2"><w:p><w:r><w:t>{note}</w:t>
            </w:r></w:p></w:footnote></w:footnotes>"""
        new.writestr("word/footnotes.xml", notes)
    return changed.getvalue()


def read(path: Path, content: str | bytes | None = None) -> Document:
    """Write a file and read it by its suffix."""
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_document(path, max_bytes=2**29, max_pages=5000)


def text_of(document: Document) -> str:
    """Give the text of all parts."""
    return "\n\n".join(page.text for page in document.pages)


def headings_of(document: Document) -> list[str]:
    """Give the headings, each as it stands at its place in the text."""
    texts = {page.number: page.text for page in document.pages}
    for heading in document.headings:
        assert texts[heading.page][heading.start :].startswith(heading.text)
    return [heading.text for heading in document.headings]
