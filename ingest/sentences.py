"""Sentences of a text, as character spans: what is quoted and marked."""

import re

_ABBREVIATION = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|prof|st|no|nos|vs|etc|e\.g|i\.e|cf|ca|approx|fig|figs|eq|sec|ch|vol|pp?|"
    r"inc|ltd|co|corp|jr|sr|gen|col|lt|sgt|capt|rev|hon|gov|sen|rep|dept|est|al|"
    r"jan|feb|mar|apr|jun|jul|aug|sep|sept|oct|nov|dec)|\b[A-Z]|\b(?:[A-Za-z]\.)+[A-Za-z])\.$",
    re.IGNORECASE,
)
_INITIAL = re.compile(r"\b[A-Z]\.$")
_END = re.compile(r"[.!?]+[\"'”’)\]]*(?=\s)|\n[ \t]*\n|\n(?=[ \t]*(?:[-•*–]|\d+[.)])[ \t])")
_BREAK = re.compile(r"\n")
_LONGEST = 400


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Split into sentences: trimmed spans, in order, that never overlap.

    A list item or a short line of its own (a heading, a table's row) counts as a sentence.
    """
    spans: list[tuple[int, int]] = []
    for start, end in _blocks(text):
        cut = start
        for match in _END.finditer(text, start, end):
            if _is_boundary(text, cut, match):
                spans.append((cut, match.end()))
                cut = match.end()
        spans.append((cut, end))
    trimmed = (_trim(text, *span) for span in spans)
    return [span for span in trimmed if span[0] < span[1]]


def _is_boundary(text: str, start: int, match: re.Match[str]) -> bool:
    if match.group().startswith("\n"):
        return True
    before = text[start : match.start() + 1]
    rest = text[match.end() : match.end() + 3].lstrip()
    if match.group() == ".":
        if _INITIAL.search(before) or (
            _ABBREVIATION.search(before) and not before[-2:-1].isdigit()
        ):
            return False
        if re.fullmatch(r"\s*\d{1,3}\.", before):
            return False
    return not rest[:1].islower()


def _blocks(text: str) -> list[tuple[int, int]]:
    """Split where lines are rows or headings of their own, and keep wrapped prose together."""
    lines: list[tuple[int, int]] = []
    start = 0
    for match in _BREAK.finditer(text):
        lines.append((start, match.end()))
        start = match.end()
    lines.append((start, len(text)))
    if len(lines) == 1:
        return lines
    widths = sorted(len(text[a:b].strip()) for a, b in lines)
    wide = widths[int(len(widths) * 0.8)]
    blocks: list[tuple[int, int]] = []
    for begin, end in lines:
        previous = text[blocks[-1][0] : blocks[-1][1]].rstrip("\n") if blocks else ""
        last = previous.rsplit("\n", 1)[-1].strip()
        wrapped = (
            bool(last)
            and not re.search(r"[.!?:][\"'”’)\]]*$", last)
            and (
                (len(last) >= 0.6 * wide
                and len(last) >= 40)
                or text[begin:end].lstrip()[:1].islower()
            )
            and end - blocks[-1][0] < _LONGEST * 4
        )
        if blocks and (wrapped or _continues(last, text[begin:end])):
            blocks[-1] = (blocks[-1][0], end)
        else:
            blocks.append((begin, end))
    return blocks


def _continues(last: str, line: str) -> bool:
    """Tell whether a full line of prose ends in a stop and the paragraph goes on."""
    return len(last) >= 60 and bool(re.search(r"[.!?][\"'”’)\]]*$", last)) and bool(line.strip())


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
