"""Citations: what an answer claims, checked against the words of the sources that it names.

A quote is supported if its words stand in the source, typography and line breaks aside. A claim is
supported if it stands there as it is, or if some sentences of the source hold all of its numbers,
its negation, and most of its content words. Nothing else is.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from agentlab.answer import Citation, Source
from agentlab.prompts import Claim, parse_answer
from ingest.raised import RAISED
from ingest.sentences import one_line, sentence_spans
from ingest.words import content_words

MOST = 0.75
"""The share of a claim's content words that the cited sentences must hold."""
WINDOW = 2
"""How many neighbouring sentences may hold a claim together."""
_MARKS = str.maketrans({"»": " ", "›": " ", "*": "", "\u00ad": "", "\u200b": ""})
_TYPOGRAPHY = str.maketrans(
    dict.fromkeys("‘’‚‛`´′", "'") | dict.fromkeys("“”„‟″", '"') | dict.fromkeys("‐‑‒–—―−", "-")
)
_HYPHENATED = re.compile(r"(?<=[^\W\d_])-\s*\n\s*(?=[a-zà-ÿ])")
_FOOTNOTE = re.compile(rf"(?<!\S)[{RAISED}]+(?=[^\W\d_])")
_RAISED = re.compile(rf"(?<=\d)(?=[{RAISED}⁻])")
_THOUSANDS = re.compile(r"(?<=\d)[,'’\u202f\u00a0](?=\d{3}(?!\d))")
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?!\d)")
_ELLIPSIS = re.compile(r"\s*(?:\[(?:\.\.\.|…)\]|\.\.\.|…)\s*")
_CLAUSE = re.compile(r";|,\s+(?=but\b|while\b|whereas\b|however\b)")
_NEGATION = re.compile(
    r"\b(?:not|no|never|none|nor|neither|without|cannot|nobody|nothing|except|unless)\b|n't\b"
)
_JUST_NEGATED = re.compile(r"(?:\b(?:not|no|never|without|except)|n't)(?:\s+\w+)?\s*$")
_QUOTED = re.compile(r'["“]([^"“”]+)["”]')
_NAME = re.compile(r"(?<=[\w,;:]\s)[A-Z][\w'’-]+")
_WORDS = (
    "zero", "", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve",
)  # fmt: skip
_DIGITS = {word: str(value) for value, word in enumerate(_WORDS) if word}


def check(answer: str, sources: Sequence[Source]) -> tuple[Citation, ...]:
    """List the citations of a final message, each with whether its source holds it.

    A number that no source has is listed too, with an empty source, as unsupported.
    """
    parsed = parse_answer(answer)
    known = {source.number: source for source in sources}
    quotes = [
        Citation(source, claim.text, "", holds_quote(source.text, claim.text))
        for claim in parsed.quotes
        for source in _cited(claim, known)
    ]
    claims = [each for claim in parsed.claims for each in _check_claim(claim, known)]
    return tuple(quotes + claims)


def holds_quote(text: str, quote: str) -> bool:
    """Tell whether a text holds a quote word by word; an ellipsis may stand for some."""
    where, at = normalised(text), 0
    parts = [part for part in map(normalised, _ELLIPSIS.split(quote)) if part]
    for part in parts:
        found = _find(where, part, at)
        if found < 0:
            return False
        at = found + len(part)
    return bool(parts)


def holds_claim(text: str, claim: str, *, context: str = "") -> bool:
    """Tell whether a text says a claim, as it stands or in nearly its words.

    `context` is what the text is about (its title and heading): words found there need not be
    repeated in the text.
    """
    wanted = _Wanted.of(claim)
    if not wanted.text or not all(holds_quote(text, quote) for quote in wanted.quotes):
        return False
    if _stands_in(normalised(text), wanted.text):
        return True
    return any(_says(each, wanted, context) for each in _windows(text))


def normalised(text: str) -> str:
    """Reduce a text to what must agree: no ligatures, typographic marks, line breaks or case."""
    text = _FOOTNOTE.sub("", text.translate(_MARKS))  # which a quote of the note goes without
    text = _THOUSANDS.sub("", _RAISED.sub("^", _HYPHENATED.sub("", text)))
    text = unicodedata.normalize("NFKC", text).translate(_TYPOGRAPHY).lower().replace('"', "")
    return " ".join(text.split()).strip(" .,;:!?'")


@dataclass(frozen=True)
class _Wanted:
    """What a source must hold for a claim."""

    text: str
    words: frozenset[str]
    numbers: frozenset[str]
    names: frozenset[str]
    quotes: tuple[str, ...]
    negated: bool

    @classmethod
    def of(cls, claim: str) -> "_Wanted":
        text = normalised(claim)
        quoted = tuple(each for each in _QUOTED.findall(claim) if len(each.split()) > 2)
        names = frozenset(word for name in _NAME.findall(claim) for word in _words(name))
        return cls(text, _words(text), _numbers(text), names, quoted, _is_negated(text))


def _check_claim(claim: Claim, known: Mapping[int, Source]) -> list[Citation]:
    sources = list(_cited(claim, known))
    said = _last_sentence(claim.text)
    if quoted := _QUOTED.fullmatch(said):  # a claim that is nothing but a quote
        return [
            Citation(each, quoted[1], "", holds_quote(each.text, quoted[1])) for each in sources
        ]
    alone = [holds_claim(each.text, said, context=_context(each)) for each in sources]
    if not any(alone) and len(sources) > 1 and _hold_together(sources, said):
        alone = [True] * len(sources)
    return [
        Citation(source, "", said, supported)
        for source, supported in zip(sources, alone, strict=True)
    ]


def _hold_together(sources: Sequence[Source], claim: str) -> bool:
    """Tell whether several sources hold a claim between them, each a part of its own."""
    wanted = _Wanted.of(claim)
    if not wanted.words or wanted.quotes:
        return False
    best = [_nearest(each.text, wanted) for each in sources]
    parts = [(_words(each) | _numbers(each)) & (wanted.words | wanted.numbers) for each in best]
    for index, part in enumerate(parts):
        others = frozenset().union(*(p for i, p in enumerate(parts) if i != index))
        if not part - others:
            return False
    context = " ".join(_context(each) for each in sources)
    return _says(" ".join(best), wanted, context)


def _nearest(text: str, wanted: _Wanted) -> str:
    """Pick the part of a text that shares most with a claim and does not speak against it."""
    fit = [each for each in _windows(text) if wanted.negated or not _is_negated(each)]
    return max(fit, key=lambda each: len(_words(each) & wanted.words), default="")


def _says(window: str, wanted: _Wanted, context: str) -> bool:
    held = _words(window)
    around = held | _words(context)
    if not wanted.words or not held & wanted.words or not wanted.names <= around:
        return False
    if not wanted.numbers <= _numbers(window) or wanted.negated != _is_negated(window):
        return False
    needed = 1.0 if len(wanted.words) <= 2 else MOST
    return len(wanted.words & around) >= needed * len(wanted.words)


def _windows(text: str) -> list[str]:
    """List clauses, sentences and neighbouring sentences, normalised."""
    sentences = [text[start:end] for start, end in sentence_spans(text)]
    joined = [
        " ".join(sentences[first : first + size])
        for size in range(1, WINDOW + 1)
        for first in range(max(1, len(sentences) - size + 1))
    ]
    clauses = [part for sentence in sentences for part in _CLAUSE.split(sentence)]
    return [normalised(each) for each in (*joined, *clauses)]


def _stands_in(where: str, wanted: str) -> bool:
    at = _find(where, wanted, 0)
    while at >= 0:
        if _is_negated(wanted) or not _JUST_NEGATED.search(where[:at]):
            return True
        at = _find(where, wanted, at + 1)
    return False


def _find(where: str, wanted: str, start: int) -> int:
    """Find whole words only: 5 is neither in 15 nor in 5.5."""
    pattern = rf"(?<!\w)(?<!\d[.,]){re.escape(wanted)}(?![.,]?\d)(?!\w)"
    match = re.compile(pattern).search(where, start)
    return match.start() if match else -1


def _cited(claim: Claim, known: Mapping[int, Source]) -> Iterator[Source]:
    for number in claim.numbers:
        yield known.get(number) or Source(
            number=number, kind="page", title="no such source", text="", shown="", location=""
        )


def _context(source: Source) -> str:
    return f"{source.title} {source.heading}"


def _last_sentence(text: str) -> str:
    """Take the sentence that a mark stands behind, without a list's bullet."""
    spans = sentence_spans(text)
    return one_line(text[slice(*spans[-1])] if spans else text)


def _words(text: str) -> frozenset[str]:
    return frozenset(content_words(_with_digits(text)))


def _numbers(text: str) -> frozenset[str]:
    return frozenset(_NUMBER.findall(_with_digits(text)))


def _with_digits(text: str) -> str:
    return re.sub(r"[a-zA-Z]+", lambda word: _DIGITS.get(word[0].lower(), word[0]), text)


def _is_negated(text: str) -> bool:
    return bool(_NEGATION.search(text))
