"""Probing: what the library is asked before the model decides, also for a follow-up question."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agentlab.leaning import leans_on_earlier
from ingest.evidence import Evidence
from ingest.words import content_words


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
