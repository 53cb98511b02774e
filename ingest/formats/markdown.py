"""Markdown: front matter, and the rest by way of the HTML that it stands for.

markdown-it-py writes the HTML (CommonMark with tables), and the reader of HTML reads it, so that
HTML inside Markdown is read as such too. Links and images leave their words.
"""

import re
from pathlib import Path

import yaml
from markdown_it import MarkdownIt

from ingest.documents import Document
from ingest.errors import CorruptError, TooLargeError
from ingest.formats.files import SPLIT, load_text
from ingest.formats.html import html_blocks, parse
from ingest.formats.parts import Content, to_document
from ingest.layout import clean

MAX_CHARACTERS = 8_000_000  # of one file: the parser is written in Python
MAX_BRACKETS = 100_000  # without a blank line: its time grows with the square of them

_FRONT = re.compile(r"---[ \t]*\n(.{0,20000}?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_BLANK_LINES = re.compile(r"\n[ \t]*\r?\n")
_ALIAS = re.compile(r"(?:^|[\s\[{,:-])[*&]\w", re.MULTILINE)
_MOST_KEYS = 30


def read_markdown(path: Path, *, max_bytes: int, max_pages: int) -> Document:
    """Read a Markdown file; the title is that of the front matter, else the first heading."""
    data, text, remark = load_text(path, max_bytes=max_bytes)
    _check(text, str(path))
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    metadata, body = split_front_matter(text)
    parser = MarkdownIt("commonmark", {"maxNesting": 60}).enable(["table", "strikethrough"])
    content = Content(
        html_blocks(parse(parser.render(body), str(path))),
        title=metadata.get("title", ""),
        metadata=metadata,
        remark=remark,
    )
    return to_document(path, data, content, max_pages=max_pages)


def _check(text: str, source: str) -> None:
    """Refuse what the parser would take very long for."""
    if len(text) > MAX_CHARACTERS:
        detail = f"{len(text):,} characters, the limit for Markdown is {MAX_CHARACTERS:,}"
        raise TooLargeError(source, detail, SPLIT)
    brackets = max(paragraph.count("[") for paragraph in _BLANK_LINES.split(text))
    if brackets > MAX_BRACKETS:
        detail = f"{brackets:,} brackets without a blank line, the limit is {MAX_BRACKETS:,}"
        raise CorruptError(source, detail, "rename it to .txt to have it read as plain text")


def split_front_matter(text: str) -> tuple[dict[str, str], str]:
    """Take the YAML at the top off; what is no mapping is text like any other."""
    match = _FRONT.match(text)
    if not match or _ALIAS.search(match.group(1)):  # aliases can make a few lines endless
        return {}, text
    try:
        front = yaml.safe_load(match.group(1))
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}, text
    if not isinstance(front, dict):
        return {}, text
    told = {_plain(key).lower(): _plain(value) for key, value in list(front.items())[:_MOST_KEYS]}
    if isinstance(front.get("title"), list):
        del told["title"]
    return {key: value for key, value in told.items() if key and value}, text[match.end() :]


def _plain(value: object) -> str:
    """Write a value on one line; a list by its items, anything deeper not at all."""
    if isinstance(value, list):
        return ", ".join(filter(None, map(_plain, value)))
    return "" if value is None or isinstance(value, dict) else clean(" ".join(str(value).split()))
