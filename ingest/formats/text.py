"""Plain text: its paragraphs as they stand, line by line, with the lines that look like headings.

UTF-8, or what a byte order mark says; anything else is read as windows-1252 and reported so.
"""

import re
from dataclasses import replace
from pathlib import Path

from ingest.documents import Document
from ingest.formats.files import load_text
from ingest.formats.parts import Block, Content, to_document
from ingest.layout import printable

_BREAK = re.compile(r"\n(?:[ \t]*\n)+|\f")
_UNDERLINE = re.compile(r"(=|-|~|\*)\1{2,}")
_NUMBERED = re.compile(r"(\d{1,2}(?:\.\d{1,2}){0,3})\.?[ \t]+[^\W\d_]")
_NAMED = re.compile(r"(?:chapter|part|section|appendix|article)\s+[\dIVXLA-H]+\b", re.IGNORECASE)


def read_text(path: Path, *, max_bytes: int, max_pages: int) -> Document:
    """Read a file of plain text."""
    data, text, remark = load_text(path, max_bytes=max_bytes)
    content = Content(text_blocks(text), remark=remark)
    return to_document(path, data, content, max_pages=max_pages)


def text_blocks(text: str) -> list[Block]:
    """Cut at blank lines; a short line of its own with a heading's look is one."""
    blocks: list[Block] = []
    for paragraph in _BREAK.split(text.replace("\r\n", "\n").replace("\r", "\n")):
        lines = [line.rstrip() for line in printable(paragraph).split("\n")]
        lines = [line for line in lines if line.strip()]
        if len(lines) > 1 and _UNDERLINE.fullmatch(lines[1].strip()) and _is_short(lines[0]):
            level = 1 if lines[1].strip()[0] in "=*" else 2
            blocks.append(Block(lines[0].strip(), level=level))
            lines = lines[2:]
        if len(lines) == 1:
            blocks.append(Block(lines[0].strip(), level=_level(lines[0].strip())))
        elif lines:
            blocks.append(Block("\n".join(lines)))
    return _without_bare_headings(blocks)


def _level(line: str) -> int:
    """Give the level of a heading, or 0 where a line does not look like one."""
    if not _is_short(line):
        return 0
    if numbered := _NUMBERED.match(line):
        return 2 + numbered.group(1).count(".")
    return 1 if line.isupper() or _NAMED.match(line) else 0


def _is_short(line: str) -> bool:
    letters = sum(char.isalpha() for char in line)
    return letters >= 3 and len(line.strip()) <= 80 and line.strip()[-1] not in ".,;:!?"


def _without_bare_headings(blocks: list[Block]) -> list[Block]:
    """Take headings for what they are where most have text below them, else for items of a list."""
    following = [*blocks, Block("", level=1)][1:]
    bare = [
        bool(after.level) and after.level <= block.level
        for block, after in zip(blocks, following, strict=True)
        if block.level
    ]
    if 2 * sum(bare) <= len(bare):
        return blocks
    return [replace(block, level=0) for block in blocks]
