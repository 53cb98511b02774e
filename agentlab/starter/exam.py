"""Exam: questions on subjects that no training saw, with what a right answer must hold."""

import json
import random
import re
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from agentlab.demo import FRESH
from agentlab.starter.live import live_question, small_talk
from agentlab.starter.questions import (
    Article,
    Question,
    WebQuestion,
    held_out_articles,
    held_out_web_questions,
)
from agentlab.starter.texts import Text, article_texts
from agentlab.tools.providers.base import WebResult
from ingest.collection import Collection

Kind = Literal[
    "documents", "follow_up", "outside", "live", "near_miss", "nowhere", "small_talk"
]  # fmt: skip
KINDS: tuple[Kind, ...] = (
    "documents", "follow_up", "outside", "live", "near_miss", "nowhere", "small_talk",
)  # fmt: skip
# How many of each kind stand in an exam of 270 questions on articles.
_MIX: dict[Kind, int] = {
    "documents": 110, "outside": 50, "live": 40, "near_miss": 30, "nowhere": 20, "small_talk": 20,
}  # fmt: skip
ARTICLE_CASES = 190
_LIBRARIES = 2
_TRIES = 50
_LONGEST_NAME = 4


@dataclass(frozen=True)
class Case:
    """A question, the turns before it, and what a right answer holds.

    `earlier` are questions with their right answers, `full` is what a follow-up means in full.
    `sentence` stands in the passage that must be cited; a case from a handbook names its page.
    A "near_miss" asks about a subject of the library, but nothing holds its answer; "nowhere" asks
    about what is neither in the library nor on the web.
    """

    kind: Kind
    question: str
    earlier: tuple[tuple[str, str], ...] = ()
    full: str = ""
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

    @property
    def alone(self) -> str:
        """Give the question in words that need no earlier turn."""
        return self.full or self.question

    def stands_in(self, text: str) -> bool:
        """Tell whether a text holds the sentence that answers."""
        return bool(self.sentence) and f" {plain(self.sentence)} " in f" {plain(text)} "

    def answered_by(self, text: str) -> bool:
        """Tell whether a text holds one of the answers, in whole words."""
        return holds_one(text, self.answers)


def holds_one(text: str, answers: Sequence[str]) -> bool:
    """Tell whether a text holds one of the answers, in whole words."""
    words = f" {plain(text)} "
    return any(f" {plain(each)} " in words for each in answers if plain(each))


@lru_cache(maxsize=4096)
def plain(text: str) -> str:
    """Reduce a text to its words, in small letters, without the numbers of its sources."""
    text = re.sub(r"\[\d+\]", " ", text.lower())
    return " ".join(re.sub(r"[^\w\s]|_", " ", text).split())


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


def article_parts(folder: Path, *, count: int = ARTICLE_CASES, seed: int = 11) -> list[Part]:
    """Draw about `count` cases on the held-out articles of the question sets in `folder`."""
    rng = random.Random(seed)
    articles = held_out_articles(folder)
    rng.shuffle(articles)
    asked = held_out_web_questions(folder)
    rng.shuffle(asked)
    size = len(articles) // _LIBRARIES
    own = [articles[index * size : (index + 1) * size] for index in range(_LIBRARIES)]
    scale = count / (_LIBRARIES * sum(_MIX.values()))
    numbers = {kind: max(1, round(of * scale)) for kind, of in _MIX.items()}
    seen: set[str] = set()
    return [
        _part(
            f"articles {index + 1}",
            own=own[index],
            foreign=own[index - 1],
            asked=asked[index::_LIBRARIES],
            numbers=numbers,
            rng=rng,
            on_web={each.title for each in asked},
            seen=seen,
        )
        for index in range(_LIBRARIES)
    ]


def web_texts(folder: Path) -> list[Text]:
    """Give the passages of the held-out web questions: the web of the exam."""
    rows = held_out_web_questions(folder)
    return list({row.passage: Text(row.title, "", 1, row.passage) for row in rows}.values())


def _part(
    name: str,
    *,
    own: Sequence[Article],
    foreign: Sequence[Article],
    asked: Sequence[WebQuestion],
    numbers: dict[Kind, int],
    rng: random.Random,
    on_web: set[str],
    seen: set[str],
) -> Part:
    """Draw the cases on one library; `foreign` articles are not in it, `seen` talk is not drawn."""
    near = _questions(own, on_web)
    rng.shuffle(near)
    rare = islice((pair for pair in near if _said_once(*pair)), numbers["near_miss"])
    cases = [_case("near_miss", *pair) for pair in rare]
    texts = _texts(own, {case.sentence for case in cases})
    held = {text.text for text in texts}
    kept = [pair for pair in _questions(own) if pair[0].passages[pair[1].passage] in held]
    cases += [_case("documents", *pair) for pair in rng.sample(kept, numbers["documents"])]
    cases += [
        Case("nowhere", question.text)
        for _, question in rng.sample(_questions(foreign, on_web), numbers["nowhere"])
    ]
    cases += [
        Case("outside", each.text, answers=(each.answer,), sentence=each.sentence)
        for each in asked[: numbers["outside"]]
    ]
    topics = [article.title for article in own]
    live = _distinct(lambda: live_question(rng, topics, held_out=True).text, numbers["live"], seen)
    talk = _distinct(lambda: small_talk(rng, held_out=True)[0], numbers["small_talk"], seen)
    cases += [Case("live", text) for text in live] + [Case("small_talk", text) for text in talk]
    rng.shuffle(cases)
    return Part(name, texts, tuple(cases))


def _questions(
    articles: Sequence[Article], on_web: Container[str] = ()
) -> list[tuple[Article, Question]]:
    """List the questions of the articles that the web has no page on.

    Left out is a question whose answer was marked inside a word.
    """
    return [
        (article, question)
        for article in articles
        if article.title not in on_web
        for question in article.questions
        if _case("documents", article, question).answered_by(question.sentence)
    ]


def _said_once(article: Article, question: Question) -> bool:
    """Tell whether the answer is a name or number that no other passage of the article says.

    Without its passage nothing answers such a question; one that asks for a description, other
    passages may answer in other words.
    """
    short = question.answer.split()
    if len(short) > _LONGEST_NAME or not any(w[0].isupper() or w[0].isdigit() for w in short):
        return False
    case = _case("near_miss", article, question)
    others = (each for each in article.passages if not case.stands_in(each))
    return not any(case.answered_by(each) for each in others)


def _case(kind: Kind, article: Article, question: Question) -> Case:
    return Case(
        kind,
        question.text,
        answers=question.answers,
        sentence=question.sentence,
        title=article.title,
    )


def _texts(articles: Sequence[Article], withheld: set[str]) -> tuple[Text, ...]:
    return tuple(
        text
        for text in article_texts(articles)
        if not any(sentence in text.text for sentence in withheld)
    )


def _distinct(draw: Callable[[], str], count: int, seen: set[str]) -> list[str]:
    """Draw `count` texts that are not `seen`, or as many as come in a fair number of tries."""
    found: list[str] = []
    for _ in range(_TRIES * count):
        text = draw()
        if len(found) < count and text not in seen:
            seen.add(text)
            found.append(text)
    return found


def _handbook_case(row: dict[str, Any]) -> Case:
    """Read a case; what the handbooks lack of a near miss is for the tests."""
    return case_of({key: value for key, value in row.items() if key != "lacks"})


def case_of(row: dict[str, Any]) -> Case:
    """Make a case of its fields as JSON holds them."""
    earlier = tuple((asked, answer) for asked, answer in row.get("earlier", ()))
    return Case(**{**row, "earlier": earlier, "answers": tuple(row.get("answers", ()))})
