"""Glyphs of a PDF's page: how large and bold a line is, where its words stand, what is raised."""

import ctypes
import re
import statistics
from dataclasses import dataclass
from typing import Any

import pypdfium2.raw as pdfium_c

from ingest.layout import Line, clean
from ingest.raised import raise_digits
from ingest.tables import Cell, Row, cells_of

_STRETCHED = 0.45
"""The stretch from which on a line may be a table's row; running text has 0.25 to 0.42."""
_BOLD = re.compile(rb"bold|black|heavy|demi|cmbx|cmssbx|-medi\b", re.IGNORECASE)
# The end of a number, and at most two more digits and a sign before it, behind what they mark.
_MAYBE_RAISED = re.compile(r"(?<=\S)[-−–+]?\d{1,3}(?![.,]?\d)")
# The number of a footnote, before its text.
_MAYBE_NOTE = re.compile(r"(?<!\S)(\d{1,3}) ?([^\W\d_])")
_SMALLER, _HIGHER, _CLOSE = 0.85, 0.1, 0.3
_BREAK = re.compile(r"(?<=\S)\r?\n(?=\S)")
_JOINT = "\u2060"  # stands for a character that is taken away, until `clean` drops it


@dataclass(frozen=True)
class Measured:
    """A line with its looks, its cells if it is a table's row, and where it begins and ends.

    The tops of its first and of its last letter differ where pdfium has joined two lines at a
    hyphen.
    """

    line: Line
    row: Row
    top: float
    last_top: float


def whole_lines(raw: Any, text: str) -> str:
    """Join what pdfium breaks apart before and behind raised and lowered signs of one line.

    The text keeps its length, so that its places remain those of the page's characters.
    """
    return _BREAK.sub(
        lambda found: (
            _JOINT * len(found.group())
            if _beside(_box(raw, found.start() - 1), _box(raw, found.end()))
            else found.group()
        ),
        text,
    )


def _beside(before: Any, after: Any) -> bool:
    """Tell whether a sign of another size stands right beside the one before it."""
    small, large = sorted((_height(before), _height(after)))
    overlap = min(before.top, after.top) - max(before.bottom, after.bottom)
    apart = abs(after.left - before.right)
    return 0 < small < _SMALLER * large and overlap > _CLOSE * small and apart < _CLOSE * large


def measure(raw: Any, match: re.Match[str]) -> Measured:
    """Look at a line of a page's text: at its first, middle and last letter, and at its numbers."""
    solid = [match.start() + i for i, char in enumerate(match.group()) if char.isalnum()]
    if not solid:
        return Measured(Line(clean(match.group())), Row(), 0.0, 0.0)
    places = (solid[0], solid[len(solid) // 2], solid[-1])
    boxes = [_box(raw, place) for place in places]
    size = max(0.0, statistics.median(_height(box) for box in boxes))
    width = boxes[-1].right - boxes[0].left
    stretch = width / (size * len(match.group())) if size else 0.0
    text = _with_raised(raw, match, size)
    line = Line(
        clean(text), size=size, bold=all(_is_bold(raw, place) for place in places), stretch=stretch
    )
    return Measured(
        line, _row(raw, match.start(), text, line, boxes[0].top), boxes[0].top, boxes[-1].top
    )


def _with_raised(raw: Any, match: re.Match[str], size: float) -> str:
    """Write small raised digits as such, one character for one.

    Otherwise 10⁶ would read as 106, and a value would take the number of its footnote for its own.
    """
    text = match.group()
    written = list(text)
    for found in _MAYBE_RAISED.finditer(text):
        last = found.end() - 1
        if _height(_box(raw, match.start() + last)) >= _SMALLER * size:
            continue
        for first in range(found.start(), found.end()):
            base = _box(raw, match.start() + len(text[:first].rstrip(_JOINT)) - 1)
            if _is_raised(_box(raw, match.start() + first), base):
                written[first : last + 1] = raise_digits(text[first : last + 1])
                break
    for found in _MAYBE_NOTE.finditer(text):
        number, word = (_box(raw, match.start() + found.start(part)) for part in (1, 2))
        if _is_raised(number, word):
            written[slice(*found.span(1))] = raise_digits(found[1])
    return "".join(written)


def _is_raised(box: Any, base: Any) -> bool:
    height = _height(base)
    return _height(box) < _SMALLER * height and box.bottom > base.bottom + _HIGHER * height


def _row(raw: Any, start: int, text: str, line: Line, top: float) -> Row:
    """Find the cells of a line that is as stretched as a table's rows are."""
    if line.stretch < _STRETCHED:
        return Row()
    words = []
    for word in re.finditer(r"\S+", text):
        first, last = _box(raw, start + word.start()), _box(raw, start + word.end() - 1)
        words.append(Cell(clean(word.group()), first.left, last.right))
    return Row(cells_of([word for word in words if word.text], line.size), line.bold, top)


def _box(raw: Any, offset: int) -> Any:
    box = pdfium_c.FS_RECTF()
    char = pdfium_c.FPDFText_GetCharIndexFromTextIndex(raw, offset)
    pdfium_c.FPDFText_GetLooseCharBox(raw, char, box)
    return box


def _height(box: Any) -> float:
    return float(box.top - box.bottom)


def _is_bold(raw: Any, offset: int) -> bool:
    char = pdfium_c.FPDFText_GetCharIndexFromTextIndex(raw, offset)
    if pdfium_c.FPDFText_GetFontWeight(raw, char) >= 600:
        return True
    name = ctypes.create_string_buffer(128)
    flags = ctypes.c_int()
    pdfium_c.FPDFText_GetFontInfo(raw, char, name, 128, flags)
    return bool(_BOLD.search(name.value))
