"""What the tests of ingest share: an embedder without a model, and PDFs made on the spot."""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from fpdf import FPDF

from ingest.config import IngestConfig
from ingest.documents import Document
from ingest.errors import DocumentError
from ingest.evidence import background_questions
from ingest.formats import read_document

_TOKEN = re.compile(r"\w+|[^\w\s]")


def token_spans(text: str) -> list[tuple[int, int]]:
    """Take words and marks for tokens."""
    return [match.span() for match in _TOKEN.finditer(text)]


def read_here(
    paths: Iterable[Path], config: IngestConfig
) -> Iterator[tuple[Path, Document | DocumentError]]:
    """Read files as read_documents does, but in this process, which need not be started first."""
    for path in paths:
        try:
            yield path, read_document(path, max_bytes=config.max_bytes, max_pages=config.max_pages)
        except DocumentError as error:
            yield path, error


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have an ingest read in this process, and measure the collection with few questions."""
    asked = background_questions()[:8]
    monkeypatch.setattr("ingest.pipeline.read_documents", read_here)
    monkeypatch.setattr("ingest.collection.background_questions", lambda: asked)


class WordEmbedder:
    """Vectors of hashed words: alike texts are near, and nothing is learned."""

    dimension = 64
    max_tokens = 256

    def __init__(self, name: str = "words") -> None:
        self.name = name
        self.encoded: list[str] = []

    def encode(
        self, texts: Sequence[str], progress: Callable[[int], None] | None = None
    ) -> np.ndarray:
        self.encoded += texts
        vectors = np.full((len(texts), self.dimension), 1e-3, dtype=np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+", text.lower()):
                place = int(hashlib.sha256(word.encode()).hexdigest(), 16) % self.dimension
                vectors[row, place] += 1
        normalised: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return normalised

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        return token_spans(text)

    def count_tokens(self, text: str) -> int:
        return len(token_spans(text))


class Handbook(FPDF):
    """A page layout with a running header and footer."""

    running = ""

    def header(self) -> None:
        if self.running:
            self.set_font("Helvetica", size=8)
            self.cell(0, 6, self.running, new_x="LMARGIN", new_y="NEXT")

    def footer(self) -> None:
        if self.running:
            self.set_y(-15)
            self.set_font("Helvetica", size=8)
            self.cell(0, 6, f"Page {self.page_no()} of 9")

    def heading(self, text: str) -> None:
        self.set_font("Helvetica", style="B", size=15)
        self.cell(0, 12, text, new_x="LMARGIN", new_y="NEXT")

    def prose(self, text: str) -> None:
        self.set_font("Helvetica", size=11)
        self.multi_cell(0, 6, text, new_x="LMARGIN", new_y="NEXT")


def write_pdf(
    path: Path,
    pages: Sequence[Sequence[tuple[str, str]]],
    *,
    title: str = "",
    running: str = "",
    password: str = "",
) -> Path:
    """Write a PDF whose pages are lists of (heading, prose)."""
    pdf = Handbook()
    pdf.running = running
    if title:
        pdf.set_title(title)
    if password:
        pdf.set_encryption(owner_password="owner", user_password=password)
    for page in pages:
        pdf.add_page()
        for heading, prose in page:
            if heading:
                pdf.heading(heading)
            if prose:
                pdf.prose(prose)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(pdf.output()))
    return path
