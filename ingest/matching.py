"""A match: which of a query's words a passage holds, and where, so that people see why it came."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ingest.documents import Chunk
from ingest.words import content_words, word_spans

_CUT = "… "
_WORD = re.compile(r"\S+")


@dataclass(frozen=True)
class Match:
    """The query's words that a passage or its header holds, those it lacks, and where they stand.

    `spans` are characters of the passage's text; a word that only the header holds has none.
    """

    held: tuple[str, ...]
    missing: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Snippet:
    """A piece of a passage on one line, and where the query's words stand in it."""

    text: str
    spans: tuple[tuple[int, int], ...]


def match(query: str, chunk: Chunk) -> Match:
    """Tell which words of a query a passage holds, in whatever ending, as the query writes them."""
    there = content_words(chunk.embedded)
    asked = {word: query[start:end] for start, end, word in reversed(word_spans(query))}
    in_order = dict.fromkeys(word for _, _, word in word_spans(query))
    return Match(
        held=tuple(asked[word] for word in in_order if word in there),
        missing=tuple(asked[word] for word in in_order if word not in there),
        spans=tuple((start, end) for start, end, word in word_spans(chunk.text) if word in asked),
    )


def snippet(text: str, spans: Sequence[tuple[int, int]], *, width: int) -> Snippet:
    """Cut about `width` characters where most of the spans stand, between words, on one line."""
    start, end = _window(text, spans, width)
    pieces: list[str] = [_CUT] if start else []
    marked: list[tuple[int, int]] = []
    length = len(_CUT) if start else 0
    for word_start, word_end in _words(text, start, end):
        if len(pieces) > bool(start):
            pieces.append(" ")
            length += 1
        marked += [
            (max(one, word_start) - word_start + length, min(other, word_end) - word_start + length)
            for one, other in spans
            if one < word_end and other > word_start
        ]
        pieces.append(text[word_start:word_end])
        length += word_end - word_start
    if end < len(text.rstrip()):
        pieces.append(" …")
    return Snippet("".join(pieces), tuple(marked))


def _window(text: str, spans: Sequence[tuple[int, int]], width: int) -> tuple[int, int]:
    """Choose the stretch that holds most of the spans; the first of equals, with room around."""
    if len(text) <= width or not spans:
        return 0, min(len(text), width)
    counts = [sum(one <= other < one + width for other, _ in spans) for one, _ in spans]
    first = spans[counts.index(max(counts))][0]
    last = max(end for start, end in spans if start < first + width)
    start = max(0, min(first - (width - (last - first)) // 2, len(text) - width))
    return start, start + width


def _words(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """List the whole words of a stretch; what its edges cut is left out, unless all is one word."""
    spans = (found.span() for found in _WORD.finditer(text))
    return [each for each in spans if each[0] >= start and each[1] <= end] or [(start, end)]
