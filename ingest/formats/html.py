"""HTML: what a person reads of a page, as blocks of text.

Lexbor parses as browsers do. The main part is taken where a page marks one; scripts, navigation,
forms' controls and whatever is hidden are left out, and so are images. A table of data gives a line
for each row; a table that lays out a page (one with tables or headings inside) is read through.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from selectolax.lexbor import LexborHTMLParser, LexborNode

from ingest.documents import Document
from ingest.errors import CorruptError
from ingest.formats.files import load_text
from ingest.formats.grids import CELL, cells_in, grid_lines
from ingest.formats.parts import Block, Content, to_document
from ingest.layout import clean, printable
from ingest.raised import raise_digits

DEEPEST = 20_000  # elements within each other: the parser's time grows with the square of it
MAIN_LETTERS = 100
DEEPEST_INDENT = 6

_CHARSET = re.compile(
    rb"""(?:<meta[^>]{1,200}?charset|^\s*<\?xml[^>]{1,200}?encoding)\s*=\s*["']?\s*([\w.:-]+)""",
    re.IGNORECASE,
)
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
_SPACES = re.compile(r"[ \t\n\r\f]+")
_HIDING = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_UNCLOSED = set(
    "area base br col dd dt embed hr img input li link meta option p source td th tr track "
    "wbr".split()
)
_LEFT_OUT = set(
    "script style noscript template head title nav svg canvas iframe object audio video map button "
    "select textarea datalist input img rp rt annotation annotation-xml".split()
)
_ROLES = {"navigation", "search", "menu", "menubar", "toolbar", "contentinfo", "dialog"}
_BLOCKS = set(
    "address article aside blockquote body caption center dd details dialog dir div dl dt fieldset "
    "figcaption figure footer form header hgroup hr html legend li main menu ol p pre section "
    "summary table tbody td tfoot th thead tr ul".split()
) | set(_HEADINGS)
_SECTIONS = {"article", "main", "section"}
_LISTS = {"ul", "ol", "menu", "dir"}
_PERMALINKS = {"¶", "#", "§", "🔗"}
_SCRIPTED = "it may be a page that a script fills in: save it from a browser as PDF"


def read_html(path: Path, *, max_bytes: int, max_pages: int) -> Document:
    """Read an HTML file; the title is its title, else its first heading."""
    data, text, remark = load_text(path, max_bytes=max_bytes, charset=_CHARSET)
    tree = parse(text, str(path))
    title = tree.css_first("head > title")
    content = Content(
        html_blocks(tree),
        title=title.text() if title else "",
        remark=remark,
        no_text=_SCRIPTED,
    )
    return to_document(path, data, content, max_pages=max_pages)


def parse(text: str, source: str) -> LexborHTMLParser:
    """Parse HTML; raise CorruptError where its elements stand absurdly deep in each other."""
    depth = 0
    for match in _TAG.finditer(text):
        if match.group(2).lower() not in _UNCLOSED:
            depth = max(0, depth - 1) if match.group(1) else depth + 1
            if depth > DEEPEST:
                detail = f"more than {DEEPEST:,} elements within each other"
                raise CorruptError(source, detail, "open it in a browser and save what it shows")
    return LexborHTMLParser(text)


def html_blocks(tree: LexborHTMLParser) -> list[Block]:
    """Read the main part of a page, or all of it where none is marked."""
    main = tree.css_first("main, [role=main]")
    if main is not None:
        blocks = _Collector().collect(main)
        if sum(char.isalpha() for block in blocks for char in block.text) >= MAIN_LETTERS:
            return blocks
    return _Collector().collect(tree.body) if tree.body is not None else []


class _Collector:
    """Collects blocks on a walk through a tree."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self._words: list[str] = []
        self._lists: list[int | None] = []  # the next number of each list, None where it has none
        self._marker = ""
        self._level = 0
        self._gap = True
        self._pre = 0
        self._sections = 0
        self._data_tables = 0
        self._cells = self._heads = 0  # of the row of a table that is being read
        self._rows: list[int] = []  # the places of its rows among the blocks
        self._headed = False

    def collect(self, root: LexborNode) -> list[Block]:
        _visit(root, self._enter, self._leave)
        self._flush()
        return self.blocks

    def _enter(self, node: LexborNode) -> bool:
        """Begin a node; tell whether to go into it."""
        if node.is_text_node:
            self._add(node)
            return False
        tag = node.tag or ""
        if not node.is_element_node or self._is_left_out(tag, node):
            return False
        self._sections += tag in _SECTIONS
        if tag == "br":
            self._words.append("\n")
        elif self._data_tables:
            self._enter_in_table(tag)
        elif tag in _BLOCKS:
            self._enter_block(tag, node)
        return True

    def _enter_in_table(self, tag: str) -> None:
        if tag == "tr":
            self._flush()
            self._cells = self._heads = 0
        elif tag in {"td", "th"}:
            self._words += [CELL] if self._cells else []
            self._cells += 1
            self._heads += tag == "th"
        elif tag in _BLOCKS:
            self._words.append(" ")

    def _enter_block(self, tag: str, node: LexborNode) -> None:
        self._flush()
        if tag in _HEADINGS:
            self._level = _HEADINGS[tag]
            self._marker = ""
        elif tag in _LISTS:
            self._lists.append(_first_number(node) if tag == "ol" else None)
            self._gap = len(self._lists) == 1
        elif tag == "li":
            self._begin_item()
        elif tag == "dd":
            self._gap = False
        elif tag == "pre":
            self._pre += 1
        elif tag == "table" and _holds_data(node):
            self._data_tables += 1

    def _begin_item(self) -> None:
        number = self._lists[-1] if self._lists else None
        if number is not None:
            self._lists[-1] = number + 1
        indent = "  " * min(DEEPEST_INDENT, max(0, len(self._lists) - 1))
        self._marker = indent + ("- " if number is None else f"{number}. ")

    def _leave(self, node: LexborNode) -> None:
        tag = node.tag or ""
        self._sections -= tag in _SECTIONS
        if tag not in _BLOCKS:
            return
        if self._data_tables and tag not in {"caption", "tr", "table"}:
            self._words.append(" ")
            return
        before = len(self.blocks)
        self._flush()
        if tag in _HEADINGS:
            self._level = 0
        elif tag == "pre":
            self._pre -= 1
        elif tag == "li":
            self._marker = ""
            self._gap = False
        elif tag in _LISTS and self._lists:
            self._lists.pop()
            self._gap = not self._lists
        elif tag == "tr" and len(self.blocks) > before:
            if not self._rows:
                self._headed = self._heads == self._cells
            self._rows.append(before)
        elif tag == "table":
            self._name_rows()
            self._data_tables = max(0, self._data_tables - 1)
            self._gap = True

    def _name_rows(self) -> None:
        """Write the rows of the table that ends with the names of its columns."""
        rows = [cells_in(self.blocks[place].text) for place in self._rows]
        for place, line in zip(self._rows, grid_lines(rows, headed=self._headed), strict=True):
            self.blocks[place] = replace(self.blocks[place], text=line)
        self._rows.clear()

    def _add(self, node: LexborNode) -> None:
        text = node.text_content or ""
        if text.strip() in _PERMALINKS and node.parent is not None and node.parent.tag == "a":
            return
        if self._words and self._words[-1][-1:].strip() and _is_raised(node):
            text = raise_digits(text)
        self._words.append(text if self._pre else _SPACES.sub(" ", text))

    def _flush(self) -> None:
        """End the block that is being read."""
        raw = "".join(self._words)
        self._words.clear()
        if self._pre:
            text = "\n".join(line.rstrip() for line in printable(raw).split("\n")).strip("\n")
        elif self._level or self._data_tables:
            text = clean(" ".join(raw.split()))
        else:
            text = "\n".join(line for line in map(clean, raw.split("\n")) if line)
        if not text.strip(CELL):
            return
        self.blocks.append(Block(self._marker + text, level=self._level, gap=self._gap))
        self._marker = ""
        self._gap = not (self._lists or self._data_tables)

    def _is_left_out(self, tag: str, node: LexborNode) -> bool:
        if tag in _LEFT_OUT or (tag in {"footer", "aside"} and not self._sections):
            return True
        attributes = node.attributes
        if tag == "dialog" and "open" not in attributes:
            return True
        hidden = "hidden" in attributes and attributes["hidden"] != "until-found"
        return (
            hidden
            or attributes.get("aria-hidden") == "true"
            or (attributes.get("role") or "").lower() in _ROLES
            or bool(_HIDING.search(attributes.get("style") or ""))
        )


def _visit(
    root: LexborNode, enter: Callable[[LexborNode], bool], leave: Callable[[LexborNode], None]
) -> None:
    """Walk through a tree in order, without recursion: a page may be nested very deep."""
    node: LexborNode | None = root
    inside: list[LexborNode] = []
    while node is not None:
        went_in = enter(node)
        child = node.first_child if went_in else None
        if child is not None:
            inside.append(node)
            node = child
            continue
        if went_in:
            leave(node)
        while inside and node.next is None:
            node = inside.pop()
            leave(node)
        node = node.next if inside else None


def _is_raised(node: LexborNode) -> bool:
    """Tell whether a text stands above the line, itself or as a link that does."""
    parent = node.parent
    if parent is not None and parent.tag == "a":
        parent = parent.parent
    return parent is not None and parent.tag == "sup"


def _holds_data(table: LexborNode) -> bool:
    child = table.first_child
    while child is not None:
        if child.is_element_node and child.css_first("table, h1, h2, h3, h4, h5, h6") is not None:
            return False
        child = child.next
    return True


def _first_number(node: LexborNode) -> int:
    start = node.attributes.get("start") or ""
    return int(start) if re.fullmatch(r"\d{1,6}", start) else 1
