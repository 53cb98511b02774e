"""Exam: questions on subjects that no training saw, with what a right answer must hold."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from agentlab.demo import FRESH
from agentlab.starter.conversations import Text
from agentlab.starter.live import SMALL_TALK, live_question
from agentlab.starter.questions import (
    Article,
    held_out_articles,
    held_out_web_questions,
)
from agentlab.tools.providers.base import WebResult
from ingest.collection import Collection

Kind = Literal["documents", "follow_up", "outside", "live", "absent", "small_talk"]
KINDS: tuple[Kind, ...] = ("documents", "follow_up", "outside", "live", "absent", "small_talk")
# The share of each kind in an exam on articles.
_SHARES: dict[Kind, float] = {
    "documents": 0.45, "outside": 0.25, "live": 0.12, "absent": 0.12, "small_talk": 0.06,
}  # fmt: skip
_LIBRARIES = 2


@dataclass(frozen=True)
class Case:
    """A question, what was asked before it, and what a right answer holds.

    `sentence` stands in the passage that must be cited; a case from a handbook names its page.
    """

    kind: Kind
    question: str
    earlier: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    sentence: str = ""
    title: str = ""
    page: int | None = None

    @property
    def first_tool(self) -> str | None:
        """Name the tool that should be called first, or None for talk."""
        if self.kind == "small_talk":
            return None
        return "search_web" if self.kind in ("outside", "live") else "search_documents"


@dataclass(frozen=True)
class Part:
    """A library, the cases asked of it, and the web beside it."""

    name: str
    texts: tuple[Text, ...]
    cases: tuple[Case, ...]


class CollectionWeb:
    """A web whose pages are a collection of passages: the same results on every machine."""

    name = "passages"

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    def search(self, query: str, *, limit: int) -> list[WebResult]:
        """Find the best passages."""
        hits = self._collection.search(query, limit=limit)
        return [
            WebResult(hit.chunk.title, f"https://{_SITE}/{hit.chunk.id}", hit.chunk.text)
            for hit in hits
        ]


_SITE = "en.wikipedia.org"


def handbook_cases() -> list[Case]:
    """Read the cases on the demo's handbooks, which no training saw either."""
    return [_handbook_case(row) for row in json.loads(FRESH.read_text(encoding="utf-8"))]


def article_parts(folder: Path, *, count: int, seed: int = 11) -> list[Part]:
    """Draw `count` cases on the held-out articles of the question sets in `folder`."""
    rng = random.Random(seed)
    articles = held_out_articles(folder)
    rng.shuffle(articles)
    asked = held_out_web_questions(folder)
    rng.shuffle(asked)
    size = len(articles) // _LIBRARIES
    parts = []
    for index in range(_LIBRARIES):
        own = articles[index * size : (index + 1) * size]
        wanted = count // _LIBRARIES
        absent = _draw("absent", own, round(wanted * _SHARES["absent"]), rng)
        withheld = {case.sentence for case in absent}
        texts = _texts(own, withheld)
        held = {text.text for text in texts}
        cases = absent + _draw("documents", own, round(wanted * _SHARES["documents"]), rng, held)
        outside = asked[index::_LIBRARIES][: round(wanted * _SHARES["outside"])]
        cases += [
            Case("outside", each.text, answers=(each.answer,), sentence=each.sentence)
            for each in outside
        ]
        titles = [article.title for article in own]
        for _ in range(round(wanted * _SHARES["live"])):
            cases.append(Case("live", live_question(rng, titles).text))
        talk = rng.sample(SMALL_TALK, max(1, round(wanted * _SHARES["small_talk"])))
        cases += [Case("small_talk", text) for text, _ in talk]
        rng.shuffle(cases)
        parts.append(Part(f"articles {index + 1}", texts, tuple(cases)))
    return parts


def web_texts(folder: Path) -> list[Text]:
    """Give the passages of the held-out web questions: the web of the exam."""
    rows = held_out_web_questions(folder)
    return list({row.passage: Text(row.title, "", 1, row.passage) for row in rows}.values())


def _draw(
    kind: Kind,
    articles: Sequence[Article],
    count: int,
    rng: random.Random,
    held: set[str] | None = None,
) -> list[Case]:
    """Draw questions; with `held` only ones whose passage is among those texts."""
    pairs = [
        (article, question)
        for article in articles
        for question in article.questions
        if held is None or article.passages[question.passage] in held
    ]
    return [
        Case(
            kind, question.text, answers=question.answers, sentence=question.sentence,
            title=article.title,
        )
        for article, question in rng.sample(pairs, count)
    ]  # fmt: skip


def _texts(articles: Sequence[Article], withheld: set[str]) -> tuple[Text, ...]:
    return tuple(
        Text(article.title, "", number, passage)
        for article in articles
        for number, passage in enumerate(article.passages, start=1)
        if not any(sentence in passage for sentence in withheld)
    )


def _handbook_case(row: dict[str, Any]) -> Case:
    return Case(**{**row, "earlier": tuple(row["earlier"]), "answers": tuple(row["answers"])})
