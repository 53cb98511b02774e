"""The store protocol: where chunks and their vectors are kept and searched."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ingest.documents import Chunk


@dataclass(frozen=True)
class Where:
    """A filter; an empty field does not filter.

    A page fits by its number or, where that is not what it calls itself, by its label.
    """

    sources: tuple[str, ...] = ()
    pages: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hit:
    """A chunk that was found: fused score in 0..1, cosine in -1..1, raw BM25 (0 if unmatched).

    `why` tells what else than these brought it, in words for people.
    """

    chunk: Chunk
    score: float
    cosine: float
    keyword: float
    why: tuple[str, ...] = ()


@dataclass(frozen=True)
class StoredDocument:
    """A document as the store knows it, with its number of pages and chunks."""

    id: str
    source: str
    title: str
    pages: int
    chunks: int


class Store(Protocol):
    """Chunks with vectors, found by hybrid search. All methods raise StoreError kin.

    What is read and written is of the generation in force, except in a store that `beside` gave.
    `place` is where this machine keeps what it alone needs to know of the collection: the start
    of file names, or None where nothing is kept.
    """

    name: str
    place: Path | None

    @property
    def generation(self) -> int:
        """Tell the number of the generation that is read and written, from 1."""

    def beside(self, generation: int) -> "Store":
        """Give one generation of the same collection; it shares the connection."""

    def switch(self, generation: int) -> None:
        """Put another generation in force, in one step that every process sees."""

    def drop(self, generation: int) -> None:
        """Delete a generation that is not in force, with its notes; nothing where it is not."""

    def write(self, chunks: Sequence[Chunk], vectors: np.ndarray) -> None:
        """Insert or replace chunks by id; `vectors` is float32 of shape (chunks, dimension)."""

    def delete(self, ids: Sequence[str]) -> None:
        """Remove the chunks with these ids."""

    def ids(self, sources: Sequence[str]) -> set[str]:
        """Read back the ids of all chunks of these sources."""

    def rows(self, source: str) -> list[tuple[Chunk, np.ndarray]]:
        """Read the chunks of a source with their vectors."""

    def hybrid(
        self,
        query: str,
        vector: np.ndarray,
        *,
        alpha: float,
        limit: int,
        where: Where = Where(),
    ) -> list[Hit]:
        """Search by words and vector, best first; `alpha` 1 is vector only, 0 is BM25 only."""

    def hybrid_many(
        self, queries: Sequence[str], vectors: np.ndarray, *, alpha: float, limit: int
    ) -> list[list[Hit]]:
        """Search for each of many queries, as `hybrid` does, in less time."""

    def documents(self) -> list[StoredDocument]:
        """List the documents, ordered by source."""

    def chunks(self) -> Iterator[Chunk]:
        """Iterate over all chunks."""

    def sample(self, limit: int) -> list[Chunk]:
        """Draw about `limit` chunks, by their ids and so the same ones of the same content."""

    def count(self) -> int:
        """Count the chunks."""

    def put_note(self, name: str, value: Mapping[str, Any]) -> None:
        """Keep a small JSON value beside the chunks (card, calibration), atomically."""

    def note(self, name: str) -> dict[str, Any] | None:
        """Read a note back, or None."""

    def notes(self) -> list[str]:
        """List the names of the notes, ordered."""

    def finish(self) -> None:
        """Build or refresh the indexes after a batch of writes."""

    def close(self) -> None:
        """Release the connection."""


def relative_score_fusion(
    vector: Mapping[str, float], keyword: Mapping[str, float], alpha: float
) -> dict[str, float]:
    """Fuse two arms: each scaled to 0..1 by its own minimum and maximum, then weighted.

    The method is Weaviate's relativeScoreFusion. An arm whose scores are all equal counts as 1.
    """
    fused: dict[str, float] = {}
    for scores, weight in ((vector, alpha), (keyword, 1.0 - alpha)):
        if not scores:
            continue
        low, high = min(scores.values()), max(scores.values())
        span = high - low
        for key, value in scores.items():
            scaled = (value - low) / span if span > 0 else 1.0
            fused[key] = fused.get(key, 0.0) + weight * scaled
    return fused
