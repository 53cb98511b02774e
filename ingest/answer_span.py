"""Answer spans: the words of a sentence that answer a question, made whole.

A reader marks tokens. It may cut a number in two, and leave out the word before it that makes
another thing of it: "below 0.5 percent" is not "0.5 percent".
"""

import re

from ingest.raised import without_mark

_NUMBER = re.compile(
    r"[$€£]?(?:\d|(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|"
    r"forty|fifty|sixty|ninety|half|a quarter)\b)",
    re.IGNORECASE,
)
_LIMIT = re.compile(
    r"(?:\b(?:within|after|before|below|under|beneath|above|over|beyond|about|around|roughly|nearly|"
    r"almost|approximately|until|since|by|every|only|up to|at (?:least|most)|"
    r"(?:no |not )?(?:more|less|fewer|later|earlier) than)\s+)+$",
    re.IGNORECASE,
)
_REST_OF_NUMBER = re.compile(r"(?:[.,:]\d+)+(?:\s?%)?|\s?%")
_START_OF_NUMBER = re.compile(r"\d[\d.,:]*[.,:]$")


def whole_span(text: str, sentence: tuple[int, int], span: tuple[int, int]) -> tuple[int, int]:
    """Widen a span, within its sentence, to whole numbers and the limit that stands before one.

    A footnote's mark at its end is left out.
    """
    start, end = span
    if text[start:end][-1:].isdigit():
        rest = _REST_OF_NUMBER.match(text, end, sentence[1])
        end = rest.end() if rest else end
    if text[start:end][:1].isdigit():
        cut = _START_OF_NUMBER.search(text[sentence[0] : start])
        start = sentence[0] + cut.start() if cut else start
    if _NUMBER.match(text, start):
        limit = _LIMIT.search(text[sentence[0] : start])
        start = sentence[0] + limit.start() if limit else start
    return start, start + len(without_mark(text[start:end]))
