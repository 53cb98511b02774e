"""Formats: one reader for each kind of file, chosen by the file's suffix.

    document = read_document(Path("handbook.docx"), max_bytes=2**29, max_pages=5000)
    document.pages[0].text, document.headings

A file of an unknown suffix is taken for a PDF, and refused where it is none.
"""

from collections.abc import Sequence
from pathlib import Path

from ingest.documents import Document, kind_of
from ingest.ocr import Ocr

__all__ = ["read_document"]


def read_document(
    path: Path,
    *,
    max_bytes: int,
    max_pages: int,
    passwords: Sequence[str] = (),
    ocr: Ocr | None = None,
) -> Document:
    """Read a file into a Document, or raise the DocumentError that says why not.

    `passwords` and `ocr` are for PDF files, which may be locked, and hold scans.
    """
    kind = kind_of(str(path))
    if kind == "markdown":
        from ingest.formats.markdown import read_markdown as read
    elif kind == "html":
        from ingest.formats.html import read_html as read
    elif kind == "text":
        from ingest.formats.text import read_text as read
    elif kind == "docx":
        from ingest.formats.word import read_word as read
    else:
        from ingest.pdf import read_pdf

        return read_pdf(
            path, passwords=passwords, max_bytes=max_bytes, max_pages=max_pages, ocr=ocr
        )
    return read(path, max_bytes=max_bytes, max_pages=max_pages)
