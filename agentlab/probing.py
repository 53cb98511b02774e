"""Probing: what the library is asked before the model decides, also for a follow-up question."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ingest.evidence import Evidence
from ingest.words import content_words

_LEANING = re.compile(
    r"^(?:and|or|but|then|also|what about|how about)\b"
    r"|\b(?:it|its|they|them|their|that|this|these|those|there|he|she|him|his|her|one|ones)\b",
    re.IGNORECASE,
)


def leans_on_earlier(question: str) -> bool:
    """Tell whether a question cannot be understood without the one before it."""
    return bool(_LEANING.search(question)) or len(content_words(question)) <= 1


@dataclass(frozen=True)
class Wording:
    """What a person asked, and what they had asked before it."""

    question: str
    earlier: str | None = None

    @property
    def leans(self) -> bool:
        """Tell whether the question means little without the one before it."""
        return bool(self.earlier) and leans_on_earlier(self.question)

    def searches(self, query: str) -> list[str]:
        """List what to search for: the model's query and the person's own words."""
        own = f"{self.earlier} {self.question}" if self.leans else self.question
        return list(dict.fromkeys((query, own)))

    def question_for(self, query: str) -> str:
        """Choose what passages are read for: the question itself, if it can be understood alone."""
        return query if self.leans else self.question


def worded(question: str, before: Sequence[str]) -> Wording:
    """Word a question after the ones `before` it: back to the last that can stand alone."""
    earlier: list[str] = []
    for each in reversed(before):
        earlier.insert(0, each)
        if not leans_on_earlier(each):
            break
    return Wording(question, " ".join(earlier) or None)


def probe(evidence: Callable[[str], Evidence], asked: Wording) -> Evidence:
    """Grade a question alone, and together with the one before it where it leans on that."""
    graded = [evidence(text) for text in asked.searches(asked.question)]
    return max(graded, key=lambda each: each.score)
