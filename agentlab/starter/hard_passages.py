"""Hard passages: what a reader takes for the answer to a question that they do not answer.

They teach a reader's next sitting more than passages that are merely near: negatives that the model
itself finds, as for dense retrieval (Xiong et al. 2021, ANCE).
"""

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from agentlab.starter.reader_rows import Asked, Page, Row, Span, compared, cut
from ingest.embedding import Embedder
from ingest.replies import AnswerReader
from ingest.sentences import sentence_spans

_NEAREST = 5
_SAME_SUBJECT = 0.15
"""What a passage of the question's own subject gains on its cosine."""
_WORDS = (45, 150)
_MISLABELLED = 3.0
"""By how much log-odds another passage must beat the right one to be taken for an answer, too."""
_FOUND, _SEEN = 4.0, -8.0
"""The log-odds below which the right passage, and from which on another one, is worth a row."""
_TIGHT = 6.0
"""How near another passage's log-odds come to the right one's where both are worth a row."""
_EASY = 0.25


class _Best(NamedTuple):
    """The log-odds of a passage's best sentence, and where that stands."""

    odds: float
    sentence: Span


def hard_rows(
    pages: Sequence[Page],
    asked: Sequence[Asked],
    reader: AnswerReader,
    embedder: Embedder,
    *,
    seed: int,
    first: int = 0,
) -> Iterator[list[Row]]:
    """Read the passages nearest to each question; give those that mislead the reader.

    Beside them stand the right passages that it does not find or that come close to others, and
    some of the rest. A question's rows hang on nothing but itself and the seed; those before the
    `first` are left out.
    """
    subjects = np.array([page.title for page in pages])
    for number, (each, span, cosines) in enumerate(compared(pages, asked, embedder)):
        if number < first:
            continue
        rng = random.Random(f"{seed} {number}")
        own = pages[each.passage]
        scores = cosines + _SAME_SUBJECT * (subjects == own.title)
        near = [pages[int(at)] for at in np.argsort(-scores)[: 2 * _NEAREST] if at != each.passage]
        others = [page for page in near if not each.answered_by(page)][:_NEAREST]
        right, *wrong = _read(each.question, [own, *others], reader, within=span)
        misleading = sorted(
            (
                (best, page)
                for best, page in zip(wrong, others, strict=True)
                if _SEEN < best.odds <= right.odds + _MISLABELLED
            ),
            key=lambda found: -found[0].odds,
        )
        tight = bool(misleading) and misleading[0][0].odds > right.odds - _TIGHT
        rows = []
        if right.odds < _FOUND or tight or rng.random() < _EASY:
            rows.append(cut(each.question, own, span, rng, words=rng.randint(*_WORDS)))
        for best, page in misleading[: 2 if tight else 1]:
            words = rng.randint(*_WORDS)
            rows.append(cut(each.question, page, None, rng, words=words, around=best.sentence))
        yield rows


def _read(
    question: str, pages: Sequence[Page], reader: AnswerReader, *, within: Span
) -> list[_Best]:
    """Find the best sentence of each page; of the first, the one that holds the answer."""
    spans = [sentence_spans(page.text) for page in pages]
    replies = reader.read(
        question, [page.title for page in pages], [page.text for page in pages], spans
    )
    found = [
        max(map(_Best, reply.sentences, own), default=_Best(-np.inf, (0, 0)))
        for reply, own in zip(replies, spans, strict=True)
    ]
    holding = (
        _Best(odds, own)
        for odds, own in zip(replies[0].sentences, spans[0], strict=True)
        if own[0] <= within[0] < own[1]
    )
    return [next(holding, found[0]), *found[1:]]
