"""Rows to train the reader on: a question, a passage, and where in it the answer stands, if at all.

Every question comes with the passage that answers it and with the nearest one of the same subject
that does not, and now and then with its own passage without the sentence that answers, so that the
reader learns to tell them apart. A question that leans on another one is put after it, in the
person's own words, as the agent has it read.
"""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agentlab.probing import worded
from agentlab.starter.documents import document_items
from agentlab.starter.handbooks import HandbookItem
from agentlab.starter.live import live_question
from agentlab.starter.questions import (
    Article,
    WebQuestion,
    calibration_articles,
    load_papers,
    training_articles,
    training_web_questions,
)
from agentlab.starter.scenes import training_scenes
from agentlab.starter.tables import table_items
from finetune.run_folder import write
from ingest.embedding import Embedder
from ingest.sentences import sentence_spans

LONGEST_PASSAGE = 120
"""Words of a passage; a longer one is cut around its answer, or anywhere if it has none."""
_DOCUMENT_ITEMS = 3000
_TABLES = 900
_LIVE = 800
_SCENES = 3
"""Times that each scene is asked: there are few of them, and each has a shape of its own."""
_HIDDEN = 0.3
_AFTER_ANOTHER = 0.15
_FOREIGN = 0.3
_NEIGHBOURS = 8


@dataclass(frozen=True)
class Row:
    """A question, a passage under its title, and the span of the answer in it; None: no answer."""

    question: str
    title: str
    passage: str
    answer: tuple[int, int] | None

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
class _Asked:
    """A question with the answers that people gave and the passage, by its index, they are in."""

    question: str
    answers: tuple[str, ...]
    sentence: str
    passage: int


@dataclass(frozen=True)
class _Page:
    """A passage and the subject that it belongs to."""

    title: str
    text: str


def write_rows(
    questions: Path,
    embedder: Embedder,
    out: Path,
    *,
    seed: int = 7,
    say: Callable[[str], None] = lambda _: None,
) -> int:
    """Write the rows as JSONL, whole or not at all, and return how many there are."""
    rng = random.Random(seed)
    kept = {article.title for article in calibration_articles(questions)}
    articles = [each for each in training_articles(questions) if each.title not in kept]
    pages, asked = _of_articles(articles + load_papers(questions))
    _add_web(training_web_questions(questions), pages, asked)
    items = [
        *document_items(seed, _DOCUMENT_ITEMS),
        *table_items(seed, _TABLES),
        *_SCENES * training_scenes(),
    ]
    rows = [*item_rows(items, rng), *_of_today(pages, rng)]
    say(f"embedding {len(pages)} passages, {len(asked)} questions")
    rows += _with_neighbours(pages, asked, embedder, rng)
    rng.shuffle(rows)
    out.parent.mkdir(parents=True, exist_ok=True)
    write(out, "".join(f"{row.to_json()}\n" for row in rows))
    return len(rows)


def _of_articles(articles: Sequence[Article]) -> tuple[list[_Page], list[_Asked]]:
    pages: list[_Page] = []
    asked: list[_Asked] = []
    for article in articles:
        first = len(pages)
        pages += [_Page(article.title, passage) for passage in article.passages]
        asked += [
            _Asked(each.text, each.answers, each.sentence, first + each.passage)
            for each in article.questions
        ]
    return pages, asked


def _add_web(questions: Sequence[WebQuestion], pages: list[_Page], asked: list[_Asked]) -> None:
    for each in questions:
        asked.append(_Asked(each.text, (each.answer,), each.sentence, len(pages)))
        pages.append(_Page(each.title, each.passage))


def item_rows(items: Sequence[HandbookItem], rng: random.Random) -> Iterator[Row]:
    """Ask invented documents; what a passage nearly answers has no answer there."""
    for item in items:
        own = item.question
        if rng.random() < _AFTER_ANOTHER:
            own = f"{rng.choice(items).question} {own}"
        yield from _item_row(item, own, item.answer, item.sentence, rng)
        before = [item.question]
        for turn in item.turns:
            own = worded(turn.question, before).own
            before.append(turn.question)
            yield from _item_row(item, own, turn.answer, turn.sentence, rng)
        for turn in item.turns:
            yield from _item_row(item, turn.query, turn.answer, turn.sentence, rng)
        if item.near_miss:
            yield Row(item.near_miss, _title(item), item.passage, None)


def _title(item: HandbookItem) -> str:
    return f"{item.title} > {item.heading}"


def _item_row(
    item: HandbookItem, question: str, answer: str, sentence: str, rng: random.Random
) -> Iterator[Row]:
    span = _span(item.passage, sentence, (answer,))
    if span:
        row = Row(question, _title(item), item.passage, span)
        yield row
        if rng.random() < _HIDDEN:
            yield from _without(row, (answer,))


def _without(row: Row, answers: Sequence[str]) -> Iterator[Row]:
    """Take the sentence that answers out of a row's passage, where nothing else answers."""
    start, end = row.answer or (0, 0)
    spans = sentence_spans(row.passage)
    left = " ".join(row.passage[a:b] for a, b in spans if b <= start or a >= end)
    if left and not any(answer.lower() in left.lower() for answer in answers):
        yield Row(row.question, row.title, left, None)


def _of_today(pages: Sequence[_Page], rng: random.Random) -> Iterator[Row]:
    """Ask what a page of today answers, and a page on the same subject does not."""
    for _ in range(_LIVE):
        page = rng.choice(pages)
        live = live_question(rng, [page.title])
        span = _span(live.snippet, live.sentence, (live.answer,))
        if span:
            yield Row(live.text, live.title, live.snippet, span)
            yield _cut(live.text, page, None, rng)


def _with_neighbours(
    pages: Sequence[_Page], asked: Sequence[_Asked], embedder: Embedder, rng: random.Random
) -> Iterator[Row]:
    """Give each question its passage, and the nearest that does not hold the answer's words."""
    vectors = embedder.encode([f"{page.title}: {page.text}" for page in pages])
    wanted = embedder.encode([each.question for each in asked])
    subjects = np.array([page.title for page in pages])
    for each, vector in zip(asked, wanted, strict=True):
        page = pages[each.passage]
        span = _span(page.text, each.sentence, each.answers)
        if span is None:
            continue
        yield _cut(each.question, page, span, rng)
        if rng.random() < _HIDDEN / 2:
            yield from _without(_cut(each.question, page, span, rng), each.answers)
        same = subjects == page.title
        scores = vectors @ vector
        for among in (same, ~same):
            if among is not same and rng.random() >= _FOREIGN:
                continue
            near = np.argsort(-np.where(among, scores, -np.inf))[:_NEIGHBOURS]
            other = next((int(i) for i in near if among[i] and not _answers(pages[i], each)), None)
            if other is not None and other != each.passage:
                yield _cut(each.question, pages[other], None, rng)


def _answers(page: _Page, asked: _Asked) -> bool:
    text = page.text.lower()
    return any(answer.lower() in text for answer in asked.answers)


def _span(passage: str, sentence: str, answers: Sequence[str]) -> tuple[int, int] | None:
    """Find the longest of the answers in its sentence."""
    at = passage.find(sentence)
    if at < 0:
        return None
    for answer in sorted(answers, key=len, reverse=True):
        inside = sentence.find(answer)
        if answer and inside >= 0:
            return (at + inside, at + inside + len(answer))
    return None


def _cut(question: str, page: _Page, span: tuple[int, int] | None, rng: random.Random) -> Row:
    """Cut a long passage to whole sentences, around the answer where there is one."""
    sentences = sentence_spans(page.text)
    if len(page.text.split()) <= LONGEST_PASSAGE or not sentences:
        return Row(question, page.title, page.text, span)
    if span:
        first = next(i for i, (_, end) in enumerate(sentences) if span[0] < end)
        last = max(i for i, (start, _) in enumerate(sentences) if start < span[1])
    else:
        first = last = rng.randrange(len(sentences))
    while True:
        grown = [
            (a, b)
            for a, b in ((first - 1, last), (first, last + 1))
            if a >= 0
            and b < len(sentences)
            and _words(page.text, sentences, a, b) <= LONGEST_PASSAGE
        ]
        if not grown:
            break
        first, last = rng.choice(grown)
    start, end = sentences[first][0], sentences[last][1]
    inner = (span[0] - start, span[1] - start) if span else None
    return Row(question, page.title, page.text[start:end], inner)


def _words(text: str, sentences: Sequence[tuple[int, int]], first: int, last: int) -> int:
    return len(text[sentences[first][0] : sentences[last][1]].split())
