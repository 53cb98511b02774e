"""Raised digits: exponents and footnotes' marks, which a text without fonts would run together.

10⁶ is not 106, and the value of "1,234¹" is not 12,341.
"""

import re

RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹"
"""The raised digits, as they stand in a class of a regular expression."""

_NUMBER = re.compile(r"\s*[-−–+]?\d{1,3}\s*")
_ABOVE = str.maketrans("0123456789-−–+", f"{RAISED}⁻⁻⁻⁺")
# A footnote's mark stands behind a stop, a percent sign or a word; behind a unit or a number it
# is an exponent.
_MARK = re.compile(rf"(?<=[%.,;:!?)\]”’\"'])[{RAISED}]+$|(?<=[^\W\d_]{{4}})[{RAISED}]+$")


def raise_digits(text: str) -> str:
    """Write a short number that stands above the line with raised digits; leave other text."""
    return text.translate(_ABOVE) if _NUMBER.fullmatch(text) else text


def without_mark(text: str) -> str:
    """Cut a footnote's mark from the end of a text."""
    return _MARK.sub("", text)
