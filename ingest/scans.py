"""Scans: pages that are pictures, drawn by pdfium and read by OCR."""

from collections.abc import Sequence
from contextlib import closing

import pypdfium2
import pypdfium2.raw as pdfium_c

from ingest.layout import Line
from ingest.ocr import Image, Ocr, PageError, scale_of

LETTERS = 3  # fewer are no text: a page number stamped on a picture


def read_images(
    data: bytes, password: str | None, pages: Sequence[list[Line]], ocr: Ocr
) -> tuple[list[list[Line]], str]:
    """Read with OCR the pages without text, or all; also say what came of it.

    A page that OCR reads nothing on keeps the text that it has.
    """
    read = list(pages)
    wanted = [i for i, lines in enumerate(pages) if ocr.always or not _has_text(lines)]
    if not wanted:
        return read, ""
    try:
        pdf = pypdfium2.PdfDocument(data, password=password)
    except pypdfium2.PdfiumError:  # what only pypdf can open cannot be drawn
        return read, ""
    found: list[int] = []
    failed: dict[int, str] = {}
    with closing(pdf):
        for index in wanted:
            ocr.ask(2 * ocr.page_timeout_s)  # to draw it, and to read it
            try:
                image = _draw(pdf, index)
                lines = ocr.read(image) if image else []
            except PageError as error:
                failed[index + 1] = str(error)
                continue
            if _has_text(lines):
                read[index] = lines
                found.append(index + 1)
    return read, _remark(len(found), failed, len(pages))


def _has_text(lines: Sequence[Line]) -> bool:
    return sum(char.isalnum() for line in lines for char in line.text) >= LETTERS


def _draw(pdf: pypdfium2.PdfDocument, index: int) -> Image | None:
    """Draw a page; None where there is nothing on it, or it cannot be opened."""
    try:
        page = pdf[index]
    except pypdfium2.PdfiumError:
        return None
    with closing(page):
        if not pdfium_c.FPDFPage_CountObjects(page.raw):
            return None
        scale = scale_of(*page.get_size())
        try:
            bitmap = page.render(scale=scale, grayscale=True)
        except pypdfium2.PdfiumError as error:
            raise PageError("pdfium cannot draw it") from error
        with closing(bitmap):
            rows = bytes(bitmap.buffer)
            if bitmap.stride != bitmap.width:
                starts = range(0, bitmap.stride * bitmap.height, bitmap.stride)
                rows = b"".join(rows[start : start + bitmap.width] for start in starts)
            return Image(bitmap.width, bitmap.height, rows, dpi=max(70, round(72 * scale)))


def _remark(found: int, failed: dict[int, str], pages: int) -> str:
    parts = []
    if found:
        parts.append(f"{found} of {pages} {'page' if pages == 1 else 'pages'} read by OCR")
    if failed:
        number, reason = next(iter(failed.items()))
        others = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
        parts.append(f"OCR failed on page {number}{others}: {reason}")
    return "; ".join(parts)
