"""Named: a passage that never names whom a question is about hardly answers it."""

import re
import unicodedata
from collections.abc import Sequence

from ingest.sentences import last_sentence
from ingest.words import CALENDAR, STOP, content_words, stem

_WORD = re.compile(r"[^\W\d_][\w'’]*")
# Other languages write more than names with a capital, so the question must hold one of these.
_ENGLISH = re.compile(
    r"\b(?:the|of|what|which|who|whom|whose|how|when|where|why|does|did|do|are|is|has|for)\b",
    re.IGNORECASE,
)
# A text says "on weekdays" as well.
_DATES = re.compile(CALENDAR)
_MOST = 0.5
"""The share of capitalised words from which on a question is a headline, and names nobody."""
_FEWEST_INITIALS = 3


def lacking_a_name(question: str, texts: Sequence[str]) -> list[bool]:
    """Tell which texts, with their headers, lack a name that an English question holds.

    Names are capitalised words within its last sentence: what stands before may be an earlier
    question. Initials stand for their words, and a letter for the same one with an accent.
    """
    names = _names(_plain(question))
    return [bool(names) and _lacks_one(names, _plain(text).casefold()) for text in texts]


def _lacks_one(names: set[str], text: str) -> bool:
    held = content_words(text)
    unknown = [name for name in names if name not in held and name not in text]
    initials = "".join(word[0] for word in _WORD.findall(text)) if unknown else ""
    return any(len(name) < _FEWEST_INITIALS or name not in initials for name in unknown)


def _plain(text: str) -> str:
    """Take the accents off the letters."""
    apart = unicodedata.normalize("NFKD", text)
    return "".join(each for each in apart if not unicodedata.combining(each))


def _names(question: str) -> set[str]:
    last = last_sentence(question)
    words = _WORD.findall(last)
    capitals = [word for word in words[1:] if word[0].isupper()]
    if not _ENGLISH.search(question) or len(capitals) > _MOST * len(words):
        return set()
    lower = (word for word in map(str.casefold, capitals) if not _DATES.fullmatch(word))
    return {stem(word) for word in lower if len(word) > 1 and word not in STOP}
