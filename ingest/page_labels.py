"""Page labels: what a reader sees as the number of a PDF's page, such as iv, 12 or A-3.

The tree of labels is walked here, within bounds: pdfium crashes on one that holds itself.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pypdf.generic import IndirectObject

from ingest.layout import clean

LONGEST = 24
"""The characters of a label; what is longer is no number that a person would look for."""
_MOST_ENTRIES = 100_000
_ROMAN = (
    ("m", 1000), ("cm", 900), ("d", 500), ("cd", 400), ("c", 100), ("xc", 90), ("l", 50),
    ("xl", 40), ("x", 10), ("ix", 9), ("v", 5), ("iv", 4), ("i", 1),
)  # fmt: skip


def page_labels(catalog: Mapping[str, Any], pages: int) -> list[str]:
    """Give the label of each page, "" where it has none (ISO 32000-1, 12.4.2)."""
    ranges = dict(_ranges(catalog.get("/PageLabels"), pages))
    labels: list[str] = []
    first = 0
    for index in range(pages):
        first = index if index in ranges else first
        labels.append(_label(ranges.get(first, {}), index - first))
    return labels


def _ranges(root: Any, pages: int) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Give the index of each range's first page, and how its pages are numbered."""
    waiting, seen, left = [root], set(), _MOST_ENTRIES
    while waiting and left > 0:
        node = waiting.pop()
        if isinstance(node, IndirectObject):
            if node.idnum in seen:
                continue
            seen.add(node.idnum)
        entries, kids = (_entries(node, name)[:left] for name in ("/Nums", "/Kids"))
        left -= 1 + len(entries) + len(kids)
        waiting += kids
        for index, value in zip(map(_resolved, entries[::2]), entries[1::2], strict=False):
            if isinstance(index, int) and 0 <= index < pages:
                style = _resolved(value)
                yield int(index), style if isinstance(style, Mapping) else {}


def _label(style: Mapping[str, Any], offset: int) -> str:
    kind, prefix, start = (_resolved(style.get(name)) for name in ("/S", "/P", "/St"))
    number = offset + (start if isinstance(start, int) and start > 0 else 1)
    told = f"{prefix if isinstance(prefix, str) else ''}{numeral(str(kind), number)}"
    told = clean(" ".join(told.split()))
    return told if len(told) <= LONGEST else ""


def numeral(kind: str, number: int) -> str:
    """Write a number in a style of PDF (`/r`); one too long for a label is left out."""
    written = ""
    if kind == "/D":
        written = str(number)
    elif kind in {"/R", "/r"} and number < 10_000:
        written = _roman(number)
    elif kind in {"/A", "/a"} and number <= 26 * LONGEST:
        written = chr(ord("a") + (number - 1) % 26) * ((number - 1) // 26 + 1)
    return written.upper() if kind in {"/R", "/A"} else written


def _roman(number: int) -> str:
    written = ""
    for sign, value in _ROMAN:
        count, number = divmod(number, value)
        written += sign * count
    return written


def _entries(node: Any, name: str) -> list[Any]:
    node = _resolved(node)
    found = _resolved(node.get(name)) if isinstance(node, Mapping) else None
    return list(found) if isinstance(found, list) else []


def _resolved(value: Any) -> Any:
    return value.get_object() if isinstance(value, IndirectObject) else value
