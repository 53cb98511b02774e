"""Examination: set up the exam's libraries and let an agent answer."""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import START, MessagesState, StateGraph

from agentlab.agent import Agent, new_thread
from agentlab.answer import Answer
from agentlab.demo import HANDBOOKS, WEB
from agentlab.evaluation import FIRST, Outcome, examine
from agentlab.library import intents_folder, reader_folder, router_folder
from agentlab.memory import Memory
from agentlab.model import (
    STARTER,
    OpenModel,
    adapter_version,
    choose_engine,
    find_model,
    starter_adapter,
)
from agentlab.record import Record
from agentlab.resolving import with_changes
from agentlab.settings import SECRETS, Settings, masked
from agentlab.starter.exam import (
    ARTICLE_CASES,
    KINDS,
    Case,
    CollectionWeb,
    Part,
    article_parts,
    handbook_cases,
    web_texts,
)
from agentlab.starter.texts import collection_of, fill
from agentlab.tools.providers import Provider
from agentlab.tools.providers.recorded import Recorded
from ingest.addresses import without_user
from ingest.card import build_card
from ingest.collection import Collection
from ingest.config import IngestConfig
from ingest.embedding import Embedder
from ingest.pipeline import ingest
from ingest.reading import Rater
from ingest.replies import AnswerReader
from ingest.stores.embedded import LanceStore

ON_HANDBOOKS = "handbooks"


def exam_parts(questions: Path | None, *, count: int = ARTICLE_CASES) -> list[Part]:
    """List the parts: the demo's handbooks, and articles where the question sets are at hand."""
    parts = [Part(ON_HANDBOOKS, (), tuple(handbook_cases()))]
    if questions is not None:
        parts += article_parts(questions, count=count)
    return parts


def quick_parts(parts: list[Part], *, each: int = 2) -> list[Part]:
    """Keep a few questions of every kind, always the same ones."""
    return [Part(part.name, part.texts, _few(part.cases, each)) for part in parts]


def label_of(model: str, changes: Mapping[str, Any]) -> str:
    """Name a model and the settings changed for it: a column of the table.

    A key changes no answer and is left out, as is the user in an address.
    """
    told = sorted(changes.keys() - set(SECRETS))
    return " ".join([model, *(f"{key}={masked(key, changes[key])}" for key in told)])


def build_of(settings: Settings) -> str:
    """Name the weights behind a model's name, and the reader's and the router's beside it.

    So the outcomes before a training are not taken for those after it, nor those of one endpoint
    for those of another.
    """
    helpers = map(_version, (reader_folder(), router_folder(), intents_folder()))
    return " ".join(filter(None, (_weights_of(settings), *helpers)))


def _weights_of(settings: Settings) -> str:
    """Name a model's weights, or the endpoint that has them; empty for a model not here."""
    if choose_engine(settings) == "openai":
        return without_user(settings.base_url or "OpenAI")
    if settings.model == STARTER:
        adapter = starter_adapter()
        return adapter_version(adapter) if adapter else ""
    folder = find_model(settings.model, settings)
    weights = sorted(folder.glob("*.safetensors")) if folder else []
    return " ".join(f"{each.stat().st_size}@{each.stat().st_mtime_ns}" for each in weights)


def _version(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def run_exam(
    model: OpenModel,
    parts: list[Part],
    *,
    settings: Settings,
    embedder: Embedder,
    reader: AnswerReader | None,
    rater: Rater | None,
    questions: Path | None,
    record: Record,
    label: str,
    build: str,
) -> Iterator[Outcome]:
    """Ask one model every case that the record lacks; yields outcomes and keeps them."""
    for part in parts:
        missing = record.missing(part.cases, model=label, build=build, part=part.name)
        if not missing:
            continue
        with tempfile.TemporaryDirectory() as scratch:
            home = Path(scratch)
            own = with_changes(settings, home=home, journal=False, web="off")
            with (
                _library(part, own, embedder, reader, rater) as collection,
                _web(part, home, embedder, questions) as provider,
                Agent(own, chat=model.chat, collection=collection, provider=provider) as agent,
            ):
                for outcome in examine(
                    partial(ask, agent),
                    partial(finds, collection),
                    missing,
                    model=label,
                    build=build,
                    part=part.name,
                ):
                    record.add(outcome)
                    yield outcome


def ask(agent: Agent, case: Case) -> Answer:
    """Ask a case's question after its earlier turns, which the agent finds in its memory."""
    thread = given(agent.memory, case.earlier) if case.earlier else None
    return agent.ask(case.question, thread=thread)


def given(memory: Memory, earlier: Sequence[tuple[str, str]]) -> str:
    """Write turns into a new conversation as if they had been answered; give its thread."""
    thread = new_thread()
    graph = StateGraph(MessagesState)
    graph.add_node("turn", lambda _: {})
    graph.add_edge(START, "turn")
    messages = [
        message
        for question, answer in earlier
        for message in (HumanMessage(question), AIMessage(f"Answer: {answer} [1]"))
    ]
    graph.compile(checkpointer=memory).update_state(
        {"configurable": {"thread_id": thread}}, {"messages": messages}, as_node="turn"
    )
    return thread


def finds(collection: Collection, case: Case, query: str) -> bool:
    """Tell whether a query finds the passage that answers among the library's first three."""
    if not query.strip():
        return False
    return any(case.stands_in(hit.chunk.text) for hit in collection.search(query, limit=FIRST))


def _few(cases: Sequence[Case], count: int) -> tuple[Case, ...]:
    """Take `count` of each kind, spread over all there are."""
    kept: list[Case] = []
    for kind in KINDS:
        own = [case for case in cases if case.kind == kind]
        kept += own[:: max(1, len(own) // count)][:count]
    return tuple(kept)


@contextmanager
def _library(
    part: Part,
    settings: Settings,
    embedder: Embedder,
    reader: AnswerReader | None,
    rater: Rater | None,
) -> Iterator[Collection]:
    store = LanceStore(settings.home / "library", collection="exam")
    collection = Collection(store, embedder, alpha=settings.alpha, reader=reader, rater=rater)
    if part.name == ON_HANDBOOKS:
        for _ in ingest([HANDBOOKS], collection=collection, config=IngestConfig()):
            pass
    else:
        fill(collection, part.texts)
        store.put_note("card", build_card(store).to_dict())
        collection.calibrate()
    yield collection
    collection.close()


@contextmanager
def _web(part: Part, home: Path, embedder: Embedder, questions: Path | None) -> Iterator[Provider]:
    if part.name == ON_HANDBOOKS or questions is None:
        yield Recorded.from_file(WEB)
        return
    collection = collection_of(web_texts(questions), home / "web", embedder)
    yield CollectionWeb(collection)
    collection.close()
