"""Reading: which sentences of the found passages answer a question best.

A sentence's score is its cosine with the question plus 0.04 for each content word they share.
The best one is marked », the next two ›; the best score gives the word for the evidence.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from ingest.sentences import sentence_spans
from ingest.words import content_words

ReadingStrength = Literal["weak", "fair", "strong"]
BEST, NEXT = "»", "›"
_SHARED_WORD = 0.04
_FAIR, _STRONG = 0.55, 0.75


class Encoder(Protocol):
    """What turns texts into normalised vectors."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Embed texts, float32 of shape (texts, dimension)."""


@dataclass(frozen=True)
class ScoredSentence:
    """A sentence of a passage: its span there and its score."""

    start: int
    end: int
    score: float


@dataclass(frozen=True)
class MarkedPassage:
    """A window of whole sentences of a passage, with marks before the best ones."""

    start: int
    end: int
    shown: str
    best: ScoredSentence | None
    sentences: tuple[str, ...] = ()
    best_sentence: str | None = None


@dataclass(frozen=True)
class Reading:
    """The passages of one result, in the order of the search, and how strong the evidence is."""

    strength: ReadingStrength
    score: float
    passages: tuple[MarkedPassage, ...]


def mark(query: str, texts: Sequence[str], encoder: Encoder, *, words: int = 75) -> Reading:
    """Mark the best sentences of some passages and cut each to about `words` words around them."""
    spans = [sentence_spans(text) for text in texts]
    sentences = [text[a:b] for text, found in zip(texts, spans, strict=True) for a, b in found]
    if not sentences:
        empty = tuple(MarkedPassage(0, len(text), text, None) for text in texts)
        return Reading("weak", 0.0, empty)
    scores = score_sentences(query, sentences, encoder)
    ranks = np.argsort(-scores, kind="stable")
    marks = {int(ranks[0]): BEST} | {int(index): NEXT for index in ranks[1:3]}
    passages = []
    first = 0
    for text, found in zip(texts, spans, strict=True):
        own = scores[first : first + len(found)]
        own_marks = {i: marks[first + i] for i in range(len(found)) if first + i in marks}
        passages.append(_window(text, found, own, own_marks, words))
        first += len(found)
    best = float(scores[ranks[0]])
    return Reading(_grade(best), round(best, 3), tuple(passages))


def score_sentences(query: str, sentences: Sequence[str], encoder: Encoder) -> np.ndarray:
    """Score sentences against a query, shape (sentences,)."""
    vectors = encoder.encode([query, *sentences])
    asked = content_words(query)
    shared = [len(asked & content_words(sentence)) for sentence in sentences]
    result: np.ndarray = vectors[1:] @ vectors[0] + _SHARED_WORD * np.array(shared)
    return result


def _grade(score: float) -> ReadingStrength:
    return "strong" if score >= _STRONG else "fair" if score >= _FAIR else "weak"


def _window(
    text: str,
    spans: Sequence[tuple[int, int]],
    scores: np.ndarray,
    marks: dict[int, str],
    words: int,
) -> MarkedPassage:
    if not spans:
        return MarkedPassage(0, len(text), text, None)
    centre = int(np.argmax(scores))
    first, last = _grow([len(text[a:b].split()) for a, b in spans], centre, words)
    inside = range(first, last + 1)
    sentences = {index: " ".join(text[slice(*spans[index])].split()) for index in inside}
    return MarkedPassage(
        start=spans[first][0],
        end=spans[last][1],
        shown=" ".join(marks.get(index, "") + sentence for index, sentence in sentences.items()),
        best=ScoredSentence(*spans[centre], float(scores[centre])),
        sentences=tuple(sentences.values()),
        best_sentence=next((s for i, s in sentences.items() if marks.get(i) == BEST), None),
    )


def _grow(lengths: Sequence[int], centre: int, words: int) -> tuple[int, int]:
    """Widen a window around a sentence, before and after by turns, while it fits."""
    first = last = centre
    total = lengths[centre]
    grown = True
    while grown:
        grown = False
        if last + 1 < len(lengths) and total + lengths[last + 1] <= words:
            last += 1
            total += lengths[last]
            grown = True
        if first > 0 and total + lengths[first - 1] <= words:
            first -= 1
            total += lengths[first]
            grown = True
    return first, last
