"""Lines of a page: clean text, running headers and footers, headings."""

import itertools
import re
import statistics
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ingest.documents import Heading, Page

BROKEN_HYPHEN = "\ufffe"  # pdfium's mark where a word was divided at the end of a line
EDGE_LINES = 3
TITLE_LENGTH = 120

_COMPATIBLE = re.compile("[\ufb00-\ufb06\ufb50-\ufdff\ufe70-\ufefc]+")
# Controls, the marks that turn the direction of a text, and halves of a surrogate pair, which no
# store and no tokenizer takes.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069"
    "\ud800-\udfff\ufeff\uffff]"
)
_SPACES = re.compile("[\t\u00a0\u2000-\u200a\u202f\u205f\u3000 ]+")
_DIVIDED = re.compile(rf"(\w+){BROKEN_HYPHEN}(\w+)")
_HYPHENED = re.compile(r"[^\W\d_]-$")
_NUMBERED = re.compile(
    r"^(?:\d{1,2}(?:\.\d{1,2}){0,3}|[A-Z](?:\.\d{1,2})+|[IVX]{1,5}\.)\.?\s+(?=\S)"
)
_CAPTION = re.compile(r"^(?:fig(?:ure)?|tab(?:le)?|abb(?:ildung)?)\b\.?\s*\d", re.IGNORECASE)
_NO_TITLES = ("contents", "table of contents", "inhaltsverzeichnis", "abstract", "introduction")
_PAGE = re.compile(
    r"(?:page |seite |p\. ?)?[-–\[(]? ?(?P<number>\d+|[ivxlc]+) ?[-–\])]?(?: ?(?:of|von|/) ?\d+)?"
)
_OWN = "[page]"  # the key of what is nothing but the page's own number
_DIGITS = re.compile(r"\d+")
_ROMAN = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}
_LEADERS = re.compile(r"(?:\.\s?){4,}|…{2,}")


@dataclass(frozen=True)
class Line:
    """A line of a page with its looks. `size` is 0 where the reader does not tell.

    `stretch` is the width a character takes in units of the size: a table's row is stretched.
    """

    text: str
    start: int = 0
    size: float = 0.0
    bold: bool = False
    stretch: float = 0.0
    gap: bool = False


def clean(text: str) -> str:
    """Normalise one line: ligatures spelled out, one kind of space, nothing invisible."""
    text = _COMPATIBLE.sub(lambda match: unicodedata.normalize("NFKC", match.group()), text)
    text = _INVISIBLE.sub("", _SPACES.sub(" ", text)).strip(" ")
    return unicodedata.normalize("NFC", text)


def printable(text: str) -> str:
    """Remove what is invisible from lines whose spaces count, as those of code do."""
    return unicodedata.normalize("NFC", _INVISIBLE.sub("", text))


def join_divided(texts: Iterable[str]) -> list[str]:
    """Join lines between which a word is divided, with the mark that `mend_divisions` knows."""
    texts = list(texts)
    joined = texts[:1]
    for before, text in itertools.pairwise(texts):
        if _HYPHENED.search(before) and text[:1].islower():
            joined[-1] = f"{joined[-1][:-1]}{BROKEN_HYPHEN}{text}"
        else:
            joined.append(text)
    return joined


def mend_divisions(pages: Sequence[Sequence[Line]]) -> list[list[Line]]:
    """Join words divided at a line's end; keep the hyphen where the document itself has one."""
    whole = [line.text for lines in pages for line in lines]
    if not any(BROKEN_HYPHEN in text for text in whole):
        return [list(lines) for lines in pages]
    words = Counter(word for text in whole for word in re.findall(r"\w+(?:-\w+)*", text.casefold()))

    def join(match: re.Match[str]) -> str:
        first, second = match.groups()
        joined, hyphenated = f"{first}{second}".casefold(), f"{first}-{second}".casefold()
        compound = words[hyphenated] or (
            min(len(first), len(second)) >= 4
            and min(words[first.casefold()], words[second.casefold()]) >= 2
        )
        return f"{first}-{second}" if compound and not words[joined] else first + second

    return [
        [
            replace(line, text=_DIVIDED.sub(join, line.text).replace(BROKEN_HYPHEN, "-"))
            for line in lines
        ]
        for lines in pages
    ]


def page_text(lines: Iterable[Line]) -> tuple[str, list[Line]]:
    """Put lines together, a blank line at each wide gap; the lines come back with their offsets."""
    parts: list[str] = []
    placed: list[Line] = []
    offset = 0
    for line in lines:
        if not line.text:
            continue
        if placed:
            separator = "\n\n" if line.gap else "\n"
            parts.append(separator)
            offset += len(separator)
        parts.append(line.text)
        placed.append(replace(line, start=offset))
        offset += len(line.text)
    return "".join(parts), placed


def body_spans(pages: Sequence[Page]) -> list[tuple[int, int]]:
    """Tell for each page where its body starts and ends, running headers and footers left out.

    A running line is the same on its pages but for the page's own number: "Total: 118.20" on one
    page and "Total: 240.55" on the next are none.
    """
    edges = [_edges(page) for page in pages]
    tops = _repeated([top for top, _ in edges])
    bottoms = _repeated([bottom for _, bottom in edges])
    spans = []
    for page, (top, bottom) in zip(pages, edges, strict=True):
        start, end = 0, len(page.text)
        for edge in top:
            if not (edge.keys & tops):
                break
            start = edge.end
        for edge in bottom:
            if not (edge.keys & bottoms) or edge.start < start:
                break
            end = edge.start
        spans.append((start, end) if page.text[start:end].strip() else (0, len(page.text)))
    return spans


def find_headings(
    pages: Sequence[Page],
    lines: Sequence[Sequence[Line]],
    outline: Sequence[tuple[int, str]] = (),
) -> tuple[Heading, ...]:
    """Find the headings: entries of the outline on their pages, and lines that look like one.

    `outline` holds (page number, title). Looks mean larger or bolder than the body of the text.
    """
    found = {(h.page, h.start): h for h in _looking_like(pages, lines)}
    for number, title in outline:
        heading = _locate(pages, number, title)
        if heading is not None:
            found.setdefault((heading.page, heading.start), heading)
    return tuple(found[key] for key in sorted(found))


def title_line(lines: Sequence[Line], headings: Sequence[Heading]) -> str:
    """Give what a first page shows as title: its largest text, a heading at its top, or ""."""
    title = _largest(lines) or next((h.text for h in headings if (h.page, h.start) == (1, 0)), "")
    return "" if title.casefold() in _NO_TITLES else title[:TITLE_LENGTH]


def _largest(lines: Sequence[Line]) -> str:
    sized = [line for line in lines if line.size and _letters(line.text) >= 3]
    top = max((line.size for line in sized), default=0.0)
    if top < 1.12 * statistics.median([line.size for line in sized] or [1.0]):
        return ""
    words: list[str] = []
    for line in sized:
        if line.size >= 0.97 * top:
            words.append(line.text)
        elif words:
            break
    return " ".join(words)


@dataclass(frozen=True)
class _Edge:
    """A line near the edge of a page, and the keys under which it may come again on others."""

    keys: frozenset[str]
    start: int
    end: int


def _edges(page: Page) -> tuple[list[_Edge], list[_Edge]]:
    """Give the first and the last lines, each list from the edge inwards."""
    rows = [match.span() for match in re.finditer(r"[^\n]+\n*", page.text)]
    near = {*rows[:EDGE_LINES], *rows[-EDGE_LINES:]}
    found = [_Edge(_keys(page.text[a:b], page), a, b) for a, b in rows if (a, b) in near]
    return found[:EDGE_LINES], found[::-1][:EDGE_LINES]


def _keys(line: str, page: Page) -> frozenset[str]:
    """Write a line as it stands, and with the page's own number at an end as that.

    What is nothing but a page's number may count from elsewhere: where it begins is its key.
    """
    words = line.casefold().split()
    line = " ".join(words)
    keys = {line}
    own = {str(page.number), page.label.casefold()} - {""}
    if found := _PAGE.fullmatch(line):
        number = found["number"]
        keys.add(_OWN if number in own else f"[{_value(number) - page.number}]")
    elif own & {word.strip("-–|[]().,") for word in (*words[:1], *words[-1:])}:
        keys.add(_DIGITS.sub("#", line))
    return frozenset(keys)


def _value(number: str) -> int:
    """Read a number, which may be a roman one."""
    if number.isdecimal():
        return int(number)
    values = [_ROMAN[letter] for letter in number]
    return sum(-a if a < b else a for a, b in zip(values, [*values[1:], 0], strict=True))


def _repeated(edges: Sequence[Sequence[_Edge]]) -> set[str]:
    """Give the keys at the edges of enough pages: three, and a fifth of all (odd, even ones)."""
    counts = Counter(key for page in edges for key in {key for edge in page for key in edge.keys})
    enough = max(3, len(edges) // 5)
    return {_OWN, *(key for key, count in counts.items() if count >= enough and len(key) <= 150)}


def _looking_like(pages: Sequence[Page], lines: Sequence[Sequence[Line]]) -> list[Heading]:
    body = _body_looks(lines)
    total = sum(len(rows) for rows in lines)
    found: list[Heading] = []
    count = 0
    for page, rows, span in zip(pages, lines, body_spans(pages), strict=True):
        previous: Line | None = None
        for line in rows:
            if not (span[0] <= line.start < span[1] and _is_heading(line, *body)):
                previous = None
                continue
            count += 1
            if previous is not None and _continues(previous, line, found[-1].text):
                found[-1] = replace(found[-1], text=f"{found[-1].text} {line.text}")
            else:
                found.append(Heading(page.number, line.start, line.text))
            previous = line
    return found if count <= max(3, 0.4 * total) else []


def _body_looks(lines: Sequence[Sequence[Line]]) -> tuple[float, bool]:
    """Give the size and weight that most characters have."""
    sizes: Counter[float] = Counter()
    bold = 0
    for line in (line for rows in lines for line in rows):
        sizes[round(line.size * 2) / 2] += len(line.text)
        bold += len(line.text) if line.bold else 0
    return (max(sizes, key=lambda size: sizes[size]) if sizes else 0.0), bold * 2 > sizes.total()


def _is_heading(line: Line, body_size: float, body_bold: bool) -> bool:
    text = line.text
    if not 3 <= len(text) <= 100 or _letters(text) < max(3, 0.5 * len(text.replace(" ", ""))):
        return False
    if text[-1] in ".,;:" or _CAPTION.match(text) or _LEADERS.search(text):
        return False
    name = _NUMBERED.sub("", text)
    if len(text.split()) > 14 or name[:1].islower():
        return False
    if not line.size:
        return name != text and name[:1].isupper() and len(name.split()) <= 8
    if line.size >= 1.15 * body_size:
        return True
    return line.bold and not body_bold and line.size >= 0.95 * body_size and line.stretch < 0.65


def _continues(previous: Line, line: Line, text: str) -> bool:
    alike = previous.bold == line.bold and abs(previous.size - line.size) < 0.5
    return (
        alike
        and not line.gap
        and not _NUMBERED.match(line.text)
        and len(text) + len(line.text) < 140
    )


def _locate(pages: Sequence[Page], number: int, title: str) -> Heading | None:
    """Find the line of the page that reads as an entry of the outline does."""
    title = clean(title)
    wanted = _plain(title)
    if not 1 <= number <= len(pages) or len(wanted) < 3:
        return None
    for match in re.finditer(r"[^\n]+", pages[number - 1].text):
        line = _plain(match.group())
        if line == wanted or (line and len(line) > 12 and wanted.startswith(line)):
            return Heading(number, match.start(), title[:TITLE_LENGTH])
    return None


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", "", _NUMBERED.sub("", text.strip())).casefold()


def _letters(text: str) -> int:
    return sum(char.isalpha() for char in text)
