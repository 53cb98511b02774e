"""Tables: rows of a page whose cells stand in columns, written so that each can be read alone.

`30-Year 2.5 % 4.7 %` means nothing without the head of its table, and a passage may show one
without the other. So a row is written as `30-Year: Real 2.5 %, Nominal 4.7 %.` Only tables with a
plain head are: in all others, and in whatever only looks like a table, the lines stay as they are.
"""

import re
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ingest.words import content_words, stem, word_spans

LONGEST_CELL = 60
MOST_HEADS = 3
FEWEST_ROWS = 2
_FARTHEST_HEAD = 2.5
"""How far the head stands above the first row at most, in units of the rows' own distance."""
_NUMBER = re.compile(r"(?<![\w.,])[-+−±$€£(]{0,2}\d[\d.,]*(?!\w)")
_MOST_NUMBERS = 2
"""How many numbers a cell holds at most: where there are more, columns have run together."""
_NUMBER_WORDS = {
    stem(word): number
    for word, number in zip(
        "two three four five six seven eight nine ten eleven twelve twenty thirty hundred".split(),
        "2 3 4 5 6 7 8 9 10 11 12 20 30 100".split(),
        strict=True,
    )
}
_LABELLED = re.compile(r"\s*(?P<label>[^\n:?.]{3,60}):[ \t]*[^\n]{1,60}\s*")
_WRITTEN_ROW = re.compile(r"[^:;,]{1,60}: (?=[^;]+; |[^;,]+, )")
_APART = 3
"""How many words that carry meaning lie from one named cell to another that is asked for anew."""
_SAYS_NOTHING = frozenset({"value", "values", "wert"})
_WIDE = 0.9
"""The space between two cells, in units of the letters' size: between words it is a third."""
_OVERLAP = 0.3


@dataclass(frozen=True)
class Cell:
    """Words that stand together, and where they begin and end on the line."""

    text: str
    left: float
    right: float


@dataclass(frozen=True)
class Row:
    """A line of cells, and the top of its letters; a line that is no row has no cells."""

    cells: tuple[Cell, ...] = ()
    bold: bool = False
    top: float = 0.0


@dataclass(frozen=True)
class _Column:
    left: float
    right: float

    def holds(self, cell: Cell) -> bool:
        """Tell whether a cell stands over or in the column."""
        return -self.distance(cell) >= _OVERLAP * min(
            self.right - self.left, cell.right - cell.left
        )

    def distance(self, cell: Cell) -> float:
        """Give how far the cell is beside the column; below 0 is how much they share."""
        return max(self.left, cell.left) - min(self.right, cell.right)


def cells_of(words: Sequence[Cell], size: float) -> tuple[Cell, ...]:
    """Put the words of a line together into cells; `size` is that of its letters."""
    cells: list[Cell] = []
    for word in words:
        if cells and word.left - cells[-1].right < _WIDE * size:
            before = cells.pop()
            cells.append(Cell(f"{before.text} {word.text}", before.left, word.right))
        else:
            cells.append(word)
    return tuple(cells)


def named_rows(rows: Sequence[Row]) -> dict[int, str]:
    """Write the rows of every table with the names of their columns, by their place."""
    return {place: text for start, run in _runs(rows) for place, text in _named(run, start)}


def row_text(names: Sequence[str], cells: Sequence[str]) -> str:
    """Write a row: its first cell, and each other one behind the name of its column."""
    named = [
        cell if name.casefold() in _SAYS_NOTHING else f"{name} {cell}"
        for name, cell in zip(names[1:], cells[1:], strict=True)
        if cell
    ]
    between = "; " if any("," in cell for cell in cells) else ", "
    return f"{cells[0].rstrip(':')}: {between.join(named)}." if named else cells[0]


def asked_cell(question: str, text: str, span: tuple[int, int]) -> tuple[int, int] | None:
    """Find the one cell of a written row, at `span` of a text, that a question's words name.

    Words that several cells hold tell nothing. Of two cells that are named apart, as in "the real
    rate over 20 years, and the nominal one?", the later is asked for. None where it is no row, or
    where none is named, or several side by side.
    """
    start, end = span
    label = _WRITTEN_ROW.match(text, start, end)
    if not label:
        return None
    between = "; " if "; " in text[label.end() : end] else ", "
    cells, at = [], label.end()
    for cell in text[at:end].rstrip(".").split(between):
        cells.append((at, at + len(cell)))
        at += len(cell) + len(between)
    held = [content_words(text[slice(*cell)]) for cell in cells]
    often = Counter(word for words in held for word in words)
    asked = {word: place for place, (*_, word) in enumerate(word_spans(question))}
    named = sorted(
        (max(asked[word] for word in telling), cell)
        for cell, words in zip(cells, held, strict=True)
        if (telling := {word for word in words & asked.keys() if often[word] == 1})
    )
    if not named or (len(named) > 1 and named[-1][0] - named[-2][0] < _APART):
        return None
    return named[-1][1]


def leaves_cell(
    question: str,
    text: str,
    span: tuple[int, int],
    cell: tuple[int, int],
    answer: tuple[int, int],
) -> bool:
    """Tell whether an answer in the row at `span` runs over cells, or is not in the asked one.

    What is found in the row's first cell, before the colon, does not: it tells which row it is. Nor
    does what stands in another cell where the asked one holds no number and its column's name,
    with which it begins, is not asked for: its other words may be named by chance.
    """
    (start, end), row = answer, text[slice(*span)]
    if end <= span[0] + row.find(": ") or (cell[0] <= start and end <= cell[1]):
        return False
    if any(each in text[start:end] for each in ("; ", ", ")):
        return True
    name = next((word for *_, word in word_spans(text[slice(*cell)])), "")
    return name in content_words(question) or bool(_NUMBER.search(text, *cell))


def row_named_at(question: str, text: str, span: tuple[int, int]) -> tuple[int, int]:
    """Tell where a question names a written row's first cell, as in "over 3 years", and its words.

    Zeros where it does not. Of two rows that are named one after the other, the later one is asked
    for, and of two that are named at the same place, the one with more words in its name.
    """
    label = _WRITTEN_ROW.match(text, *span)
    words = _label_words(label.group()) if label else []
    last = {word: place for place, word in enumerate(_label_words(question), start=1)}
    place = min((last.get(word, 0) for word in words), default=0)
    return (place, len(words)) if place else (0, 0)


def label_named(question: str, text: str, span: tuple[int, int]) -> frozenset[str]:
    """Give the words of a line's label, as in "Late fee: 5 euros", if a question names them all.

    Empty where it does not, where the line has no label, and for a label of one word, which is too
    easily named by chance.
    """
    label = _LABELLED.fullmatch(text, *span)
    words = frozenset(content_words(label["label"]) if label else ())
    return words if len(words) > 1 and words <= content_words(question) else frozenset()


def _label_words(text: str) -> list[str]:
    """List the words that carry meaning, numbers in digits and compounds apart."""
    words = (word for *_, word in word_spans(text.replace("-", " ")))
    return [_NUMBER_WORDS.get(word, word) for word in words]


def _runs(rows: Sequence[Row]) -> Iterator[tuple[int, Sequence[Row]]]:
    """Find where several lines with cells follow each other."""
    start = 0
    for end in range(len(rows) + 1):
        if end == len(rows) or len(rows[end].cells) < 2:
            if end - start > FEWEST_ROWS:
                yield start, rows[start:end]
            start = end + 1


def _named(run: Sequence[Row], start: int) -> Iterator[tuple[int, str]]:
    heads = _count_heads(run)
    body = run[heads:]
    columns = _columns(body) if heads and _stands_near(run, heads) else []
    names = _names(run[:heads], columns)
    if not names or not all(names[1:]):
        return
    for place, row in enumerate(body, start=start + heads):
        cells = _placed(row.cells, columns)
        if cells and cells[0]:
            yield place, row_text(names, cells)


def _count_heads(run: Sequence[Row]) -> int:
    """Tell how many lines are the head: the bold ones, or those above the first numbers."""
    heads = next((at for at, row in enumerate(run) if not row.bold), 0)
    if not heads:
        heads = next((at for at, row in enumerate(run) if _has_number(row)), 0)
        body = run[heads:]
        if 2 * sum(map(_has_number, body)) < len(body):
            return 0
    fits = heads <= MOST_HEADS and len(run) - heads >= FEWEST_ROWS
    plain = all(_is_plain(cell) for row in run for cell in row.cells)
    numbered = any(map(_has_number, run[:heads]))  # a running header with the page's number
    return heads if fits and plain and not numbered else 0


def _is_plain(cell: Cell) -> bool:
    return len(cell.text) <= LONGEST_CELL and len(_NUMBER.findall(cell.text)) <= _MOST_NUMBERS


def _has_number(row: Row) -> bool:
    return any(_NUMBER.search(cell.text) for cell in row.cells[1:])


def _stands_near(run: Sequence[Row], heads: int) -> bool:
    steps = [above.top - below.top for above, below in pairwise(run[heads - 1 :])]
    return steps[0] <= _FARTHEST_HEAD * max(0.0, statistics.median(steps[1:]))


def _columns(body: Sequence[Row]) -> list[_Column]:
    """Find the columns by the rows that have a cell in each; none where they run together."""
    counts = Counter(len(row.cells) for row in body)
    most, often = max(counts.items(), key=lambda each: (each[1], each[0]))
    if 2 * often < len(body) or often < FEWEST_ROWS:
        return []
    full = [row.cells for row in body if len(row.cells) == most]
    columns = [
        _Column(min(cell.left for cell in cells), max(cell.right for cell in cells))
        for cells in zip(*full, strict=True)
    ]
    apart = all(one.right < other.left for one, other in pairwise(columns))
    return columns if apart else []


def _names(heads: Sequence[Row], columns: Sequence[_Column]) -> list[str]:
    """Name each column by what stands nearest over it; a head over several names each of them."""
    names = [""] * len(columns)
    for row in heads:
        alone = {cell for cell in row.cells if sum(column.holds(cell) for column in columns) == 1}
        for at, column in enumerate(columns):
            over = [cell for cell in row.cells if column.holds(cell)]
            nearest = min(row.cells, key=column.distance)
            near = column.distance(nearest) <= nearest.right - nearest.left
            if not over and near and nearest not in alone:
                over = [nearest]
            names[at] = " ".join([names[at], *(cell.text for cell in over)]).strip()
    return names


def _placed(cells: Sequence[Cell], columns: Sequence[_Column]) -> list[str] | None:
    """Give the text in each column; None for a row whose cells do not stand in one each."""
    placed = [""] * len(columns)
    for cell in cells:
        inside = [at for at, column in enumerate(columns) if column.holds(cell)]
        if len(inside) != 1 or placed[inside[0]]:
            return None
        placed[inside[0]] = cell.text
    return placed
