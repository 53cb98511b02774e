"""Sentences of a text, as character spans: what is quoted and marked."""

import re

from ingest.raised import RAISED

_ABBREVIATION = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|prof|st|vs|etc|e\.g|i\.e|cf|ca|approx|fig|figs|eq|sec|ch|vol|pp?|"
    r"inc|ltd|co|corp|jr|sr|gen|col|lt|sgt|capt|rev|hon|gov|sen|rep|dept|est|al|"
    r"jan|feb|mar|apr|jun|jul|aug|sep|sept|oct|nov|dec)|"
    r"(?<!\d )(?<!/)\b[A-Z]|\b(?:[A-Za-z]\.)+[A-Za-z])\.$",
    re.IGNORECASE,
)
# What is short for a word only where a number follows.
_BEFORE_NUMBER = re.compile(r"(?<!\d )\b(?:nos?|max|min)\.$", re.IGNORECASE)
# Dots that lead from a label to its value: "Postcard ... 0.70 euros".
_LEADER = re.compile(r"[ \t]\.{2,}\Z")
_VALUE = re.compile(r"\s*[€$£]?\d[^\n]{0,30}(?:\n|\Z)")
# An answer whose reason is the next sentence: "Yes. It runs in the browser."
_YES_OR_NO = re.compile(r"\s*(?:yes|no)\.", re.IGNORECASE)
_END = re.compile(
    rf"[.!?]+[\"'”’)\]]*[{RAISED}]*(?=\s)|\n[ \t]*\n|\n(?=[ \t]*(?:[-•*–]|\d+[.)])[ \t])"
)
_BULLET = r"[-•*–—‣▪●○·]\s+"
NUMBER_MARK = re.compile(r"(?:\(\d{1,2}\)|\d{1,2}[.)])\s+")
"""How a numbered item begins, with the space behind its number."""
ITEM_MARKS = (
    re.compile(_BULLET),
    NUMBER_MARK,
    re.compile(r"(?:\([a-z]{1,4}\)|[a-z]\)|[ivx]{1,4}[.)])\s"),
)
"""How the items of a list begin: with a bullet, a number, or a letter (also a Roman number)."""
_LEAD = re.compile(rf"{_BULLET}|[{RAISED}]+\s*(?=\w)")
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_NUMBERING = re.compile(r"\s*\d{1,3}\.")
_HOUR = re.compile(r"\b[ap]\.m\.$", re.IGNORECASE)
# What may follow an hour within a sentence: a time zone, or a day.
_AFTER_HOUR = re.compile(r"\s*(?:[A-Z]{2,5}\b|(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day)")
_CODE = re.compile(r"\s*(?:[-•*–]\s*)?[A-Z]{1,3}-?\d{1,4}\s*[:=–-]\s")
# How many characters a code's sentence takes at least, so that a cause keeps its remedy.
_SHORTEST_CODE = 100
_STOPPED = re.compile(rf"[.!?:][\"'”’)\]]*[{RAISED}]*$")
# Words that end no sentence, and hardly a long heading: the next line goes on.
_UNFINISHED = re.compile(
    r"\b(?:an?|the|of|in|on|at|by|for|from|to|with|into|and|or|nor|but|than|as|is|are|was|were|be|that"
    r"|which|whose|its|their)$"
)
# Characters from which on a line that ends in a stop is taken for the middle of a paragraph, and
# below which a line without one is taken for a heading or a row.
_FULL_LINE = 60
_SHORTEST_WRAPPED = 40
# Characters before a dot that tell whether it ends a sentence: in a page of names with initials all
# that came before would be read again at each.
_TAIL = 40


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


def last_sentence(text: str) -> str:
    """Give the last sentence: of a question, what is asked after all that leads to it."""
    spans = sentence_spans(text)
    return text[slice(*spans[-1])] if spans else ""


def one_line(sentence: str) -> str:
    """Write a sentence as it is quoted: on one line, without its bullet or a footnote's number."""
    lead = _LEAD.match(sentence)
    return " ".join(sentence[lead.end() if lead else 0 :].split())


def begins_item(line: str) -> bool:
    """Tell whether a line begins as an item of a list does."""
    return any(mark.match(line) for mark in ITEM_MARKS)


def _is_boundary(text: str, start: int, match: re.Match[str]) -> bool:
    if match.group().startswith("\n"):
        return True
    before = text[start : match.start() + 1]
    rest = text[match.end() : match.end() + 3].lstrip()
    if rest[:1].islower() or _goes_with_code(text, start, match.end()):
        return False
    if match.group() != ".":
        return not (_LEADER.search(text, start, match.end()) and _VALUE.match(text, match.end()))
    tail = before[-_TAIL:]
    if _HOUR.search(tail):
        return not _AFTER_HOUR.match(text, match.end())
    if _BEFORE_NUMBER.search(tail) and rest[:1].isdigit():
        return False
    joined = _NUMBERING.fullmatch(before) or _YES_OR_NO.fullmatch(before)
    return not (joined or _ABBREVIATION.search(tail))


def _goes_with_code(text: str, start: int, end: int) -> bool:
    """Tell whether what follows still belongs to an error code that a sentence begins with."""
    coded = _CODE.match(text, start) and end - start < _SHORTEST_CODE
    return bool(coded) and not _CODE.match(text, end)


def _blocks(text: str) -> list[tuple[int, int]]:
    """Split where lines are rows or headings of their own, and keep wrapped prose together."""
    lines = [(match.start(), match.end()) for match in _LINE.finditer(text)]
    lengths = sorted(len(text[start:end].strip()) for start, end in lines)
    wide = lengths[int(len(lengths) * 0.8)] if lengths else 0
    blocks: list[tuple[int, int]] = []
    last, listed = "", False
    for start, end in lines:
        line = text[start:end].strip()
        bare = not (_STOPPED.search(last) or begins_item(last))
        listed = last.endswith(":") or (listed and bare)
        if blocks and _goes_on(last, line, wide, listed=listed):
            blocks[-1] = (blocks[-1][0], end)
        else:
            blocks.append((start, end))
        last = line
    return blocks


def _goes_on(last: str, line: str, wide: int, *, listed: bool) -> bool:
    """Tell whether a line continues the paragraph of the line before it.

    `wide` is how long full lines are; `listed` tells that lines below a colon may be bare items.
    """
    if not last or not line or last.endswith(":") or begins_item(line):
        return False
    if _STOPPED.search(last):
        return len(last) >= _FULL_LINE
    long = len(last) >= _SHORTEST_WRAPPED
    full = long and (len(last) >= 0.6 * wide or bool(_UNFINISHED.search(last)))
    return full or (line[0].islower() and not listed)


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
