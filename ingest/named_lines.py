"""Named lines: the rows of a table and the labelled lines that a question names by their words.

"Late fee: 5 euros" answers what is asked about the late fee, and the row of 20 years what is asked
over 20 years, whatever a reader makes of so few words.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ingest.tables import label_named, row_named_at
from ingest.words import content_words
from ingest.years import of_another_year

Span = tuple[int, int]


class _Line(NamedTuple):
    """A label that the question names, and which of its words the whole line holds."""

    label: frozenset[str]
    held: set[str]


def named_lines(
    question: str,
    texts: Sequence[str],
    spans: Sequence[Sequence[Span]],
    cells: Sequence[Sequence[Span | None]],
) -> list[list[bool]]:
    """Tell of each sentence of each text whether it is the row or the line that is named.

    Of rows, sentences with a cell that is asked for, it is the one that is named last; of labelled
    lines those with the longest label, unless another sentence holds that and more of the question.
    """
    rows = [
        [
            row_named_at(question, text, span) if cell else (0, 0)
            for span, cell in zip(found, own, strict=True)
        ]
        for text, found, own in zip(texts, spans, cells, strict=True)
    ]
    last = max((place for own in rows for place in own), default=(0, 0))
    lines = [list(_lines(question, *each)) for each in zip(texts, spans, strict=True)]
    longest = _longest([line for own in lines for line in own])
    return [
        [
            (0, 0) < place == last or 0 < len(line.label) == longest
            for place, line in zip(*own, strict=True)
        ]
        for own in zip(rows, lines, strict=True)
    ]


def _lines(question: str, text: str, spans: Sequence[Span]) -> Iterator[_Line]:
    """Read the sentences; a question, as an FAQ has them, and one on another year hold nothing."""
    asked = content_words(question)
    for span in spans:
        sentence = text[slice(*span)]
        silent = sentence.rstrip().endswith("?") or of_another_year(question, sentence)
        held = set() if silent else content_words(sentence) & asked
        yield _Line(label_named(question, text, span), held)


def _longest(lines: Sequence[_Line]) -> int:
    """Count the words of the longest label; 0 where a line says more of what is asked."""
    best = max(lines, key=lambda line: len(line.label), default=_Line(frozenset(), set()))
    outdone = any(best.held < line.held for line in lines)
    return 0 if outdone else len(best.label)
