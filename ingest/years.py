"""Years: what is said of 2023 does not answer what is asked of 2024, however like it may sound."""

import re
from collections.abc import Iterator, Sequence

from ingest.periods import full_year
from ingest.sentences import last_sentence

_ANY = r"(?:1[5-9]|20)\d\d"
_YEAR = re.compile(rf"\b{_ANY}\b")
_SPAN = re.compile(rf"\b({_ANY})\s?(?:[-–/]|to)\s?(\d{{4}}|\d\d)\b(?!-\d)")
_SHORT = re.compile(r"\bFY\s?['’]?(\d\d)\b|\B['’](\d\d)\b(?!['’])")
_LONGEST = 50
"""The longest span, in years, of which the years between are told, too."""


def years_in(text: str) -> set[str]:
    """Collect the years that a text writes out."""
    return set(_YEAR.findall(text))


def years_told(text: str) -> set[str]:
    """Collect the years that a text tells of: those of "2008-2010", "2008/09" and "FY24", too."""
    return years_in(text) | set(_short(text)) | set(_between(text))


def lacking_a_year(question: str, texts: Sequence[str]) -> list[bool]:
    """Tell which texts, with their headers, lack a year that a question's last sentence names."""
    asked = years_in(last_sentence(question))
    return [bool(asked) and not asked <= years_told(text) for text in texts]


def of_another_year(question: str, sentence: str) -> bool:
    """Tell whether a question names years, and a sentence others and none of those."""
    asked = years_in(question)
    told = years_told(sentence) if asked else set()
    return bool(told) and not asked & told


def _short(text: str) -> Iterator[str]:
    for fiscal, cut in _SHORT.findall(text):
        yield str(full_year(fiscal or cut))


def _between(text: str) -> Iterator[str]:
    for first, last in _SPAN.findall(text):
        end = int(last if len(last) == len(first) else f"{first[:2]}{last}")
        if 0 <= end - int(first) <= _LONGEST:
            yield from map(str, range(int(first), end + 1))
