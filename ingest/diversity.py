"""Diversity: a choice of passages that do not say the same twice.

Maximal marginal relevance (Carbonell & Goldstein 1998): the next passage is the one that is most
relevant, less what it repeats of those already chosen. Passages are as like as the words that they
share (Jaccard), which costs no vectors and is what two versions of one text have in common.
"""

from collections.abc import Sequence

from ingest.stores.base import Hit
from ingest.words import content_words

CANDIDATES = 50


def diverse(hits: Sequence[Hit], *, relevance: float, limit: int) -> list[Hit]:
    """Choose the hits that are relevant and unlike each other, in the order of their choice.

    `relevance` is the method's lambda: 1 keeps the order of the search, 0 only avoids repetition.
    """
    words = {hit.chunk.id: content_words(hit.chunk.text) for hit in hits}
    repeats = dict.fromkeys(words, 0.0)
    left = list(hits)
    chosen: list[Hit] = []
    while left and len(chosen) < limit:
        best = max(
            left,
            key=lambda hit: relevance * hit.score - (1 - relevance) * repeats[hit.chunk.id],
        )
        left.remove(best)
        chosen.append(best)
        for hit in left:
            shared = _likeness(words[hit.chunk.id], words[best.chunk.id])
            repeats[hit.chunk.id] = max(repeats[hit.chunk.id], shared)
    return chosen


def _likeness(one: set[str], other: set[str]) -> float:
    every = len(one | other)
    return len(one & other) / every if every else 1.0
