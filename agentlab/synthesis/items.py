"""Item: a question on a passage, its short answer, and the words of the passage that hold it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ingest.documents import Chunk
from ingest.sentences import one_line, sentence_spans

_QUESTION_WORDS = range(2, 41)
_QUOTE_WORDS = range(3, 71)
_LEANING = re.compile(
    r"\b(?:this|the|above|given|following|provided) (?:passage|text|document|excerpt|paragraph"
    r"|section|context|table|sentence|article|author|page)\b|\baccording to (?:it|them|this)\b",
    re.IGNORECASE,
)
# Not within a word, nor within a number such as 4.6 or 1,600.
_EDGE = r"(?!(?<=\w)\w)(?!(?<=\d[.,])\d)(?!(?<=\d)[.,]\d)"


class Refused(Exception):  # noqa: N818 - no error: it is counted
    """An item or a row that cannot be verified, with the reason."""


@dataclass(frozen=True)
class Draft:
    """What somebody claims of a passage, not verified yet."""

    question: str
    answer: str
    quote: str
    form: str = "question"


@dataclass(frozen=True)
class Item:
    """A verified draft: `chunk.text[start:end]` is the quote, and the quote holds the answer."""

    question: str
    answer: str
    quote: str
    start: int
    end: int
    chunk: Chunk
    form: str

    @property
    def sentence(self) -> str | None:
        """Give the whole sentence that the quote stands in; None where it is more than one."""
        for start, end in sentence_spans(self.chunk.text):
            if start <= self.start and self.end <= end:
                return one_line(self.chunk.text[start:end])
        return None

    @property
    def lineage(self) -> dict[str, Any]:
        """Say where the item comes from, as fields of a row."""
        chunk = self.chunk
        return {
            "document": chunk.document,
            "source": chunk.source,
            "title": chunk.title,
            "page": chunk.page,
            "chunk": chunk.id,
        }


def verify(draft: Draft, chunk: Chunk) -> Item:
    """Check a draft against its passage; raise Refused with the reason where it does not hold."""
    question, answer, quote = (
        " ".join(text.split()) for text in (draft.question, draft.answer, draft.quote)
    )
    quote = quote.strip('"“”')
    if len(question.split()) not in _QUESTION_WORDS:
        raise Refused("no question")
    if _LEANING.search(question):
        raise Refused("the question leans on the passage")
    if len(quote.split()) not in _QUOTE_WORDS:
        raise Refused("the quote is too short or too long")
    found = locate(quote, chunk.text)
    if found is None:
        raise Refused("the quote is not in the passage")
    held = locate(answer.rstrip("."), quote, any_case=True) if _bare(answer) else None
    if held is None:
        raise Refused("the answer is not in the quote")
    if f" {_bare(answer)} " in f" {_bare(question)} ":
        raise Refused("the question holds its answer")
    return Item(question, quote[slice(*held)], quote, *found, chunk, draft.form)


def locate(quote: str, text: str, *, any_case: bool = False) -> tuple[int, int] | None:
    """Find where a quote stands in a text, word for word; how the text is broken does not count.

    A part of a word or number is not found: "6 euros" does not stand in "46 euros" or "4.6 euros".
    """
    pattern = _EDGE + r"\s+".join(map(re.escape, quote.split())) + _EDGE
    match = re.search(pattern, text, re.IGNORECASE if any_case else 0)
    return match.span() if match else None


def read_draft(value: object) -> Draft:
    """Read a draft that a model wrote as an object; raise Refused where it is none."""
    if not isinstance(value, Mapping):
        raise Refused("no object with question, answer and quote")
    fields = [value.get(name) for name in ("question", "answer", "quote")]
    if not all(isinstance(each, str) and each.strip() for each in fields):
        raise Refused("no object with question, answer and quote")
    question = str(fields[0]).strip()
    return Draft(question if question.endswith("?") else f"{question}?", *map(str, fields[1:]))


def _bare(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))
