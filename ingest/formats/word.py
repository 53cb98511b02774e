"""Word files (.docx): paragraphs, lists, tables and notes in the order of the text.

python-docx opens the package; the text is taken from its XML, since that is where content controls,
tracked changes, text boxes and notes are. What was deleted or hidden is left out, and so are
headers and footers of pages. A heading is what its style or outline level says.
"""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docx
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.oxml import parse_xml
from docx.oxml.ns import qn

from ingest.documents import Document
from ingest.errors import (
    CorruptError,
    DocumentError,
    EncryptedError,
    TooLargeError,
    UnsupportedError,
)
from ingest.formats.files import SPLIT, brief, load, usable_title
from ingest.formats.grids import grid_lines
from ingest.formats.parts import Block, Content, to_document
from ingest.layout import clean
from ingest.page_labels import numeral
from ingest.raised import raise_digits

MAX_XML_BYTES = 64 * 1024 * 1024
HEADING_LEVELS = 9
STYLE_STEPS = 12  # how far a style is followed to those that it is based on

_OLD_WORD = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_PROPERTIES = ("title", "author", "subject", "keywords", "category", "comments")
_PROTECTED = "EncryptedPackage".encode("utf-16-le")
_SKIPPED = {"del", "moveFrom", "Fallback", "txbxContent", "pPr", "rPr", "instrText", "delText"}
_CONTAINERS = {"sdt", "sdtContent", "ins", "moveTo", "customXml", "smartTag"}
_CHARACTERS = {"tab": " ", "ptab": " ", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_NUMERALS = {"lowerLetter": "/a", "upperLetter": "/A", "lowerRoman": "/r", "upperRoman": "/R"}
_NOTES = {"footnoteReference": "footnote", "endnoteReference": "endnote"}


def read_word(path: Path, *, max_bytes: int, max_pages: int) -> Document:
    """Read a Word file; the title is its title's paragraph, else its property, else a heading."""
    source = str(path)
    data = load(path, max_bytes=max_bytes)
    try:
        _check_package(data, source, max_bytes)
        opened = docx.Document(io.BytesIO(data))
        body = _Body(opened)
        blocks = list(body.blocks(opened.element.body))
        metadata = _metadata(opened)
    except (DocumentError, MemoryError):
        raise
    except Exception as error:  # a broken package makes the readers of zip and XML raise anything
        detail = f"it cannot be read as a Word file ({brief(error)})"
        raise CorruptError(source, detail, "get a fresh copy, or save it again in Word") from error
    content = Content(
        blocks,
        title=usable_title(body.title) or metadata.get("title", ""),
        metadata=metadata,
        no_text="if it holds pictures of pages, save it as PDF and add a text layer (ocrmypdf)",
    )
    return to_document(path, data, content, max_pages=max_pages)


def _check_package(data: bytes, source: str, max_bytes: int) -> None:
    """Refuse what is no package, what is locked, and what unpacks to far more than it is."""
    if data.startswith(_OLD_WORD):
        if _PROTECTED in data:
            advice = "take the password off in Word or LibreOffice and ingest the copy"
            raise EncryptedError(source, "locked by a password", advice)
        raise UnsupportedError(source, "an old Word file (.doc)", "save it as .docx")
    if not data.startswith(b"PK"):
        raise UnsupportedError(source, f"not a Word file (it begins with {data[:8]!r})")
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        entries = package.infolist()
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > max_bytes:
        detail = f"it unpacks to {unpacked:,} bytes, the limit (max_bytes) is {max_bytes:,}"
        raise TooLargeError(source, detail, SPLIT)
    largest = max(
        (e.file_size for e in entries if e.filename.endswith((".xml", ".rels"))), default=0
    )
    if largest > MAX_XML_BYTES:
        detail = f"its text unpacks to {largest:,} bytes, the limit is {MAX_XML_BYTES:,}"
        raise TooLargeError(source, detail, SPLIT)


def _metadata(opened: Any) -> dict[str, str]:
    """Give the properties of a file; python-docx makes some up where it has none."""
    relations = {each.reltype for each in opened.part.package.rels.values()}
    if RELATIONSHIP_TYPE.CORE_PROPERTIES not in relations:
        return {}
    properties = opened.core_properties
    metadata = {name: str(getattr(properties, name) or "") for name in _PROPERTIES}
    dates = {name: getattr(properties, name) for name in ("created", "modified")}
    metadata |= {name: day.date().isoformat() for name, day in dates.items() if day}
    return {name: value for name, value in metadata.items() if value}


class _Body:
    """Reads the elements of a file's body."""

    def __init__(self, opened: Any) -> None:
        self.title = ""
        self._styles = _Styles(opened.styles.element)
        self._numbering = _Numbering(_related(opened.part, RELATIONSHIP_TYPE.NUMBERING))
        self._notes = _read_notes(opened.part)
        self._in_list = False

    def blocks(self, parent: Any) -> Iterator[Block]:
        """Give the blocks below an element, in order."""
        for child in parent:
            name = _name(child)
            if name == "p":
                yield from self._paragraph(child)
            elif name == "tbl":
                self._in_list = False
                yield from self._table(child)
            elif name in _CONTAINERS:
                yield from self.blocks(child)

    def _paragraph(self, element: Any) -> Iterator[Block]:
        notes: list[str] = []
        text = "\n".join(filter(None, map(clean, self._text(element, notes).split("\n"))))
        if text:
            yield self._block(element, text)
        for note in notes:
            yield Block(f"Note: {note}", gap=False)
        for box in element.iter(qn("w:txbxContent")):
            if not any(_name(each) in {"Fallback", "txbxContent"} for each in box.iterancestors()):
                yield from self.blocks(box)

    def _block(self, element: Any, text: str) -> Block:
        level = self._styles.level(element)
        if level:
            self._in_list = False
            text = text.replace("\n", " ")
            if self._styles.is_title(element):
                self.title = self.title or text
            return Block(text, level=level)
        marker = self._numbering.marker(self._styles.numbering(element))
        block = Block(marker + text, gap=not (marker and self._in_list))
        self._in_list = bool(marker)
        return block

    def _text(self, element: Any, notes: list[str]) -> str:
        """Give the text below an element, and add the notes that it refers to."""
        parts: list[str] = []
        for child in element:
            name = _name(child)
            if name in _SKIPPED or (name == "r" and _is_hidden(child)):
                continue
            if name == "t":
                parts.append(child.text or "")
            elif name in _CHARACTERS:
                parts.append(_CHARACTERS[name])
            elif name in _NOTES:
                note = self._notes.get((_NOTES[name], child.get(qn("w:id"))))
                notes += [note] if note else []
            else:
                text = self._text(child, notes)
                behind = "".join(parts[-1:])[-1:].strip()
                raised = name == "r" and behind and _is_raised(child)
                parts.append(raise_digits(text) if raised else text)
        return "".join(parts)

    def _table(self, element: Any) -> Iterator[Block]:
        """Give a line for each row; a table that only frames or lays out text is read through."""
        rows = [
            [list(self.blocks(cell)) for cell in _children(row, "tc")]
            for row in _children(element, "tr")
        ]
        inside = [block for row in rows for cell in row for block in cell]
        if sum(map(len, rows)) == 1 or any(block.level for block in inside):
            yield from inside
            return
        grid = [[" ".join(" ".join(b.text.split()) for b in cell) for cell in row] for row in rows]
        filled = [row for row in grid if any(row)]
        marked = element.find(f"{qn('w:tr')}/{qn('w:trPr')}/{qn('w:tblHeader')}") is not None
        for place, line in enumerate(grid_lines(filled, headed=marked)):
            yield Block(line, gap=not place)
        self._in_list = False


class _Styles:
    """What the paragraph styles say: levels of headings, and lists."""

    def __init__(self, element: Any) -> None:
        self._by_id = {each.get(qn("w:styleId")): each for each in element.iter(qn("w:style"))}

    def level(self, paragraph: Any) -> int:
        """Give the level of a heading from 1, or 0."""
        for each in self._chain(paragraph):
            outline = each.find(f"{qn('w:pPr')}/{qn('w:outlineLvl')}")
            name = _style_name(each)
            if name == "title":
                return 1
            if name.startswith("heading ") and name[8:].isdigit():
                return max(1, min(HEADING_LEVELS, int(name[8:])))
            if outline is not None:
                level = _number(outline) + 1
                return level if 1 <= level <= HEADING_LEVELS else 0
        return 0

    def is_title(self, paragraph: Any) -> bool:
        """Tell whether this is the title of the document."""
        return any(_style_name(each) == "title" for each in self._chain(paragraph))

    def numbering(self, paragraph: Any) -> tuple[int, int] | None:
        """Give the list of a paragraph and its level in it, or None."""
        for each in self._chain(paragraph):
            found = each.find(f"{qn('w:pPr')}/{qn('w:numPr')}")
            if found is not None:
                list_id, level = found.find(qn("w:numId")), found.find(qn("w:ilvl"))
                return (
                    0 if list_id is None else _number(list_id),
                    0 if level is None else _number(level),
                )
        return None

    def _chain(self, paragraph: Any) -> list[Any]:
        """Give the paragraph, its style, and the styles that this one is based on."""
        chain = [paragraph]
        reference = paragraph.find(f"{qn('w:pPr')}/{qn('w:pStyle')}")
        while reference is not None and len(chain) < STYLE_STEPS:
            style = self._by_id.get(reference.get(qn("w:val")))
            if style is None:
                break
            chain.append(style)
            reference = style.find(qn("w:basedOn"))
        return chain


class _Numbering:
    """The lists of a file: which have bullets, and how far the numbers of the others are."""

    def __init__(self, element: Any | None) -> None:
        self._formats: dict[tuple[int, int], str] = {}
        self._starts: dict[tuple[int, int], int] = {}
        self._next: dict[tuple[int, int], int] = {}
        if element is None:
            return
        abstract = {
            each.get(qn("w:abstractNumId")): each for each in element.iter(qn("w:abstractNum"))
        }
        for each in element.iter(qn("w:num")):
            reference = each.find(qn("w:abstractNumId"))
            lists = None if reference is None else abstract.get(reference.get(qn("w:val")))
            for level in () if lists is None else lists.iter(qn("w:lvl")):
                kind = level.find(qn("w:numFmt"))
                key = (int(each.get(qn("w:numId"))), int(level.get(qn("w:ilvl"))))
                self._formats[key] = "bullet" if kind is None else kind.get(qn("w:val"))
                start = level.find(qn("w:start"))
                self._starts[key] = 1 if start is None else _number(start)
            for override in each.iter(qn("w:lvlOverride")):
                start = override.find(qn("w:startOverride"))
                key = (int(each.get(qn("w:numId"))), int(override.get(qn("w:ilvl"))))
                if start is not None:
                    self._starts[key] = _number(start)

    def marker(self, numbering: tuple[int, int] | None) -> str:
        """Give what stands before the next item of a list, "" where there is no list."""
        if numbering is None or not numbering[0]:
            return ""
        list_id, level = numbering
        number = self._next.get(numbering, self._starts.get(numbering, 1))
        self._next[numbering] = number + 1
        for other in list(self._next):
            if other[0] == list_id and other[1] > level:
                del self._next[other]
        indent = "  " * max(0, min(level, HEADING_LEVELS))
        kind = self._formats.get(numbering, "bullet")
        if kind in {"bullet", "none"}:
            return f"{indent}- "
        if written := numeral(_NUMERALS.get(kind, ""), number):
            # Without a bullet not all letters begin an item, and a dot may end a sentence.
            return f"{indent}- {written}) "
        return f"{indent}{number}. "


def _read_notes(part: Any) -> dict[tuple[str, str | None], str]:
    """Give the text of footnotes and endnotes by kind and id."""
    notes: dict[tuple[str, str | None], str] = {}
    for kind, relation in (
        ("footnote", RELATIONSHIP_TYPE.FOOTNOTES),
        ("endnote", RELATIONSHIP_TYPE.ENDNOTES),
    ):
        element = _related(part, relation)
        for note in () if element is None else element.iter(qn(f"w:{kind}")):
            words = " ".join("".join(each.itertext(qn("w:t"))) for each in note.iter(qn("w:p")))
            notes[kind, note.get(qn("w:id"))] = clean(" ".join(words.split()))
    return notes


def _related(part: Any, relation: str) -> Any | None:
    """Give the XML of a related part, or None where the file has none."""
    try:
        related = part.part_related_by(relation)
    except KeyError:
        return None
    return parse_xml(related.blob)


def _children(parent: Any, name: str) -> Iterator[Any]:
    """Give the children of a name, also those inside content controls and tracked changes."""
    for child in parent:
        if _name(child) == name:
            yield child
        elif _name(child) in _CONTAINERS:
            yield from _children(child, name)


def _is_hidden(run: Any) -> bool:
    vanish = run.find(f"{qn('w:rPr')}/{qn('w:vanish')}")
    return vanish is not None and vanish.get(qn("w:val")) not in {"0", "false", "off"}


def _is_raised(run: Any) -> bool:
    above = run.find(f"{qn('w:rPr')}/{qn('w:vertAlign')}")
    return above is not None and above.get(qn("w:val")) == "superscript"


def _style_name(element: Any) -> str:
    name = element.find(qn("w:name"))
    return "" if name is None else (name.get(qn("w:val")) or "").lower()


def _number(element: Any) -> int:
    return int(element.get(qn("w:val")) or 0)


def _name(element: Any) -> str:
    """Give an element's name without its namespace; a comment has none."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
