"""Periods: the years and quarters that a question asks about, or a document is of."""

import re

_YEAR = r"(?:19|20)\d\d"
_SHORT = (
    r"\b(?:FY|CY|[Qq][1-4]|[1-4]Q|[Hh][12]|[12]H|[Ff]iscal(?: [Yy]ear)?)"
    r"[ -]?(?:FY)?\s?['’]?(\d\d)\b"
)
_ASKED = re.compile(
    rf"(?<![\d.,$€£])(?:\bFY ?)?({_YEAR})(?!\d|[.,]\d|\s*%)|{_SHORT}"
    rf"|(?<=({_YEAR})[-–/])(\d\d)\b(?![-–/]\d)"
)
_ORDINALS = {
    ordinal: number
    for number, pair in enumerate(("first 1st", "second 2nd", "third 3rd", "fourth 4th"), 1)
    for ordinal in pair.split()
}
_QUARTER = re.compile(
    r"(?<![A-Za-z])(?:(?:19|20)\d\d[ _-]?)?(?:q([1-4])(?!\d(?!\d))|([1-4])q|"
    rf"({'|'.join(_ORDINALS)})[ -](?:fiscal )?quarter)(?=fy|[^a-z]|$)",
    re.IGNORECASE,
)


def asked_years(question: str) -> dict[int, tuple[int, int]]:
    """Find the years that a question names, also as FY22 or 2021-22, and where each stands."""
    found: dict[int, tuple[int, int]] = {}
    for match in _ASKED.finditer(question):
        year, short, first, closing = match.groups()
        told = int(year or 0) or (full_year(short) if short else _closing_year(first, closing))
        if told:
            found.setdefault(told, match.span())
    return found


def full_year(digits: str) -> int:
    """Give the year that two digits stand for; from 50 on it is one of the last century."""
    return (1900 if int(digits) >= 50 else 2000) + int(digits)


def asked_quarters(question: str) -> dict[str, tuple[int, int]]:
    """Find the quarters that a text names (`Q2`), and where each stands."""
    found: dict[str, tuple[int, int]] = {}
    for match in _QUARTER.finditer(question):
        told = next(filter(None, match.groups())).lower()
        found.setdefault(f"Q{_ORDINALS.get(told, told)}", match.span())
    return found


def fit_of_years(asked: set[int], had: set[int]) -> float:
    """Grade how well the years of a document fit those asked for, 0..1.

    A yearly report tells the years before it beside its own. So of several years the report of the
    last holds most, and the report of the next year still holds what is asked; that of an earlier
    year holds nothing.
    """
    last = max(asked)
    if last in had:
        return 1.0
    if asked & had:
        return 0.8
    return 0.7 if last + 1 in had else 0.5


def _closing_year(first: str, digits: str) -> int:
    """Give the last year of a span such as 2021-22, or 0 where the digits may be a month."""
    begun, last = int(first), int(digits)
    if last == (begun + 1) % 100:
        return begun + 1
    return begun - begun % 100 + last if last > max(12, begun % 100) else 0
