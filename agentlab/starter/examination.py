"""Examination: set up the exam's libraries and let an agent answer."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from agentlab.agent import Agent
from agentlab.answer import Answer
from agentlab.demo import HANDBOOKS, WEB
from agentlab.evaluation import Outcome, Record, examine
from agentlab.model import OpenModel
from agentlab.settings import Settings, with_changes
from agentlab.starter.conversations import Text, chunks_of
from agentlab.starter.exam import (
    Case,
    CollectionWeb,
    Part,
    article_parts,
    handbook_cases,
    web_texts,
)
from agentlab.tools.providers import Provider
from agentlab.tools.providers.recorded import Recorded
from ingest.card import build_card
from ingest.collection import Collection
from ingest.config import IngestConfig
from ingest.embedding import Embedder
from ingest.pipeline import ingest
from ingest.stores.embedded import LanceStore

ON_HANDBOOKS = "handbooks"


def exam_parts(questions: Path | None, *, count: int) -> list[Part]:
    """List the parts: the demo's handbooks, and articles where the question sets are at hand."""
    parts = [Part(ON_HANDBOOKS, (), tuple(handbook_cases()))]
    if questions is not None:
        parts += article_parts(questions, count=count)
    return parts


def quick_parts(parts: list[Part], *, count: int = 10) -> list[Part]:
    """Keep every kind of question, but few of each."""
    return [
        Part(part.name, part.texts, part.cases[:: max(1, len(part.cases) // count)][:count])
        for part in parts
    ]


def run_exam(
    model: OpenModel,
    parts: list[Part],
    *,
    settings: Settings,
    embedder: Embedder,
    questions: Path | None,
    record: Record,
) -> Iterator[Outcome]:
    """Ask one model every case that the record lacks; yields outcomes and keeps them."""
    for part in parts:
        missing = record.missing(part.cases, model=model.name, part=part.name)
        if not missing:
            continue
        with tempfile.TemporaryDirectory() as scratch:
            home = Path(scratch)
            own = with_changes(settings, home=home, journal=False, web="off")
            with (
                _library(part, home, embedder) as collection,
                _web(part, home, embedder, questions) as provider,
                Agent(own, chat=model.chat, collection=collection, provider=provider) as agent,
            ):
                for outcome in examine(
                    partial(_ask, agent),
                    missing,
                    model=model.name,
                    part=part.name,
                ):
                    record.add(outcome)
                    yield outcome


def _ask(agent: Agent, case: Case) -> Answer:
    thread = None
    for question in case.earlier:
        thread = agent.ask(question, thread=thread).thread
    return agent.ask(case.question, thread=thread)


@contextmanager
def _library(part: Part, home: Path, embedder: Embedder) -> Iterator[Collection]:
    store = LanceStore(home / "library", collection="exam")
    collection = Collection(store, embedder)
    if part.name == ON_HANDBOOKS:
        for _ in ingest([HANDBOOKS], collection=collection, config=IngestConfig()):
            pass
    else:
        _fill(collection, list(part.texts))
        store.put_note("card", build_card(store).to_dict())
        collection.calibrate()
    yield collection
    collection.close()


@contextmanager
def _web(part: Part, home: Path, embedder: Embedder, questions: Path | None) -> Iterator[Provider]:
    if part.name == ON_HANDBOOKS or questions is None:
        yield Recorded.from_file(WEB)
        return
    collection = Collection(LanceStore(home / "web", collection="web"), embedder)
    _fill(collection, web_texts(questions))
    yield CollectionWeb(collection)
    collection.close()


def _fill(collection: Collection, texts: list[Text]) -> None:
    chunks = chunks_of(texts, embedder=collection.embedder.name)
    vectors = collection.embedder.encode([chunk.embedded for chunk in chunks])
    collection.store.write(chunks, vectors)
    collection.store.finish()
