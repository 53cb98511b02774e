"""Stand-ins for the parts of an agent: a model with a script, a small library, a recorded web."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import numpy as np
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field

from agentlab.tools.providers.base import WebResult
from ingest.card import build_card
from ingest.collection import Collection
from ingest.documents import Chunk
from ingest.stores.base import Hit, StoredDocument
from ingest.words import content_words

PAGES = (
    (
        "Travel Handbook",
        "Hotels",
        4,
        "A hotel night may cost 140 euros at most. Breakfast is free.",
    ),
    ("Travel Handbook", "Trains", 5, "Train tickets are second class. The Head of Finance signs."),
    ("Product Guide", "Kestrel", 2, "The Kestrel drone carries 12 kilograms for 40 minutes."),
)


class WordEmbedder:
    """Embeds a text as the bag of its content words."""

    name = "words"
    dimension = 512

    def encode(self, texts: Sequence[str], progress: Any = None) -> np.ndarray:
        rows = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in content_words(text):
                row[crc32(word.encode()) % self.dimension] = 1.0
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


class MemoryStore:
    """A store in memory, searched by vectors alone."""

    name = "memory"

    def __init__(self) -> None:
        self._chunks: list[Chunk] = []
        self._vectors = np.zeros((0, WordEmbedder.dimension), dtype=np.float32)
        self._notes: dict[str, Any] = {}
        self.closed = False

    def write(self, chunks: Sequence[Chunk], vectors: np.ndarray) -> None:
        self._chunks += chunks
        self._vectors = np.vstack([self._vectors, vectors])

    def hybrid(self, query: str, vector: np.ndarray, *, alpha: float, limit: int, where: Any = None
               ) -> list[Hit]:  # fmt: skip
        scores = self._vectors @ vector
        order = np.argsort(-scores, kind="stable")[:limit]
        return [Hit(self._chunks[i], float(scores[i]), float(scores[i]), 0.0) for i in order]

    def hybrid_many(self, queries: Sequence[str], vectors: np.ndarray, **how: Any
                    ) -> list[list[Hit]]:  # fmt: skip
        return [self.hybrid(*each, **how) for each in zip(queries, vectors, strict=True)]

    def documents(self) -> list[StoredDocument]:
        return []

    def chunks(self) -> Iterator[Chunk]:
        return iter(self._chunks)

    def rows(self, source: str) -> list[tuple[Chunk, np.ndarray]]:
        pairs = zip(self._chunks, self._vectors, strict=True)
        return [(chunk, vector) for chunk, vector in pairs if chunk.source == source]

    def sample(self, limit: int) -> list[Chunk]:
        return self._chunks[:limit]

    def count(self) -> int:
        return len(self._chunks)

    def put_note(self, name: str, value: Any) -> None:
        self._notes[name] = value

    def note(self, name: str) -> Any:
        return self._notes.get(name)

    def close(self) -> None:
        self.closed = True


def small_library(pages: Sequence[tuple[str, str, int, str]] = PAGES) -> Collection:
    """Build a calibrated library of a few pages; none leaves it as it is before any ingest."""
    embedder = WordEmbedder()
    store: Any = MemoryStore()
    collection = Collection(store, embedder)  # type: ignore[arg-type]
    chunks = [
        Chunk(id=f"{title}-{page}", text=text, document=title, source=f"/docs/{title}.pdf",
              title=title, page=page, start=0, end=len(text), heading=heading, embedder="words")
        for title, heading, page, text in pages
    ]  # fmt: skip
    if chunks:
        store.write(chunks, embedder.encode([chunk.embedded for chunk in chunks]))
        store.put_note("card", build_card(store).to_dict())
        collection.calibrate()
    return collection


@dataclass
class ScriptedWeb:
    """A web search that answers from a list, or raises."""

    results: list[WebResult] = field(default_factory=list)
    error: Exception | None = None
    name: str = "scripted"

    def search(self, query: str, *, limit: int) -> list[WebResult]:
        if self.error:
            raise self.error
        return self.results[:limit]


Line = AIMessage | str | Exception | Callable[[list[BaseMessage]], AIMessage]


class ScriptedModel(BaseChatModel):
    """Says its lines in order and keeps what it was shown; streams words."""

    lines: list[Any]
    seen: list[list[BaseMessage]] = Field(default_factory=list)
    offered: list[list[str]] = Field(default_factory=list)
    told: list[dict[str, Any]] = Field(default_factory=list)
    pause_s: float = 0.0
    on_word: Any = None
    name: str | None = "scripted"

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        return self.bind(tools=tools, **kwargs)

    def _next(self, messages: list[BaseMessage], kwargs: dict[str, Any]) -> AIMessage:
        self.seen.append(messages)
        self.told.append(kwargs)
        self.offered.append([tool["function"]["name"] for tool in kwargs.get("tools", [])])
        line = self.lines.pop(0) if self.lines else AIMessage("")
        if isinstance(line, Exception):
            raise line
        if callable(line):
            line = line(messages)
        return AIMessage(line) if isinstance(line, str) else line

    def _generate(self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None,
                  **kwargs: Any) -> ChatResult:  # fmt: skip
        return ChatResult(generations=[ChatGeneration(message=self._next(messages, kwargs))])

    def _stream(self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None,
                **kwargs: Any) -> Iterator[ChatGenerationChunk]:  # fmt: skip
        message = self._next(messages, kwargs)
        for word in str(message.text).split(" "):
            time.sleep(self.pause_s)
            if self.on_word:
                self.on_word()
            yield ChatGenerationChunk(message=AIMessageChunk(content=f"{word} "))
        yield ChatGenerationChunk(
            message=AIMessageChunk(
                content="",
                tool_calls=message.tool_calls,
                invalid_tool_calls=message.invalid_tool_calls,
                response_metadata=message.response_metadata,
                usage_metadata={"input_tokens": 10, "output_tokens": 5, "total_tokens": 15},
            )
        )


class Clock:
    """A clock that only moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def call(query: str, tool: str = "search_documents", *, key: str = "c1") -> AIMessage:
    """Write a well-formed tool call."""
    return AIMessage("", tool_calls=[{"name": tool, "args": {"query": query}, "id": key}])
