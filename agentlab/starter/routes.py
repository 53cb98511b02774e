"""Rows to train the router on: what people type, and what kind of question it is.

`ask` is a question whose answer stays as it is, wherever it stands, also one that leans on an
earlier one; `live` one whose answer changes from day to day; `talk` needs no search. Any of them
may come after another question, in which case the last one counts. What is talk is told apart by a
second, smaller model: by its intents, `talk:INTENT`, from questions on what documents there are,
`library`, and from what only sounds like it, `ask`.
"""

import json
import random
import tomllib
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path

from agentlab.probing import worded
from agentlab.router import ASK, LIVE, TALK
from agentlab.starter.documents import document_items
from agentlab.starter.handbooks import HandbookItem
from agentlab.starter.live import live_question, small_talk, spelled, timely
from agentlab.starter.questions import load_papers, training_articles, training_web_questions
from agentlab.starter.scenes import training_scenes
from finetune.run_folder import write

_QUESTIONS_AN_ARTICLE = 80
_ITEMS, _TIMELY, _LIVE, _TALK = 2500, 1200, 5000, 4000
_SCENES = 3000
"""Questions on scenes; with all of them the other kinds would be few beside them."""
_INTENTS, _LIBRARY = 6000, 4
"""Times that each line on the library is typed: there are few of them."""
_AFTER_ANOTHER = 0.2

Row = tuple[str, str]


def write_routes(questions: Path, out: Path, *, seed: int = 7) -> int:
    """Write the rows as JSONL, whole or not at all, and return how many there are."""
    rng = random.Random(seed)
    articles = [*training_articles(questions), *load_papers(questions)]
    facts = [
        question.text
        for article in articles
        for question in rng.sample(
            article.questions, min(_QUESTIONS_AN_ARTICLE, len(article.questions))
        )
    ]
    facts += [each.text for each in training_web_questions(questions)]
    items = document_items(seed, _ITEMS)
    asked = [*facts, *(each.question for each in items)]
    rows = [(text, ASK) for text in facts]
    rows += _of_items([*items, *rng.sample(training_scenes(), _SCENES)], rng)
    rows += [(timely(each.question, rng), ASK) for each in items[:_TIMELY]]
    titles = [article.title for article in articles] + [each.title for each in items]
    rows += [(live_question(rng, titles).text, LIVE) for _ in range(_LIVE)]
    rows += [(small_talk(rng).text, TALK) for _ in range(_TALK)]
    return _write([_after_another(row, asked, rng) for row in rows], out, rng)


def write_intents(out: Path, *, seed: int = 7) -> int:
    """Write the rows that tell the intents of talk apart, whole or not at all."""
    rng = random.Random(seed)
    drawn = [small_talk(rng) for _ in range(_INTENTS)]
    rows = [(said.text, f"{TALK}:{said.intent}") for said in drawn]
    rows += [(spelled(text, rng), kind) for text, kind in _LIBRARY * about_library()]
    return _write(rows, out, rng)


def _write(rows: Sequence[Row], out: Path, rng: random.Random) -> int:
    every = list(dict.fromkeys(rows))
    rng.shuffle(every)
    lines = [json.dumps({"text": text, "label": kind}, ensure_ascii=False) for text, kind in every]
    out.parent.mkdir(parents=True, exist_ok=True)
    write(out, "\n".join(lines) + "\n")
    return len(every)


def about_library(*, held_out: bool = False) -> tuple[Row, ...]:
    """Read what people ask about the library itself, and what only sounds like it."""
    name = "library_talk_exam.toml" if held_out else "library_talk.toml"
    file = resources.files("agentlab.starter").joinpath(name)
    kinds = tomllib.loads(file.read_text(encoding="utf-8"))
    return tuple(
        (text, kind) for kind, about in kinds.items() for text in about["says"].splitlines()
    )


def _of_items(items: Sequence[HandbookItem], rng: random.Random) -> Iterator[Row]:
    """Ask invented documents, now and then on from an earlier question, and what they lack."""
    for item in items:
        yield item.question, ASK
        if item.follow_up:
            yield rng.choice((item.follow_up, worded(item.follow_up, [item.question]).own)), ASK
        if item.near_miss and rng.random() < 0.5:
            yield item.near_miss, ASK


def _after_another(row: Row, asked: Sequence[str], rng: random.Random) -> Row:
    """Put another question before some of what people type."""
    text, label = row
    if rng.random() >= _AFTER_ANOTHER:
        return row
    return f"{rng.choice(asked)} {text}", label
