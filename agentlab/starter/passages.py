"""Rows to train the reader on: a question, a passage, and where in it the answer stands, if at all.

Every question comes with the passage that answers it and with the nearest one of the same subject
that does not, and now and then with its own passage without the sentence that answers, so that the
reader learns to tell them apart. A question that leans on another one is put after it, in the
person's own words, as the agent has it read. For a reader's next sitting, passages that mislead it
come in the place of those that are merely near.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from agentlab.kept import kept_beside
from agentlab.probing import worded
from agentlab.starter.documents import document_items
from agentlab.starter.handbooks import HandbookItem
from agentlab.starter.hard_passages import hard_rows
from agentlab.starter.live import live_question
from agentlab.starter.questions import (
    Article,
    WebQuestion,
    calibration_articles,
    load_papers,
    training_articles,
    training_web_questions,
)
from agentlab.starter.reader_rows import Asked, Page, Row, Span, compared, cut, span_of
from agentlab.starter.scenes import training_scenes
from agentlab.starter.tables import table_items
from finetune.run_folder import write
from ingest.embedding import Embedder
from ingest.replies import AnswerReader
from ingest.sentences import sentence_spans

LONGEST_PASSAGE = 120
"""Words of a passage; a longer one is cut around its answer, or anywhere if it has none."""
_DOCUMENT_ITEMS = 3000
_TABLES = 900
_LIVE = 800
_AGAIN = 6
_SCENES_AGAIN = 3
"""Of how many invented documents and tables, and of how many questions on scenes, a reader's next
sitting has one again. With all scenes it forgot how people type into a search engine."""
_HIDDEN = 0.3
_AFTER_ANOTHER = 0.15
_FOREIGN = 0.3
_NEIGHBOURS = 8


def write_rows(
    questions: Path,
    embedder: Embedder,
    out: Path,
    *,
    reader: AnswerReader | None = None,
    count: int = 3600,
    about: str = "",
    seed: int = 7,
    say: Callable[[str], None] = lambda _: None,
    show: Callable[[int, int], None] = lambda _done, _total: None,
) -> int:
    """Write the rows as JSONL, whole or not at all, and return how many there are.

    With a `reader` they are for its next sitting, and it is tried with `count` questions, which
    `show` is told of; what a killed run had read is kept beside `out`, under the reader's version
    that `about` names, and gone on from.
    """
    rng = random.Random(seed)
    unseen = {article.title for article in calibration_articles(questions)}
    articles = [each for each in training_articles(questions) if each.title not in unseen]
    pages, asked = _of_articles(articles + load_papers(questions))
    _add_web(training_web_questions(questions), pages, asked)
    rows = list(item_rows(_items(seed, rng, again=reader is not None), rng))
    say(f"embedding {len(pages)} passages and the questions on them")
    if not reader:
        rows += [*_of_today(pages, rng), *_with_neighbours(pages, asked, embedder, rng)]
        return _write(out, [row.to_json() for row in rows], rng)
    tried = random.Random(seed).sample(asked, min(count, len(asked)))
    with kept_beside(out, about, str(seed), repr(tried)) as kept:
        found = hard_rows(pages, tried, reader, embedder, seed=seed, first=kept.before)
        for done, some in enumerate(found, start=kept.before + 1):
            kept.add({"rows": [row.to_json() for row in some]})
            show(done, len(tried))
        hard = [row for line in kept.lines() for row in line["rows"]]
        return _write(out, [*(row.to_json() for row in rows), *hard], rng)


def _write(out: Path, lines: Sequence[str], rng: random.Random) -> int:
    shuffled = rng.sample(lines, len(lines))
    out.parent.mkdir(parents=True, exist_ok=True)
    write(out, "".join(f"{line}\n" for line in shuffled))
    return len(lines)


def _items(seed: int, rng: random.Random, *, again: bool) -> list[HandbookItem]:
    """List the invented documents and the scenes; a later sitting has fewer of what it knows."""
    scenes = training_scenes()
    if not again:
        return [*document_items(seed, _DOCUMENT_ITEMS), *table_items(seed, _TABLES), *scenes]
    return [
        *document_items(seed, _DOCUMENT_ITEMS // _AGAIN),
        *table_items(seed, _TABLES // _AGAIN),
        *rng.sample(scenes, len(scenes) // _SCENES_AGAIN),
    ]


def _of_articles(articles: Sequence[Article]) -> tuple[list[Page], list[Asked]]:
    pages: list[Page] = []
    asked: list[Asked] = []
    for article in articles:
        first = len(pages)
        pages += [Page(article.title, passage) for passage in article.passages]
        asked += [
            Asked(each.text, each.answers, each.sentence, first + each.passage)
            for each in article.questions
        ]
    return pages, asked


def _add_web(questions: Sequence[WebQuestion], pages: list[Page], asked: list[Asked]) -> None:
    for each in questions:
        asked.append(Asked(each.text, (each.answer,), each.sentence, len(pages)))
        pages.append(Page(each.title, each.passage))


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
    span = span_of(item.passage, sentence, (answer,))
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


def _of_today(pages: Sequence[Page], rng: random.Random) -> Iterator[Row]:
    """Ask what a page of today answers, and a page on the same subject does not."""
    for _ in range(_LIVE):
        page = rng.choice(pages)
        live = live_question(rng, [page.title])
        span = span_of(live.snippet, live.sentence, (live.answer,))
        if span:
            yield Row(live.text, live.title, live.snippet, span)
            yield _cut(live.text, page, None, rng)


def _cut(question: str, page: Page, span: Span | None, rng: random.Random) -> Row:
    return cut(question, page, span, rng, words=LONGEST_PASSAGE)


def _with_neighbours(
    pages: Sequence[Page], asked: Sequence[Asked], embedder: Embedder, rng: random.Random
) -> Iterator[Row]:
    """Give each question its passage, and the nearest that does not hold the answer's words."""
    subjects = np.array([page.title for page in pages])
    for each, span, scores in compared(pages, asked, embedder):
        page = pages[each.passage]
        yield _cut(each.question, page, span, rng)
        if rng.random() < _HIDDEN / 2:
            yield from _without(_cut(each.question, page, span, rng), each.answers)
        same = subjects == page.title
        for among in (same, ~same):
            if among is not same and rng.random() >= _FOREIGN:
                continue
            near = np.argsort(-np.where(among, scores, -np.inf))[:_NEIGHBOURS]
            other = next(
                (int(i) for i in near if among[i] and not each.answered_by(pages[i])), None
            )
            if other is not None and other != each.passage:
                yield _cut(each.question, pages[other], None, rng)
