"""Evidence: how well a collection matches a question, before any model decides.

The score of a question is the best, over the top passages, of
cosine + 0.45 x (the idf-weighted share of the question's content words that the passage holds).
Where that score stands among the scores of unrelated background questions, asked of that very
collection, gives the word that the model is shown. No labels are needed, so every collection can
be calibrated when it is ingested.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib import resources
from statistics import NormalDist
from typing import Any, Literal

from ingest.stores.base import Hit
from ingest.words import content_words

Strength = Literal["none", "weak", "good", "strong"]
MEANING: Mapping[Strength, str] = {
    "none": "unrelated questions match about as well, or the reader sees no answer",
    "weak": "a better match than 9 of 10 unrelated questions have",
    "good": "97 of 100 unrelated questions match less, or an answer was read",
    "strong": "a better match than any unrelated question has",
}
COVERAGE_WEIGHT = 0.45
TOP = 5
SAMPLE = 5_000
"""The passages whose words are counted, where there are more: so its cost does not grow."""
_CHANGED = 0.1
_VOCABULARY = 200_000
_PERCENTILES = {"weak": 0.90, "good": 0.97}
# A small library answers no background question; a large one of many subjects answers some, which
# then are no background. Their share grows with it, and with it the percentiles; the lower half of
# the scores does not know them, so from so many passages on it alone tells where percentiles lie.
_ANSWERS_NONE, _ANSWERS_SOME = 1_000, 2_000


@dataclass(frozen=True)
class Evidence:
    """How well the collection matches a question, and the titles of the best passages."""

    strength: Strength
    score: float
    titles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Calibration:
    """What a probe needs to know of a collection: word counts and the background's scores.

    `passages` and `frequencies` are of a sample where the collection is large; `size` counts all of
    its passages, and `embedder` names its vectors, when it was measured. `weak` and `good` are the
    90th and 97th percentile of the background's scores, in a large collection of those that a
    normal distribution has with their lower half; `strong` lies as far above `good` as makes a
    chance match implausible: at least the background's maximum.
    """

    passages: int
    frequencies: Mapping[str, int]
    weak: float
    good: float
    strong: float
    size: int = 0
    embedder: str = ""

    def fits(self, size: int, embedder: str) -> bool:
        """Tell whether a collection is still much as it was: measured anew where it is small."""
        changed = abs(size - self.size)
        return size > SAMPLE and embedder == self.embedder and changed <= _CHANGED * self.size

    def idf(self, word: str) -> float:
        """Weigh a word by how few passages hold it (BM25's inverse document frequency)."""
        found = self.frequencies.get(word, 0)
        return math.log(1 + (self.passages - found + 0.5) / (found + 0.5))

    def coverage(self, question: str, passage: str) -> float:
        """Give the idf-weighted share, 0..1, of the question's words that the passage holds."""
        asked = content_words(question)
        total = sum(self.idf(word) for word in asked)
        held = sum(self.idf(word) for word in asked & _words_of(passage))
        return held / total if total else 0.0

    def score(self, question: str, hits: Sequence[Hit]) -> float:
        """Score a question by its best passage; 0 where nothing was found."""
        scores = [
            hit.cosine + COVERAGE_WEIGHT * self.coverage(question, hit.chunk.embedded)
            for hit in hits[:TOP]
        ]
        return max(scores, default=0.0)

    def grade(self, score: float) -> Strength:
        """Put a score into a word."""
        if score >= self.strong:
            return "strong"
        if score >= self.good:
            return "good"
        return "weak" if score >= self.weak else "none"

    def evidence(self, question: str, hits: Sequence[Hit]) -> Evidence:
        """Grade a question by the hits that its search brought, with their first two headers."""
        score = self.score(question, hits)
        strength = self.grade(score) if hits else "none"
        titles = titles_of(hits) if strength != "none" else ()
        return Evidence(strength=strength, score=round(score, 3), titles=titles)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "Calibration":
        """Read what `to_dict` wrote."""
        return cls(**value)


@lru_cache(maxsize=512)
def _words_of(passage: str) -> frozenset[str]:
    """Collect the words of a passage, which a calibration finds again and again."""
    return frozenset(content_words(passage))


def titles_of(hits: Sequence[Hit]) -> tuple[str, ...]:
    """Give the first two headers of what a search found."""
    return tuple(dict.fromkeys(hit.chunk.header for hit in hits))[:2]


def background_questions() -> list[str]:
    """Read the questions that belong to no collection in particular."""
    text = resources.files("ingest").joinpath("background.txt").read_text(encoding="utf-8")
    return [line.strip() for line in text.splitlines() if line.strip()]


def calibrate(
    passages: Iterable[str],
    asked: Mapping[str, Sequence[Hit]],
    *,
    size: int = 0,
    embedder: str = "",
) -> Calibration:
    """Measure how unrelated questions score against a collection of `size` passages.

    `passages` are the embedded texts of its chunks, or of a sample of them; `asked` holds the hits
    of each unrelated question.
    """
    counts: Counter[str] = Counter()
    total = 0
    for passage in passages:
        counts.update(content_words(passage))
        total += 1
    words = dict(counts.most_common(_VOCABULARY))
    blank = Calibration(passages=total, frequencies=words, weak=0.0, good=0.0, strong=0.0)
    scores = sorted(blank.score(question, hits) for question, hits in asked.items())
    weak, good = (_percentile(scores, share, size or total) for share in _PERCENTILES.values())
    strong = max(scores[-1], good + 0.10)
    return Calibration(total, words, weak, good, strong, size=size or total, embedder=embedder)


def _percentile(scores: Sequence[float], share: float, size: int) -> float:
    """Give a percentile of ordered scores, without those that a large collection answers."""
    plain = _quantile(scores, share)
    weight = math.log(max(size, 1) / _ANSWERS_NONE) / math.log(_ANSWERS_SOME / _ANSWERS_NONE)
    if weight <= 0:
        return plain
    middle = _quantile(scores, 0.5)
    # A normal distribution has 16 % of its scores below its mean less its standard deviation.
    bulk = middle + NormalDist().inv_cdf(share) * (middle - _quantile(scores, 0.16))
    return plain - min(1.0, weight) * max(0.0, plain - bulk)


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
