"""Parts: what the pages are to a file that has none.

A citation should lead a person to the place. A running text has no page numbers, so it is divided
at its headings into parts of about one printed page to two, and cited by its title, the number of
the part and the heading ("Travel Rules, part 2, Hotels"). The heading is what a person looks for;
the number tells two headings of the same words apart. It is not called a section, since the text
may number its sections otherwise. What is short stays whole.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ingest.documents import Document, Heading, Page
from ingest.errors import NoTextError, TooLargeError
from ingest.formats.files import SPLIT, name_as_title, usable_title
from ingest.layout import TITLE_LENGTH

SHORT = 1_500  # characters below which a part goes on past a heading
LONG = 6_000  # characters beyond which it ends wherever a block does
LONGEST_HEADING = 300
LETTERS = 3


@dataclass(frozen=True)
class Block:
    """A paragraph, item, row, or heading of a `level` from 1; `gap` is a blank line before it."""

    text: str
    level: int = 0
    gap: bool = True


@dataclass(frozen=True)
class Content:
    """What a reader found in a file: blocks, and what the file says of itself."""

    blocks: Sequence[Block]
    title: str = ""
    metadata: Mapping[str, str] | None = None
    remark: str = ""
    no_text: str = "there is nothing in it to read: leave it out"


def to_document(path: Path, data: bytes, content: Content, *, max_pages: int) -> Document:
    """Put what was found in a file together; raise NoTextError or TooLargeError."""
    source = str(path)
    pages, headings = divide(content.blocks)
    if sum(char.isalnum() for page in pages for char in page.text) < LETTERS:
        raise NoTextError(source, "it holds no text", content.no_text)
    if len(pages) > max_pages:
        detail = f"{len(pages):,} parts, the limit (max_pages) is {max_pages:,}"
        raise TooLargeError(source, detail, SPLIT)
    first = next((usable_title(heading.text) for heading in headings), "")
    return Document(
        id=hashlib.sha256(data).hexdigest(),
        source=source,
        title=usable_title(content.title) or first or name_as_title(path),
        pages=pages,
        headings=headings,
        metadata=content.metadata or {},
        paged=False,
        remark=content.remark,
    )


def divide(blocks: Iterable[Block]) -> tuple[tuple[Page, ...], tuple[Heading, ...]]:
    """Divide blocks into parts; the headings come with their places in the parts' text."""
    bounded = [piece for block in blocks for piece in _bounded(block)]
    top = _dividing_level(bounded)
    parts: list[list[Block]] = []
    size = 0
    for block in bounded:
        if not parts or _starts_part(block, parts[-1][-1], size, top):
            parts.append([])
            size = 0
        parts[-1].append(block)
        size += len(block.text)
    pages: list[Page] = []
    headings: list[Heading] = []
    for number, part in enumerate(parts, 1):
        text = ""
        for block in part:
            text += ("\n\n" if block.gap else "\n") if text else ""
            if block.level:
                headings.append(Heading(number, len(text), block.text[:TITLE_LENGTH]))
            text += block.text
        pages.append(Page(number, text))
    return tuple(pages), tuple(headings)


def _dividing_level(blocks: Sequence[Block]) -> int:
    """Give the level that divides: the topmost of which there are two, so not a lone title."""
    counts = Counter(block.level for block in blocks if block.level)
    return min((level for level, count in counts.items() if count > 1), default=1)


def _starts_part(block: Block, before: Block, size: int, top: int) -> bool:
    if before.level:
        return False
    if block.level:
        return size >= (SHORT if block.level <= top else LONG / 2)
    return size + len(block.text) > LONG


def _bounded(block: Block) -> Iterator[Block]:
    """Give a block without what is too long: a heading like that is none, a body is cut."""
    if block.level and len(block.text) > LONGEST_HEADING:
        block = replace(block, level=0)
    start = 0
    while len(block.text) - start > LONG:
        piece = block.text[start : start + LONG]
        joints = [*re.finditer(r"\n+", piece)] or [*re.finditer(r"\s+", piece)]
        end, after = joints[-1].span() if joints and joints[-1].start() else (LONG, LONG)
        yield replace(block, text=piece[:end], gap=block.gap and not start)
        start += after
    if start < len(block.text):
        yield replace(block, text=block.text[start:], gap=block.gap and not start)
