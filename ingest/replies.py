"""Replies: what a reader makes of each sentence, put right by what a sentence names.

Where the reader is torn within a table's row, the cell that is asked for is read. A line whose name
is asked for gains; a sentence on another year, one that only announces the answer, and one without
the kind of answer that is asked for, loses, and so does all of a passage that never names whom the
question is about, or its year.
"""

from collections.abc import Sequence
from typing import Protocol

from ingest.answer_kinds import of_another_kind
from ingest.named import lacking_a_name
from ingest.named_lines import named_lines
from ingest.reader import Calibrated, Reply
from ingest.tables import asked_cell, leaves_cell
from ingest.years import lacking_a_year, of_another_year

_NAMED = 8.0
"""The log-odds that a table's row gains whose first cell and one column a question names, and a
line whose whole label it names."""
_ANOTHER_YEAR = 40.0
"""The log-odds that a sentence on another year than those asked of loses."""
_ANNOUNCES = 4.0
"""The log-odds that a sentence loses which ends with a colon: the answer is what it announces."""
_ANOTHER_KIND = 8.0
"""The log-odds that a sentence loses without the kind of answer that is asked for: how much, when,
how long."""
_NAME_LACKING, _YEAR_LACKING = 4.0, 8.0
"""The log-odds that a passage's sentences lose where it never names whom a question is about, and
where it never names its year: others may stand for a name, as "the firm" does."""


class AnswerReader(Protocol):
    """What finds answers in passages: `ingest.reader.Reader`."""

    calibration: Calibrated

    def read(
        self,
        question: str,
        titles: Sequence[str],
        passages: Sequence[str],
        sentences: Sequence[Sequence[tuple[int, int]]],
    ) -> Sequence[Reply]:
        """Score the sentences of each passage."""


def read_sentences(
    question: str,
    headers: Sequence[str],
    texts: Sequence[str],
    spans: Sequence[Sequence[tuple[int, int]]],
    reader: AnswerReader,
) -> list[Reply]:
    """Read texts under their headers; a reply is on the sentences, the `spans`, of its text."""
    cells = [
        [asked_cell(question, text, span) for span in found]
        for text, found in zip(texts, spans, strict=True)
    ]
    asked = [[*found, *filter(None, own)] for found, own in zip(spans, cells, strict=True)]
    replies = reader.read(question, headers, texts, asked)
    gains = _gains(question, headers, texts, spans, cells)
    return [
        Reply(_gained(reply, own), _in_cells(question, reply, text, found, asked_cells))
        for reply, text, found, asked_cells, own in zip(
            replies, texts, spans, cells, gains, strict=True
        )
    ]


def _gains(
    question: str,
    headers: Sequence[str],
    texts: Sequence[str],
    spans: Sequence[Sequence[tuple[int, int]]],
    cells: Sequence[Sequence[tuple[int, int] | None]],
) -> list[list[float]]:
    """Give the log-odds that each sentence gains or loses by what it names."""
    whole = [f"{header} {text}" for header, text in zip(headers, texts, strict=True)]
    told = [
        [text[slice(*span)] for span in found] for text, found in zip(texts, spans, strict=True)
    ]
    of_texts = zip(lacking_a_name(question, whole), lacking_a_year(question, whole), strict=True)
    lost = [_NAME_LACKING * name + _YEAR_LACKING * year for name, year in of_texts]
    named = named_lines(question, texts, spans, cells)
    other = of_another_kind(question, whole, told)
    return [
        [
            _NAMED * asked
            - _ANOTHER_KIND * strange
            - _loss(question, sentence, last=at == len(sentences) - 1)
            - loss
            for at, (sentence, asked, strange) in enumerate(zip(sentences, *own, strict=True))
        ]
        for sentences, loss, *own in zip(told, lost, named, other, strict=True)
    ]


def _loss(question: str, sentence: str, *, last: bool) -> float:
    """Give what a sentence loses; the `last` one of a text announces nothing that stands there."""
    announces = sentence.endswith(":") and not last
    return _ANOTHER_YEAR * of_another_year(question, sentence) + _ANNOUNCES * announces


def _gained(reply: Reply, gains: Sequence[float]) -> tuple[float, ...]:
    """Give the sentences' log-odds, without those of the cells, which come last."""
    return tuple(own + gain for own, gain in zip(reply.sentences, gains, strict=False))


def _in_cells(
    question: str,
    reply: Reply,
    text: str,
    spans: Sequence[tuple[int, int]],
    cells: Sequence[tuple[int, int] | None],
) -> tuple[tuple[int, int], ...]:
    """Put the answers within cells, which come last, in the place of those that leave a cell."""
    last = iter(reply.answers[len(spans) :])
    inside = [next(last) if cell else None for cell in cells]
    return tuple(
        within if cell and within and leaves_cell(question, text, span, cell, answer) else answer
        for answer, span, cell, within in zip(reply.answers, spans, cells, inside, strict=False)
    )
