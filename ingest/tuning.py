"""Tuning: how much meaning counts beside words in a collection's search, chosen on itself.

A question is made of a sentence of each passage of a sample, without any model. Such questions
flatter the words, since people ask in words of their own: so the words' arm gets three words of the
sentence and three of other sentences, and the meaning's arm seven tenths of the sentence as it
stands. With these shares the made questions of four public sets are found best at the weights at
which the real ones are. Each question is searched once an arm, every weight of a small grid fuses
the two, and the weight whose mean reciprocal rank is clearly better than that of equal weights is
taken; else equal weights stay.
"""

import hashlib
import heapq
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ingest.documents import Chunk
from ingest.embedding import Embedder
from ingest.sentences import one_line, sentence_spans
from ingest.stores.base import Hit, Store, relative_score_fusion
from ingest.words import word_spans

EVEN = 0.5
GRID = (0.1, 0.2, 0.3, 0.4, EVEN, 0.6, 0.7, 0.8, 0.9)
LEAST_PASSAGES = 500
QUESTIONS = 100
LEAST_QUESTIONS = 40

_OWN_WORDS, _OTHER_WORDS = 3, 3
_PART = 0.7  # of the sentence
_SENTENCE_WORDS = range(8, 41)
_DEPTH = 50
_CHANGED = 0.5  # of the passages: so many more or fewer ask for another tuning
_LEAST_GAIN = 0.02
_TIED = 0.005
_SURE = 0.95
_DRAWS = 2000


@dataclass(frozen=True)
class Tuning:
    """The weight of meaning that was chosen, and what it is worth on the questions made.

    `even` and `tuned` are the mean reciprocal ranks at equal weights and at `alpha`; `passages`
    counts those of the collection, and `embedder` names its vectors, when it was tuned.
    """

    alpha: float
    even: float
    tuned: float
    questions: int
    passages: int
    embedder: str

    def fits(self, passages: int, embedder: str) -> bool:
        """Tell whether the collection is still about what it was when it was tuned."""
        changed = abs(passages - self.passages)
        return embedder == self.embedder and changed <= _CHANGED * self.passages

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "Tuning":
        """Read what `to_dict` wrote."""
        return cls(**value)


@dataclass(frozen=True)
class Question:
    """What each arm is asked, and the text of the passage that it should find."""

    meaning: str
    words: str
    passage: str


def tune(store: Store, embedder: Embedder) -> Tuning:
    """Choose the weight of meaning for a collection by questions made from it."""
    questions = make_questions(store.chunks())
    passages = store.count()
    if len(questions) < LEAST_QUESTIONS:
        return Tuning(EVEN, 0.0, 0.0, len(questions), passages, embedder.name)
    meanings, words = ([getattr(each, arm) for each in questions] for arm in ("meaning", "words"))
    vectors = embedder.encode(meanings)
    by_meaning = store.hybrid_many(meanings, vectors, alpha=1.0, limit=_DEPTH)
    by_words = store.hybrid_many(words, vectors, alpha=0.0, limit=_DEPTH)
    ranks = np.array(list(map(_ranks, questions, by_meaning, by_words)))
    chosen = choose(ranks)
    means = dict(zip(GRID, ranks.mean(axis=0), strict=True))
    return Tuning(
        alpha=chosen,
        even=round(float(means[EVEN]), 3),
        tuned=round(float(means[chosen]), 3),
        questions=len(questions),
        passages=passages,
        embedder=embedder.name,
    )


def make_questions(chunks: Iterable[Chunk], *, count: int = QUESTIONS) -> list[Question]:
    """Make at most `count` of a sample of chunks; the same chunks make the same questions."""
    # Not every passage has a sentence, so more are drawn; in whatever order the store gives them.
    drawn = heapq.nsmallest(
        2 * count, chunks, key=lambda chunk: hashlib.sha256(chunk.id.encode()).digest()
    )
    asked = [(chunk, said) for chunk in drawn if (said := _sentence(chunk))][:count]
    words = [_content(said) for _, said in asked]
    questions = []
    for number, (chunk, said) in enumerate(asked):
        dice = random.Random(chunk.id)
        others = [word for place, each in enumerate(words) if place != number for word in each]
        own = dice.sample(words[number], _OWN_WORDS)
        foreign = dice.sample(others, min(_OTHER_WORDS, len(others)))
        questions.append(Question(_part(said, dice), " ".join(own + foreign), chunk.text))
    return questions


def choose(ranks: np.ndarray) -> float:
    """Choose a weight of the grid; `ranks` are reciprocal ranks of shape (questions, grid).

    Of weights as good as the best the nearest to equal ones is meant; it must gain 0.02 over
    them, and in 95 % of a paired bootstrap's draws gain at all.
    """
    means = ranks.mean(axis=0)
    even = GRID.index(EVEN)
    good = [place for place, mean in enumerate(means) if mean >= means.max() - _TIED]
    best = min(good, key=lambda place: (abs(place - even), -means[place]))
    gains = ranks[:, best] - ranks[:, even]
    draws = np.random.default_rng(0).integers(len(gains), size=(_DRAWS, len(gains)))
    sure = float((gains[draws].mean(axis=1) > 0).mean())
    return GRID[best] if gains.mean() >= _LEAST_GAIN and sure >= _SURE else EVEN


def _ranks(question: Question, by_meaning: Sequence[Hit], by_words: Sequence[Hit]) -> list[float]:
    """Give the reciprocal rank of the passage for each weight of the grid."""
    right = {hit.chunk.id for hit in (*by_meaning, *by_words) if hit.chunk.text == question.passage}
    return [_reciprocal(_fused(by_meaning, by_words, alpha), right) for alpha in GRID]


def _fused(by_meaning: Sequence[Hit], by_words: Sequence[Hit], alpha: float) -> list[str]:
    scores = relative_score_fusion(
        {hit.chunk.id: hit.score for hit in by_meaning},
        {hit.chunk.id: hit.score for hit in by_words},
        alpha,
    )
    return sorted(scores, key=lambda key: (-scores[key], key))


def _reciprocal(order: Sequence[str], right: set[str]) -> float:
    return next((1 / place for place, key in enumerate(order, 1) if key in right), 0.0)


def _sentence(chunk: Chunk) -> str:
    """Draw one of a chunk's sentences that are neither a fragment nor a list."""
    said = [one_line(chunk.text[start:end]) for start, end in sentence_spans(chunk.text)]
    whole = [each for each in said if len(each.split()) in _SENTENCE_WORDS]
    whole = [each for each in whole if len(_content(each)) >= _OWN_WORDS]
    return random.Random(chunk.id).choice(whole) if whole else ""


def _content(sentence: str) -> list[str]:
    """List the words of a sentence that carry meaning, each once, as they are written."""
    stems = {stem: sentence[start:end] for start, end, stem in word_spans(sentence)}
    return list(stems.values())


def _part(sentence: str, dice: random.Random) -> str:
    """Cut a part of a sentence's words, as they stand."""
    words = sentence.split()
    length = round(_PART * len(words))
    start = dice.randrange(len(words) - length + 1)
    return " ".join(words[start : start + length])
