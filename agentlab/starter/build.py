"""Building the training set: libraries of articles and handbooks, then conversations over them."""

import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from agentlab import prompts
from agentlab.kept import kept_beside
from agentlab.starter.conversations import (
    Fact,
    Library,
    leaning_turns,
    write_conversations,
)
from agentlab.starter.documents import document_items
from agentlab.starter.handbooks import HandbookItem
from agentlab.starter.questions import (
    Article,
    WebQuestion,
    training_articles,
    training_web_questions,
)
from agentlab.starter.scenes import training_scenes
from agentlab.starter.talk import as_query
from agentlab.starter.texts import Text, article_texts, collection_of
from finetune.data.writing import write_rows
from ingest.card import build_card
from ingest.collection import Collection
from ingest.embedding import Embedder
from ingest.embedding.cache import CachedEmbedder, MemoryVectors
from ingest.embedding.pytorch import TorchEmbedder
from ingest.evidence import background_questions
from ingest.reader import Reader

LIBRARY_SIZES = (2, 3, 3, 4, 5, 6, 7, 8, 10)
_DOCUMENT_ITEMS = 1600
_DOCUMENT_LIBRARIES = 20
_SCENE_LIBRARIES = 5
_QUESTIONS_AN_ARTICLE = 60


def build_examples(
    questions: Path,
    embedder_folder: Path,
    out: Path,
    *,
    reader: Reader,
    count: int,
    about: str = "",
    seed: int = 7,
    say: Callable[[str], None] = lambda _: None,
    show: Callable[[int, int], None] = lambda _done, _total: None,
) -> Path:
    """Write `count` conversations to `out` as JSONL, whole or not at all.

    `questions` is the folder of the question sets of `agentlab.starter.questions`. What a killed
    run had written is kept beside `out`, under the reader's version that `about` names, and gone on
    from; `show` is told of each conversation.
    """
    rng = random.Random(seed)
    articles = [_some_questions(each, rng) for each in training_articles(questions)]
    asked = training_web_questions(questions)
    items = document_items(seed, _DOCUMENT_ITEMS)
    scenes = training_scenes()
    # Training asks for the same sentences many times.
    embedder = CachedEmbedder(
        TorchEmbedder(embedder_folder, name="all-MiniLM-L6-v2", batch_size=64), MemoryVectors()
    )
    _embed_ahead(embedder, articles, asked, [*items, *scenes], say)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        libraries = []
        for index, group in enumerate(_groups(articles, LIBRARY_SIZES, rng)):
            say(f"library {index}: {', '.join(article.title for article in group)}")
            opened = collection_of(
                article_texts(group), folder / f"articles-{index}", embedder, reader
            )
            libraries.append(_library(opened, _article_facts(group, rng)))
        for index in range(_DOCUMENT_LIBRARIES):
            say(f"library of documents {index}")
            texts, facts = _of_items(items[index::_DOCUMENT_LIBRARIES], rng)
            opened = collection_of(texts, folder / f"documents-{index}", embedder, reader)
            libraries.append(_library(opened, facts))
        for index in range(_SCENE_LIBRARIES):
            say(f"library of scenes {index}")
            own = scenes[index::_SCENE_LIBRARIES]
            opened = collection_of(_scene_texts(own), folder / f"scenes-{index}", embedder, reader)
            libraries.append(_library(opened, [_fact(each, each.title) for each in own]))
        away = _web_texts(articles, asked, [*items, *scenes])
        web = collection_of(away, folder / "web", embedder, reader)
        say("writing")
        told = repr([(library.card, library.facts) for library in libraries])
        with kept_beside(out, about, str(seed), told) as kept:
            done = sum(line["row"] is not None for line in kept.lines())
            rows = write_conversations(
                libraries, web, _web_facts(asked), texts=away, seed=seed, first=kept.before
            )
            while done < count:
                row = next(rows)
                kept.add({"row": row})
                done += row is not None
                show(done, count)
            whole = (line["row"] for line in kept.lines() if line["row"] is not None)
            write_rows(out, islice(whole, count))
    return out


def _embed_ahead(
    embedder: Embedder,
    articles: Sequence[Article],
    asked: Sequence[WebQuestion],
    items: Sequence[HandbookItem],
    say: Callable[[str], None],
) -> None:
    """Embed all that will be asked for in large batches, which is many times faster."""
    texts = [question.text for article in articles for question in article.questions]
    texts += [each.text for each in asked] + [item.question for item in items]
    say(f"embedding {len(texts)} questions")
    embedder.encode([*texts, *map(as_query, texts), *background_questions()])


def _some_questions(article: Article, rng: random.Random) -> Article:
    """Take as many questions of each article, since some have ten times as many as others."""
    drawn = min(len(article.questions), _QUESTIONS_AN_ARTICLE)
    return replace(article, questions=tuple(rng.sample(article.questions, drawn)))


def _groups(
    articles: Sequence[Article], sizes: Sequence[int], rng: random.Random
) -> list[list[Article]]:
    shuffled = list(articles)
    rng.shuffle(shuffled)
    groups = []
    for size in sizes:
        groups.append(shuffled[:size])
        shuffled = shuffled[size:]
    return [group for group in groups if group]


def _article_facts(group: Sequence[Article], rng: random.Random) -> list[Fact]:
    facts = [
        Fact(question.text, question.answers, question.sentence, article.title)
        for article in group
        for question in article.questions
    ]
    return leaning_turns(facts, rng)


def _of_items(items: Sequence[HandbookItem], rng: random.Random) -> tuple[list[Text], list[Fact]]:
    """Bind the passages into a few documents, so that a library has much of the same kind."""
    titles = sorted({item.title for item in items})[: rng.randint(2, 6)]
    texts: dict[str, Text] = {}
    facts = []
    for page, item in enumerate(items, start=1):
        title = titles[page % len(titles)]
        for passage in filter(None, (item.superseded, item.passage)):
            texts[passage] = Text(title, item.heading, page // len(titles) + 1, passage)
        facts.append(_fact(item, title))
    return list(texts.values()), facts


def _fact(item: HandbookItem, title: str) -> Fact:
    return Fact(item.question, (item.answer,), item.sentence, title, item.turns, item.near_miss)


def _scene_texts(scenes: Sequence[HandbookItem]) -> list[Text]:
    """Give the scenes' passages under their own titles."""
    return [
        Text(title, heading, 1, passage)
        for title, heading, passage in dict.fromkeys(
            (each.title, each.heading, each.passage) for each in scenes
        )
    ]


def _web_texts(
    articles: Sequence[Article], asked: Sequence[WebQuestion], items: Sequence[HandbookItem]
) -> list[Text]:
    texts = {each.passage: Text(each.title, "", 1, each.passage) for each in asked}
    texts |= {each.passage: Text(each.title, "", 1, each.passage) for each in items}
    for text in article_texts(articles):
        texts.setdefault(text.text, text)
    return list(texts.values())


def _web_facts(asked: Sequence[WebQuestion]) -> list[Fact]:
    return [Fact(each.text, (each.answer,), each.sentence, each.title) for each in asked]


def _library(collection: Collection, facts: list[Fact]) -> Library:
    collection.calibrate()
    card = build_card(collection.store)
    titles = sorted({fact.title for fact in facts})
    return Library(collection, card.line(prompts.CARD_WORDS), facts, titles)
