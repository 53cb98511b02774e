"""Documents, pages and chunks: what a reader gives and a store keeps."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath

NAMESPACE = uuid.UUID("6f7d2f0e-5f0a-5d0e-9a35-6d3c1b1c8f10")

KINDS = {
    ".pdf": "pdf",
    ".md": "markdown",
    ".markdown": "markdown",
    ".html": "html",
    ".htm": "html",
    ".txt": "text",
    ".docx": "docx",
}
"""The kinds of files that can be read, by suffix."""


def kind_of(source: str) -> str:
    """Tell a file's kind by its suffix; an unknown one is taken for a PDF."""
    return KINDS.get(PurePath(source).suffix.lower(), "pdf")


def place(source: str, page: int, label: str = "") -> str:
    """Name a page as a citation does: by its label and its number where they differ.

    Only a PDF has pages, other files are read in parts.
    """
    if kind_of(source) != "pdf":
        return f"part {page}"
    return f"p. {label} ({_ordinal(page)} page)" if label else f"p. {page}"


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if number % 100 in {11, 12, 13} else ending}"


@dataclass(frozen=True)
class Page:
    """One page's text as it is stored; every offset of the project refers to it.

    `label` is what the page calls itself, such as iv; "" where that is its number.
    """

    number: int
    text: str
    label: str = ""


@dataclass(frozen=True)
class Heading:
    """A heading and where it starts on its page."""

    page: int
    start: int
    text: str


@dataclass(frozen=True)
class Document:
    """A file's text by pages. `id` is the sha256 of the file's bytes, in hex.

    Where it is not `paged`, its pages are parts of a running text, without headers and footers.
    `remark` says what a person should know of how it was read.
    """

    id: str
    source: str
    title: str
    pages: tuple[Page, ...]
    headings: tuple[Heading, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    paged: bool = True
    remark: str = ""


@dataclass(frozen=True)
class Chunk:
    """A passage of one page: `text == page_text[start:end]`, never across a page.

    `page_label` is what the page calls itself where that is not its number, such as iv.
    """

    id: str
    text: str
    document: str
    source: str
    title: str
    page: int
    start: int
    end: int
    heading: str
    embedder: str
    page_label: str = ""

    @property
    def place(self) -> str:
        """Name the page as a citation does."""
        return place(self.source, self.page, self.page_label)

    @property
    def header(self) -> str:
        """Say where the passage stands: title, then heading."""
        return f"{self.title} > {self.heading}" if self.heading else self.title

    @property
    def embedded(self) -> str:
        """Give the text that is embedded and searched, which is more than what is cited."""
        return f"{self.header}\n{self.text}"


def chunk_id(  # noqa: PLR0917 - in the order of the id
    source: str, document: str, page: int, start: int, end: int, pipeline: str
) -> str:
    """Name a chunk by what it is, so that ingesting again changes nothing.

    The parts are joined by NUL, which occurs in none of them: plain concatenation would collide.
    """
    parts = (source, document, str(page), f"{start}-{end}", pipeline)
    return str(uuid.uuid5(NAMESPACE, "\0".join(parts)))
