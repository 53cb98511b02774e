"""Years: a sentence on 2023 does not answer what is asked of 2024, however like it may sound."""

import re

_YEAR = re.compile(r"\b(?:1[5-9]|20)\d\d\b")


def years_in(text: str) -> set[str]:
    """Collect the years that a text names."""
    return set(_YEAR.findall(text))


def of_another_year(question: str, sentence: str) -> bool:
    """Tell whether a question names years, and a sentence others and none of those."""
    asked = years_in(question)
    told = years_in(sentence) if asked else set()
    return bool(told) and not asked & told
