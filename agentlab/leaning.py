"""Leaning: whether a question can be understood without the one before it.

A question that leans is read together with the one before it, which helps it; one that stands
alone then often gets the earlier one's answer. So words that only look as if they pointed back do
not count: "how many rooms are there", "this year", "Is the app free, or do I pay for it".
"""

import re

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
_BEGINS = re.compile(r"^(?:and|or|but|then|also|what about|how about)\b", re.IGNORECASE)
_POINTS = re.compile(
    r"\b(?:it|its|they|them|their|this|these|those|there|he|she|him|his|her|ones)\b"
    rf"|\b(?:{_BEFORE_ONE})\s+(?:\w+\s+)?one\b|\bone(?:\s*(?:[,;:.!?]|$)|\s+(?:{_AFTER_ONE})\b)"
    rf"|(?:^|\b(?:{_BEFORE_THAT})\s+)that\b|\bthat\s+(?:{_AFTER_THAT})\b"
    r"|\bthat(?:\W+\w+){0,2}\W*$",
    re.IGNORECASE,
)

# What stands for no thing at all: "this year", "those who", "is there a", "how many are there",
# "how long does it take to", "is it allowed to".
_TIME = (
    "year|month|week|weekend|morning|afternoon|evening|season|quarter|spring|summer|autumn|fall|"
    "winter|century|decade"
)
_BE = "is|are|was|were|be|been|isn't|aren't|wasn't|weren't"
_JUDGED = (
    "possible|necessary|allowed|permitted|forbidden|legal|illegal|okay|ok|true|required|mandatory|"
    "compulsory|important|bad|better|best|usual|normal|common|enough"
)
_EMPTY = re.compile(
    rf"\bthis\s+(?:{_TIME})\b|\bthese\s+days\b"
    r"|\bthose\s+(?:who|that|which|whose|with|without|at|in|of|on|under|over|from|people)\b"
    rf"|\b(?:{_BE})\s+there\b(?!\s*[?.!,;]*$)"
    rf"|\bhow\s+(?:many|much)\b.*\b(?:{_BE})\s+there\b"
    rf"|\bthere(?:'s|\s+(?:{_BE}|will|would|has|have|can|could|may|must|should))\b"
    r"|\bit\s+(?:takes?|took|taken|costs?)\s+(?:\w+\s+){0,3}?to\s+(?=\w+\s+\w+)"
    r"|\bit\s+means?\s+(?:when|if|that|to|for)\b"
    rf"|\bit\s+(?:\w+ly\s+)?(?:become\s+)?(?:{_JUDGED})\s+(?:to|that|for|if)\s+(?=\w+\s+\w+)",
    re.IGNORECASE,
)

# What ends a clause, or begins another.
_JOINT = re.compile(
    r"\b(?:and|or|but|when|if|because|after|before|since|that|which|who|where|while|until|as|to|so|"
    r"than|how|what|why)\b|[,;:.?!]",
    re.IGNORECASE,
)
# A question that is whole has one of these, or asks for something with a verb.
_WHOLE = re.compile(
    r"\b(?:who|whom|whose|what|when|where|which|why|how|is|are|was|were|do|does|did|can|could|may|"
    r"must|should|will|would|has|have|had|am|tell|give|show|find|list|explain)\b|n't\b",
    re.IGNORECASE,
)
_SHORT = 3
_NAMED = 2


def leans_on_earlier(question: str) -> bool:
    """Tell whether a question cannot be understood without the one before it."""
    named = len(content_words(question))
    if _BEGINS.search(question) or named <= 1:
        return True
    told = _EMPTY.sub(" ", question)
    if points := _POINTS.search(told):
        return not _named_before(told, points.start())
    short = named < _SHORT and len(question.split()) <= _SHORT
    return short and not _WHOLE.search(question)


def _named_before(question: str, place: int) -> bool:
    """Tell whether an earlier clause of the question names what the word at `place` stands for."""
    return any(
        len(content_words(question[: joint.start()])) >= _NAMED
        for joint in _JOINT.finditer(question, 0, place)
    )
