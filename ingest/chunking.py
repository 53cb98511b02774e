"""Chunks of a document: exact slices of a page, cut where the text itself has a joint."""

import itertools
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ingest.documents import Chunk, Document, Heading, Page, chunk_id
from ingest.layout import body_spans
from ingest.sentences import begins_item, sentence_spans

TokenSpans = Callable[[str], Sequence[tuple[int, int]]]

SMALLEST_SECTION = 0.25  # of the budget: what is smaller is joined to the section after it
LEAST_ROOM = 16
CHARACTERS_PER_TOKEN = 12  # a tokenizer may see one token in an endless word
PARAGRAPH, SENTENCE_AND_LINE, SENTENCE, ROW, LINE = 0.1, 0.2, 0.3, 0.7, 0.9
WITHIN_LIST = 0.4  # more, between two items
ANNOUNCED = 0.6  # more, where what ends announces what follows, as a list or a table
LONGEST_GAP = 40  # characters between what announces and what is announced
LONGEST_NAMES, MOST_NAMES = 60, 3  # characters of a line that names columns, and such lines


def chunk_document(
    document: Document,
    *,
    token_spans: TokenSpans,
    chunk_tokens: int,
    embedder: str,
    pipeline: str,
    window: int | None = None,
) -> list[Chunk]:
    """Cut a document into chunks of at most `chunk_tokens`, page by page, without overlap.

    Running headers and footers of pages are left out. `window` is what the embedder reads at once:
    where a long title and heading take much of it, the chunk is shorter.
    """
    pieces: list[tuple[Page, int, int, str]] = []
    rooms: dict[str, int] = {}

    def room(heading: str) -> int:
        if heading not in rooms:
            header = f"{document.title} > {heading}" if heading else document.title
            left = (window - len(token_spans(header))) if window else chunk_tokens
            rooms[heading] = min(chunk_tokens, max(LEAST_ROOM, left))
        return rooms[heading]

    trail = _Trail(document)
    bodies = (
        body_spans(document.pages)
        if document.paged
        else [(0, len(page.text)) for page in document.pages]
    )
    for page, body in zip(document.pages, bodies, strict=True):
        cutter = _Cutter(page, trail, token_spans(page.text), room)
        pieces += [(page, start, end, trail.at(page, start)) for start, end in cutter.cut(*body)]
    kept = [piece for piece in pieces if not trail.covers(piece[0], piece[1], piece[2])] or pieces
    return [
        Chunk(
            id=chunk_id(document.source, document.id, page.number, start, end, pipeline),
            text=page.text[start:end],
            document=document.id,
            source=document.source,
            title=document.title,
            page=page.number,
            start=start,
            end=end,
            heading=heading,
            embedder=embedder,
            page_label=page.label,
        )
        for page, start, end, heading in kept
    ]


class _Trail:
    """Which heading a place stands under."""

    def __init__(self, document: Document) -> None:
        self._title = document.title.casefold()
        self._paged = document.paged
        self._headings = sorted(document.headings, key=lambda each: (each.page, each.start))
        self._keys = [(each.page, each.start) for each in self._headings]

    def at(self, page: Page, start: int) -> str:
        """Give the heading of a place; in running text, of the first words below its headings."""
        if not self._paged:
            start = self._below_headings(page, start)
        index = bisect_right(self._keys, (page.number, start)) - 1
        text = self._headings[index].text if index >= 0 else ""
        return "" if text.casefold() == self._title else text

    def spans(self, page: Page) -> list[tuple[int, int]]:
        """Give where the page's headings start, and where the text under them does."""
        low, high = (
            bisect_left(self._keys, (page.number, 0)),
            bisect_left(self._keys, (page.number + 1, 0)),
        )
        return [(each.start, _heading_end(page.text, each)) for each in self._headings[low:high]]

    def covers(self, page: Page, start: int, end: int) -> bool:
        """Tell whether a piece is headings and nothing more: the next chunks carry those."""
        return self._below_headings(page, start) >= end

    def _below_headings(self, page: Page, start: int) -> int:
        for begin, stop in self.spans(page):
            if begin <= start < stop:
                start = stop
        return start


@dataclass(frozen=True)
class _Joint:
    """A place to cut before, and what cutting there costs."""

    place: int
    cost: float


class _Cutter:
    """Cuts one page."""

    def __init__(
        self,
        page: Page,
        trail: _Trail,
        spans: Sequence[tuple[int, int]],
        room: Callable[[str], int],
    ) -> None:
        self._page = page
        self._text = page.text
        self._trail = trail
        self._starts = sorted(start for start, _ in spans)
        self._room = room
        headings = trail.spans(page)
        self._sections = [start for start, _ in headings]
        self._joints = [
            joint
            for joint in _joints(page.text)
            if not any(start < joint.place <= end for start, end in headings)
        ]

    def cut(self, start: int, end: int) -> list[tuple[int, int]]:
        """Give the trimmed spans of the pieces between two places."""
        pieces = []
        while start < end:
            start = _skip_spaces(self._text, start, end)
            stop = self._next(start, end)
            piece = self._text[start:stop]
            if any(map(str.isalnum, piece)):
                pieces.append((start, start + len(piece.rstrip())))
            start = stop
        return pieces

    def _next(self, start: int, end: int) -> int:
        budget = self._room(self._trail.at(self._page, start))
        limit = self._furthest(start, end, budget)
        for section in self._sections[bisect_right(self._sections, start) :]:
            if section > limit or section >= end:
                break
            if self._count(start, section) >= SMALLEST_SECTION * budget:
                return section
        if limit >= end:
            return end
        return self._best_joint(start, limit, end, budget)

    def _best_joint(self, start: int, limit: int, end: int, budget: int) -> int:
        """Choose where to cut: near the budget, or near the half where two pieces will do."""
        index = bisect_right(self._sections, limit)
        until = min(end, self._sections[index]) if index < len(self._sections) else end
        rest = self._count(start, until)
        target = rest / 2 if rest <= 2 * budget else budget
        low = bisect_right(self._joints, start, key=lambda joint: joint.place)
        high = bisect_right(self._joints, limit, key=lambda joint: joint.place)
        best: tuple[float, int] | None = None
        for joint in self._joints[low:high]:
            size = self._count(start, joint.place)
            if size >= target / 3:
                cost = joint.cost + abs(size - target) / budget
                best = min(best, (cost, joint.place)) if best else (cost, joint.place)
        return best[1] if best else self._between_words(start, limit)

    def _between_words(self, start: int, limit: int) -> int:
        spaces = [match.end() for match in re.finditer(r"\s+", self._text[start:limit])]
        return start + spaces[-1] if spaces else limit

    def _furthest(self, start: int, end: int, budget: int) -> int:
        """Give how far a piece may reach from here: by tokens, and by characters as a last stop."""
        index = bisect_left(self._starts, start) + budget
        place = self._starts[index] if index < len(self._starts) else end
        return max(start + 1, min(place, end, start + budget * CHARACTERS_PER_TOKEN))

    def _count(self, start: int, end: int) -> int:
        return bisect_left(self._starts, end) - bisect_left(self._starts, start)


def _joints(text: str) -> list[_Joint]:
    """Find where the text can be cut, and what a cut costs: paragraphs are cheapest."""
    costs: dict[int, float] = {}
    for match in re.finditer(r"\s*\n\s*", text):
        costs[match.end()] = PARAGRAPH if match.group().count("\n") > 1 else LINE
    spans = sentence_spans(text)
    for _, end in spans:
        place = _skip_spaces(text, end, len(text))
        cost = SENTENCE_AND_LINE if place in costs else SENTENCE
        costs[place] = min(costs.get(place, cost), cost)
    items = [begins_item(text[start:end]) for start, end in spans]
    for before, own, (place, _) in zip(items, items[1:], spans[1:], strict=False):
        if before and own:
            costs[place] += WITHIN_LIST
    for place in _between_rows(text):
        costs[place] = ROW
    for place in costs:
        if text[max(0, place - LONGEST_GAP) : place].rstrip().endswith(":"):
            costs[place] += ANNOUNCED
    return [_Joint(place, costs[place]) for place in sorted(costs)]


def _between_rows(text: str) -> list[int]:
    """Find the places between two rows of a table, and between its columns' names and its rows.

    Rows are lines that hold two or more numbers each; names are short lines before the first one.
    """
    lines = [match.span() for match in re.finditer(r"[^\n]+", text) if match.group().strip()]
    rows = [len(re.findall(r"\d[\d.,%]*", text[a:b])) >= 2 and b - a < 120 for a, b in lines]
    within = [at for at, both in enumerate(itertools.pairwise(rows), 1) if all(both)]
    first = [at - 1 for at in within if at - 1 not in within]
    under = [at for row in first for at in _under_names(text, lines, row)]
    return [lines[at][0] for at in (*within, *under)]


def _under_names(text: str, lines: Sequence[tuple[int, int]], row: int) -> list[int]:
    """Give the lines from the second of a table's columns' names to its first row."""
    first = row
    for start, end in reversed(lines[max(0, row - MOST_NAMES) : row]):
        if end - start > LONGEST_NAMES or text[start:end].rstrip()[-1] in ".:;!?":
            break
        first -= 1
    return list(range(first + 1, row + 1))


def _heading_end(text: str, heading: Heading) -> int:
    """Give where the text under a heading starts; a heading may span several lines."""
    end = heading.start + len(heading.text)
    if text[heading.start : end].replace("\n", " ") != heading.text:
        newline = text.find("\n", heading.start)
        end = len(text) if newline < 0 else newline
    return _skip_spaces(text, end, len(text))


def _skip_spaces(text: str, start: int, end: int) -> int:
    while start < end and text[start].isspace():
        start += 1
    return start
