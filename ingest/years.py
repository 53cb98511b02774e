"""Years: a sentence on 2023 does not answer what is asked of 2024, however like it may sound."""

import re

_YEAR = re.compile(r"\b(?:1[5-9]|20)\d\d\b")


def of_another_year(question: str, sentence: str) -> bool:
    """Tell whether a question names years, and a sentence others and none of those."""
    asked, told = (set(_YEAR.findall(text)) for text in (question, sentence))
    return bool(asked and told) and not asked & told
