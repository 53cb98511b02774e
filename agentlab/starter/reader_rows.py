"""Rows of a reader's training, and how a passage becomes one."""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ingest.embedding import Embedder
from ingest.sentences import sentence_spans

Span = tuple[int, int]


@dataclass(frozen=True)
class Row:
    """A question, a passage under its title, and the span of the answer in it; None: no answer."""

    question: str
    title: str
    passage: str
    answer: Span | None

    def to_json(self) -> str:
        """Write the row as a line."""
        value: dict[str, Any] = {
            "question": self.question,
            "title": self.title,
            "passage": self.passage,
            "answer": list(self.answer) if self.answer else None,
        }
        return json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True)
class Page:
    """A passage and the subject that it belongs to."""

    title: str
    text: str


@dataclass(frozen=True)
class Asked:
    """A question with the answers that people gave and the passage, by its index, they are in."""

    question: str
    answers: tuple[str, ...]
    sentence: str
    passage: int

    def answered_by(self, page: Page) -> bool:
        """Tell whether a page holds the words of an answer."""
        text = page.text.lower()
        return any(answer.lower() in text for answer in self.answers)


def span_of(passage: str, sentence: str, answers: Sequence[str]) -> Span | None:
    """Find the longest of the answers in its sentence."""
    at = passage.find(sentence)
    if at < 0:
        return None
    for answer in sorted(answers, key=len, reverse=True):
        inside = sentence.find(answer)
        if answer and inside >= 0:
            return (at + inside, at + inside + len(answer))
    return None


def compared(
    pages: Sequence[Page], asked: Sequence[Asked], embedder: Embedder
) -> Iterator[tuple[Asked, Span, np.ndarray]]:
    """Give each question whose answer stands in its page, where, and its cosine with every page."""
    vectors = embedder.encode([f"{page.title}: {page.text}" for page in pages])
    wanted = embedder.encode([each.question for each in asked])
    for each, vector in zip(asked, wanted, strict=True):
        span = span_of(pages[each.passage].text, each.sentence, each.answers)
        if span:
            yield each, span, vectors @ vector


def cut(
    question: str,
    page: Page,
    answer: Span | None,
    rng: random.Random,
    *,
    words: int,
    around: Span | None = None,
) -> Row:
    """Cut a long passage to whole sentences, at most `words` words of them.

    It is cut around its answer, or around a given place, else anywhere.
    """
    sentences = sentence_spans(page.text)
    if len(page.text.split()) <= words or not sentences:
        return Row(question, page.title, page.text, answer)
    if centre := answer or around:
        first = next(i for i, (_, end) in enumerate(sentences) if centre[0] < end)
        last = max(i for i, (start, _) in enumerate(sentences) if start < centre[1])
    else:
        first = last = rng.randrange(len(sentences))
    while True:
        grown = [
            (a, b)
            for a, b in ((first - 1, last), (first, last + 1))
            if a >= 0
            and b < len(sentences)
            and len(page.text[sentences[a][0] : sentences[b][1]].split()) <= words
        ]
        if not grown:
            break
        first, last = rng.choice(grown)
    start, end = sentences[first][0], sentences[last][1]
    inner = (answer[0] - start, answer[1] - start) if answer else None
    return Row(question, page.title, page.text[start:end], inner)
