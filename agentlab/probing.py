"""Probing: what the library is asked before the model decides, also for a follow-up question."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ingest.evidence import Evidence
from ingest.words import content_words

# "That" leans after such a word, before such a word, and near the end; else it mostly begins a
# clause, as in "the money that is left over".
_BEFORE_THAT = (
    "is|was|are|were|does|do|did|can|could|will|would|should|must|may|for|of|about|to|with|on|in|at|"
    "from|by|like|than|after|before|without|and|or|but|so|why|how|what|when|where|who|s"
)
_AFTER_THAT = "without|by|for|with|to|in|on|at|from|per|too|again|now"
# "One" stands for a thing after such a word, before such a word, and at an end; else it counts, as
# in "one night".
_BEFORE_ONE = "the|which|other|another|my|your|our|an?|this|that|each|on|need|want"
_AFTER_ONE = (
    "is|was|has|does|did|do|can|could|must|should|will|would|may|for|with|that|which|than|instead|"
    "too|by|from|more|as"
)
_LEANING = re.compile(
    r"^(?:and|or|but|then|also|what about|how about)\b"
    r"|\b(?:it|its|they|them|their|this|these|those|there|he|she|him|his|her|ones)\b"
    rf"|\b(?:{_BEFORE_ONE})\s+(?:\w+\s+)?one\b|\bone(?:\s*(?:[,;:.!?]|$)|\s+(?:{_AFTER_ONE})\b)"
    rf"|(?:^|\b(?:{_BEFORE_THAT})\s+)that\b|\bthat\s+(?:{_AFTER_THAT})\b"
    r"|\bthat(?:\W+\w+){0,2}\W*$",
    re.IGNORECASE,
)
# A question that is whole has one of these, or asks for something with a verb.
_WHOLE = re.compile(
    r"\b(?:who|whom|whose|what|when|where|which|why|how|is|are|was|were|do|does|did|can|could|may|"
    r"must|should|will|would|has|have|had|am|tell|give|show|find|list|explain)\b|n't\b",
    re.IGNORECASE,
)
_SHORT = 3


def leans_on_earlier(question: str) -> bool:
    """Tell whether a question cannot be understood without the one before it."""
    if _LEANING.search(question) or len(content_words(question)) <= 1:
        return True
    return len(question.split()) <= _SHORT and not _WHOLE.search(question)


@dataclass(frozen=True)
class Wording:
    """What a person asked, and what they had asked before it."""

    question: str
    earlier: str | None = None

    @property
    def leans(self) -> bool:
        """Tell whether the question means little without the one before it."""
        return bool(self.earlier) and leans_on_earlier(self.question)

    @property
    def own(self) -> str:
        """Give the person's own words, after those that they lean on."""
        return f"{self.earlier} {self.question}" if self.leans else self.question

    def readings(self, query: str) -> list[str]:
        """List the wordings to read for: the person's own words, and the query if they lean.

        What leans on earlier words is read better in both: a query can lose the point, and own
        words name their subject only at a distance.
        """
        return list(dict.fromkeys((self.own, query))) if self.leans else [self.own]

    def mended(self, query: str) -> str:
        """Give the query, or the person's own words where it only repeats the question before.

        A very small model at times does so, and loses the question that leans on it.
        """
        if not self.earlier or not self.leans:
            return query
        said, asked = content_words(query), content_words(self.question)
        repeats = said <= content_words(self.earlier) and asked and not asked & said
        return self.own if repeats else query

    def searches(self, query: str) -> list[str]:
        """List what to search for: the model's query and the person's own words."""
        return list(dict.fromkeys((query, self.own)))


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
