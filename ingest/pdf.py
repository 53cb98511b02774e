"""PDF files: read one into a Document, or say with a typed error why not.

pypdfium2 reads first: it is fast and, on the whole, the most faithful. pypdf gives the metadata and
the pages' labels, reads what pdfium cannot open, and reads again the pages that pdfium garbles.
"""

import hashlib
import io
import itertools
import logging
import re
import statistics
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pypdf
import pypdf.errors
import pypdfium2
import pypdfium2.raw as pdfium_c

from ingest.amounts import count
from ingest.documents import Document, Page
from ingest.errors import (
    CorruptError,
    DocumentError,
    EncryptedError,
    NoTextError,
    TooLargeError,
    UnsupportedError,
)
from ingest.formats.files import brief, load, name_as_title, usable_title
from ingest.glyphs import Measured, measure, whole_lines
from ingest.layout import (
    Line,
    clean,
    find_headings,
    join_divided,
    mend_divisions,
    page_text,
    title_line,
)
from ingest.ocr import Ocr
from ingest.page_labels import page_labels
from ingest.scans import read_images
from ingest.tables import named_rows

MAX_BYTES = 512 * 1024 * 1024
MAX_PAGES = 5000
GOOD_QUALITY = 0.75
SECOND_READINGS = 200
LETTERS_PER_PAGE = 3
_METADATA = ("author", "subject", "keywords", "creator", "producer")


@dataclass(frozen=True)
class _Reading:
    """What a reader gave: lines by page, outline as (page number, title)."""

    pages: list[list[Line]]
    outline: list[tuple[int, str]]


def read_pdf(
    path: Path,
    *,
    passwords: Sequence[str] = (),
    max_bytes: int = MAX_BYTES,
    max_pages: int = MAX_PAGES,
    ocr: Ocr | None = None,
) -> Document:
    """Read a PDF into pages of text with headings; the passwords are tried in order.

    Raises a DocumentError whose `reason` is unsupported, encrypted, corrupt, no_text or too_large.
    """
    source = str(path)
    data = _load(path, max_bytes)
    reading, password = _unlock(data, source, passwords, max_pages)
    lines = _best_of_both(data, password, reading)
    remark = ""
    if ocr and not ocr.obstacle:
        lines, remark = read_images(data, password, lines, ocr)
    placed = [page_text(rows) for rows in mend_divisions(lines)]
    metadata, labels = _described(data, password, len(placed))
    pages = tuple(
        Page(number, text, "" if label == str(number) else label)
        for number, ((text, _), label) in enumerate(zip(placed, labels, strict=True), 1)
    )
    letters = sum(char.isalnum() for page in pages for char in page.text)
    if letters < LETTERS_PER_PAGE * len(pages):
        raise _no_text(source, len(pages), ocr, remark)
    lines = [rows for _, rows in placed]
    headings = find_headings(pages, lines, reading.outline)
    return Document(
        id=hashlib.sha256(data).hexdigest(),
        source=source,
        title=usable_title(metadata.get("title", ""))
        or title_line(lines[0], headings)
        or name_as_title(path),
        pages=pages,
        headings=headings,
        metadata=metadata,
        remark=remark,
    )


def quality(text: str) -> float:
    """Rate extracted text from 0 (garbled) to 1: control characters, lone glyphs, newlines."""
    tokens = text.split()
    if not tokens:
        return 0.0
    visible = sum(map(len, tokens))
    controls = sum(
        ord(c) < 32 or "\ue000" <= c <= "\uf8ff" or c == "\ufffd" for c in "".join(tokens)
    )
    lone = sum(len(token) == 1 for token in tokens) / len(tokens)
    newlines = text.count("\n") / len(tokens)
    fault = 10 * controls / visible + max(0.0, lone - 0.35) + max(0.0, newlines - 0.4)
    return max(0.0, 1.0 - fault)


def _load(path: Path, max_bytes: int) -> bytes:
    data = load(path, max_bytes=max_bytes)
    if b"%PDF-" not in data[:1024]:
        raise UnsupportedError(str(path), f"not a PDF (it begins with {data[:8]!r})")
    return data


def _unlock(
    data: bytes, source: str, passwords: Sequence[str], max_pages: int
) -> tuple[_Reading, str | None]:
    """Read with the first password that fits, of which the first is none; give it, too."""
    for password in (None, *passwords):
        try:
            return _read(data, source, password, max_pages), password
        except EncryptedError:
            continue
    detail = "locked by a password"
    if passwords:
        detail += ", and none of those given opens it"
    raise EncryptedError(source, detail)


def _read(data: bytes, source: str, password: str | None, max_pages: int) -> _Reading:
    try:
        return _read_with_pdfium(data, source, password, max_pages)
    except CorruptError:
        return _read_with_pypdf(data, source, password, max_pages)


def _no_text(source: str, pages: int, ocr: Ocr | None, remark: str) -> NoTextError:
    """Say what a person can do about a scan, which depends on what OCR has done."""
    detail = f"{count(pages, 'page')} without text"
    layer = "add a text layer (ocrmypdf scan.pdf text.pdf) and ingest that"
    if ocr is None:
        return NoTextError(source, detail, f"it looks like a scan: use --ocr auto, or {layer}")
    if ocr.obstacle:
        detail = f"{detail}, and {ocr.obstacle.detail}"
        return NoTextError(
            source, detail, f"it looks like a scan: {ocr.obstacle.remedy}, or {layer}"
        )
    if remark:
        detail = f"{detail} that can be used ({remark})"
    return NoTextError(source, detail, "leave it out, or get a better scan")


def _read_with_pdfium(data: bytes, source: str, password: str | None, max_pages: int) -> _Reading:
    _forget_last_error()
    try:
        pdf = pypdfium2.PdfDocument(data, password=password)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) == pdfium_c.FPDF_ERR_PASSWORD:
            raise EncryptedError(source, "locked by a password") from error
        raise CorruptError(source, "pdfium cannot open it") from error
    with closing(pdf):
        _check_pages(len(pdf), source, max_pages)
        pages = [_pdfium_lines(pdf, index) for index in range(len(pdf))]
        return _Reading(pages, _pdfium_outline(pdf))


def _forget_last_error() -> None:
    """Replace the error that pdfium keeps of an earlier file: it may open none and set no other."""
    with suppress(pypdfium2.PdfiumError):
        pypdfium2.PdfDocument(b"no PDF").close()


def _check_pages(count: int, source: str, max_pages: int) -> None:
    if count == 0:
        raise CorruptError(source, "it has no pages")
    if count > max_pages:
        raise TooLargeError(source, f"{count:,} pages, the limit (max_pages) is {max_pages:,}")


def _pdfium_outline(pdf: pypdfium2.PdfDocument) -> list[tuple[int, str]]:
    entries = []
    for bookmark in pdf.get_toc():
        target = bookmark.get_dest()
        index = target.get_index() if target else None
        if index is not None:
            with suppress(UnicodeDecodeError):  # a title that was cut within a letter
                entries.append((index + 1, bookmark.get_title()))
    return entries


def _pdfium_lines(pdf: pypdfium2.PdfDocument, index: int) -> list[Line]:
    """Read a page's lines with their looks; a page that fails alone counts as blank."""
    try:
        page = pdf[index]
    except pypdfium2.PdfiumError:
        return []
    with closing(page), closing(page.get_textpage()) as text_page:
        text = whole_lines(text_page.raw, text_page.get_text_range())
        measured = [measure(text_page.raw, match) for match in re.finditer(r"[^\r\n]+", text)]
        return _name_rows([each for each in measured if each.line.text])


def _name_rows(measured: Sequence[Measured]) -> list[Line]:
    """Write the rows of tables with their columns' names, and set each table's rows apart."""
    named = named_rows([each.row for each in measured])
    return [
        replace(
            each.line,
            text=named.get(place, each.line.text),
            gap=gap or (place in named) != (place - 1 in named),
        )
        for place, (each, gap) in enumerate(zip(measured, _gaps(measured), strict=True))
    ]


def _gaps(lines: Sequence[Measured]) -> list[bool]:
    """Tell of each line whether it stands clearly further below the last than lines here do."""
    steps = [above.last_top - below.top for above, below in itertools.pairwise(lines)]
    usual = [step for step in steps if step > 1]
    if not usual:
        return [False] * len(lines)
    pitch = statistics.median(usual)
    return [False, *(step > 1.4 * pitch or step < -pitch for step in steps)]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep pypdf's log lines and warnings from the terminal: the outcome says it all."""
    logger = logging.getLogger("pypdf")
    before = logger.disabled, logger.level
    children = [
        child
        for name, child in logging.root.manager.loggerDict.items()
        if name.startswith("pypdf.") and isinstance(child, logging.Logger) and not child.disabled
    ]
    logger.disabled = True
    logger.setLevel(logging.CRITICAL + 1)
    for child in children:
        child.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled, level = before
        logger.setLevel(level)
        for child in children:
            child.disabled = False


def _open_with_pypdf(data: bytes, password: str | None) -> pypdf.PdfReader:
    return pypdf.PdfReader(io.BytesIO(data), strict=False, password=password)


def _read_with_pypdf(data: bytes, source: str, password: str | None, max_pages: int) -> _Reading:
    """Read what pdfium cannot open: pypdf repairs some broken cross-reference tables."""
    try:
        with _quiet():
            reader = _open_with_pypdf(data, password)
            _check_pages(len(reader.pages), source, max_pages)
            pages = [_pypdf_lines(page) for page in reader.pages]
    except (DocumentError, MemoryError):
        raise
    except (pypdf.errors.FileNotDecryptedError, pypdf.errors.WrongPasswordError) as error:
        raise EncryptedError(source, "locked by a password") from error
    except Exception as error:  # a broken file makes pypdf raise nearly anything
        raise CorruptError(source, f"neither reader can open it ({brief(error)})") from error
    return _Reading(pages, [])


def _pypdf_lines(page: pypdf.PageObject) -> list[Line]:
    try:
        text = page.extract_text()
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - one broken page counts as blank, the others are read
        return []
    return [Line(line) for line in join_divided(filter(None, map(clean, text.splitlines())))]


def _best_of_both(data: bytes, password: str | None, reading: _Reading) -> list[list[Line]]:
    """Read the garbled pages again with pypdf, and keep whichever text is clearly better."""
    texts = ["\n".join(line.text for line in lines) for lines in reading.pages]
    doubtful = [i for i, text in enumerate(texts) if text and quality(text) < GOOD_QUALITY]
    pages = list(reading.pages)
    if not doubtful:
        return pages
    try:
        with _quiet():
            reader = _open_with_pypdf(data, password)
            if len(reader.pages) != len(pages):  # then its pages are other ones
                return pages
            for index in doubtful[:SECOND_READINGS]:
                second = _pypdf_lines(reader.pages[index])
                if quality("\n".join(line.text for line in second)) > quality(texts[index]) + 0.05:
                    pages[index] = second
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - the first reading stands where pypdf cannot open the file
        return pages
    return pages


def _described(data: bytes, password: str | None, pages: int) -> tuple[dict[str, str], list[str]]:
    """Give the metadata that has a value, and the pages' labels; what is broken gives none."""
    metadata: dict[str, str] = {}
    labels = [""] * pages
    # Both are niceties, the text is what counts; a broken file makes pypdf raise nearly anything.
    with suppress(Exception), _quiet():
        reader = _open_with_pypdf(data, password)
        with suppress(Exception):
            metadata = _metadata(reader.metadata or {})
        labels = page_labels(reader.root_object, pages)
    return metadata, labels


def _metadata(info: Mapping[str, Any]) -> dict[str, str]:
    values = {name: str(info.get(f"/{name.title()}") or "") for name in ("title", *_METADATA)}
    values["created"] = str(info.get("/CreationDate") or "")
    cleaned = {name: clean(value.replace("\n", " ")) for name, value in values.items()}
    return {name: value for name, value in cleaned.items() if value}
