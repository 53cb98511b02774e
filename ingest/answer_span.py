"""Answer spans: the words of a sentence that answer a question, made whole.

A reader marks tokens. It may cut a number in two, and leave out the word before it that makes
another thing of it: "below 0.5 percent" is not "0.5 percent".
"""

import re

from ingest.raised import without_mark
from ingest.sentences import NUMBER_MARK
from ingest.words import NUMBER_WORDS

_NUMBER = re.compile(
    r"(?:[A-Z]{0,2}[$€£])?"
    rf"(?:\d|(?:{NUMBER_WORDS}|a quarter)\b)",
    re.IGNORECASE,
)
_LIMIT = re.compile(
    r"(?:\b(?:within|after|before|below|under|beneath|above|over(?! until)|beyond|about|around|"
    r"roughly|nearly|"
    r"almost|approximately|until|since|by|every|only|up to|at (?:least|most)|"
    r"(?:no |not )?(?:more|less|fewer|later|earlier) than)\s+)+$",
    re.IGNORECASE,
)
_REST_OF_NUMBER = re.compile(r"(?:[.,:/]\d+)+(?:\s?%)?|\s?%")
_START_OF_NUMBER = re.compile(r"\d[\d.,:/]*[.,:/]$")
# A number that tells which one of several is meant: "until the 2025 Discount Rate Memo".
_THE_NUMBER = re.compile(r"\bthe \d+$", re.IGNORECASE)
_NAMES = re.compile(r"(?:\s+[A-Z]\w*)+")
_DOLLARS_OF = re.compile(r"\b(?:US|AU?|CA?|HK|NZ)$")
_CLOSING = re.compile(r"[^()]{0,40}\)")
_BEFORE_CLOSING = re.compile(r"(?:\S+\s)?\([^()]{0,40}$")
_INITIALS = re.compile(r"\b[A-Z]\.[A-Z]$")


def whole_span(text: str, sentence: tuple[int, int], span: tuple[int, int]) -> tuple[int, int]:
    """Widen a span, within its sentence, to whole numbers and the limit that stands before one.

    The name after "the 2025" is kept with it. A bracket is closed, opened or left out, initials
    keep their last point; a footnote's mark at its end is left out. For the number of an item
    stands the item.
    """
    start, end = span
    number = NUMBER_MARK.match(text, sentence[0])
    if number and end <= number.end() < sentence[1]:
        start, end = number.end(), sentence[1]
    if text[start:end][-1:].isdigit():
        rest = _REST_OF_NUMBER.match(text, end, sentence[1])
        end = rest.end() if rest else end
    if _THE_NUMBER.search(text, start, end):
        named = _NAMES.match(text, end, sentence[1])
        end = named.end() if named else end
    if text[start:end][:1].isdigit():
        cut = _START_OF_NUMBER.search(text[sentence[0] : start])
        start = sentence[0] + cut.start() if cut else start
    if text.startswith("$", start):
        country = _DOLLARS_OF.search(text[sentence[0] : start])
        start = sentence[0] + country.start() if country else start
    if _NUMBER.match(text, start):
        limit = _LIMIT.search(text[sentence[0] : start])
        start = sentence[0] + limit.start() if limit else start
    end = _closed(text, start, end, sentence[1])
    if ")" in text[start:end].partition("(")[0]:
        opened = _BEFORE_CLOSING.search(text[sentence[0] : start])
        start = sentence[0] + opened.start() if opened else start
    if _INITIALS.search(text, start, end) and text.startswith(".", end, sentence[1]):
        end += 1
    return start, start + len(without_mark(text[start:end]))


def _closed(text: str, start: int, end: int, last: int) -> int:
    """Move a span's end to where the bracket that it opens closes, else before that bracket."""
    opened = text.rfind("(", start, end)
    if opened < 0 or ")" in text[opened:end]:
        return end
    closing = _CLOSING.match(text, end, last)
    if closing:
        return closing.end()
    before = len(text[start:opened].rstrip())
    return start + before if before else end
