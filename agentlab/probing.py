"""Probing: what the library is asked before the model decides, also for a follow-up question."""

import re
from collections.abc import Callable

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


def probe(
    evidence: Callable[[str], Evidence], question: str, earlier: str | None = None
) -> Evidence:
    """Grade a question alone, and together with the one before it where it leans on that."""
    alone = evidence(question)
    if not earlier or not leans_on_earlier(question):
        return alone
    return max(alone, evidence(f"{earlier} {question}"), key=lambda each: each.score)
