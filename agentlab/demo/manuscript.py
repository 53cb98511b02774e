"""Manuscripts: the texts of the demo handbooks, parsed into blocks to draw."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["heading", "paragraph", "item", "caption", "table", "note", "columns"]


@dataclass(frozen=True)
class Block:
    """One thing on a page. `level` is a heading's depth, 1 for a chapter."""

    kind: Kind
    text: str = ""
    level: int = 0
    rows: tuple[tuple[str, ...], ...] = ()
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Manuscript:
    """A handbook before it is drawn."""

    title: str
    subtitle: str
    code: str
    version: str
    date: str
    owner: str
    blocks: tuple[Block, ...]

    @property
    def chapters(self) -> tuple[tuple[Block, ...], ...]:
        """Split the blocks at the headings of the first level."""
        starts = [i for i, block in enumerate(self.blocks) if block.level == 1]
        ends = [*starts[1:], len(self.blocks)]
        return tuple(self.blocks[start:end] for start, end in zip(starts, ends, strict=True))


def read_manuscript(path: Path) -> Manuscript:
    """Read one text; its first lines are `key: value`, up to an empty line."""
    head, body = path.read_text(encoding="utf-8").split("\n\n", 1)
    fields = dict(line.split(": ", 1) for line in head.splitlines())
    return Manuscript(**fields, blocks=tuple(_blocks(body)))


def _blocks(body: str) -> Iterator[Block]:
    columns = re.search(r"^:::columns\n(.*?)\n:::$", body, re.MULTILINE | re.DOTALL)
    if columns:
        yield from _blocks(body[: columns.start()])
        yield Block("columns", parts=tuple(columns[1].split("\n\n")))
        yield from _blocks(body[columns.end() :])
        return
    for paragraph in filter(None, (part.strip() for part in body.split("\n\n"))):
        yield from _block(paragraph.splitlines())


def _block(lines: list[str]) -> Iterator[Block]:
    first = lines[0]
    if heading := re.match(r"(#+) (.+)", first):
        yield Block("heading", text=heading[2], level=len(heading[1]))
    elif note := re.match(r"\[\^(\d)\]: (.+)", first):
        yield Block("note", text=f"{'¹²³'[int(note[1]) - 1]} {note[2]}")
    elif first.startswith("Table "):
        yield Block("caption", text=first)
        cells = (line.strip("| ").split("|") for line in lines[1:])
        yield Block("table", rows=tuple(tuple(cell.strip() for cell in row) for row in cells))
    elif first.startswith("- "):
        yield from (Block("item", text=line.removeprefix("- ")) for line in lines)
    else:
        yield Block("paragraph", text=" ".join(lines))
