"""Grids: the rows of a table whose cells a file tells apart, as lines that can be read alone."""

import re
from collections.abc import Sequence

from ingest.tables import LONGEST_CELL, row_text

CELL = " | "
_BETWEEN = re.compile(r"\s\|(?=\s)")
_LEAST_COLUMNS = 3
"""How many columns a table has at least whose head is not marked: two may be names and values."""


def cells_in(line: str) -> list[str]:
    """Take the line of a row apart again."""
    return [cell.strip() for cell in _BETWEEN.split(f" {line} ")]


def grid_lines(rows: Sequence[Sequence[str]], *, headed: bool) -> list[str]:
    """Write the rows, those below a plain head with the names of their columns.

    `Floor | Warden` and `2 | Weber` become `Floor | Warden` and `Floor 2: Warden Weber.` Where
    nothing marks the head, the first row is one if it alone holds no number.
    """
    lines = [CELL.join(row).strip() for row in rows]
    if not rows or not _is_head(rows[0], rows[1:], headed=headed):
        return lines
    names = rows[0]
    return lines[:1] + [
        row_text(names, [_labelled(names[0], row[0]), *row[1:]]) if _fits(row, names) else line
        for row, line in zip(rows[1:], lines[1:], strict=True)
    ]


def _is_head(names: Sequence[str], body: Sequence[Sequence[str]], *, headed: bool) -> bool:
    plain = len(names) > 1 and all(names[1:]) and max(map(len, names)) <= LONGEST_CELL
    if headed or not plain:
        return plain
    numbers = sum(any(map(_has_digit, row)) for row in body)
    unlike = not any(map(_has_digit, names)) and body and numbers == len(body)
    return bool(unlike) and len(names) >= _LEAST_COLUMNS


def _fits(row: Sequence[str], names: Sequence[str]) -> bool:
    short = max(map(len, row), default=0) <= LONGEST_CELL
    return len(row) == len(names) and bool(row[0]) and any(row[1:]) and short


def _labelled(name: str, cell: str) -> str:
    """Say what a bare number at the beginning of a row counts."""
    return f"{name} {cell}" if name and not any(map(str.isalpha, cell)) else cell


def _has_digit(cell: str) -> bool:
    return any(map(str.isdecimal, cell))
