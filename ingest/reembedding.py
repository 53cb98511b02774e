"""Re-embedding: a collection is made anew by another embedder, and searched as it was meanwhile.

A new generation grows beside the one in force, from the texts that are stored: no file is read.
Then its counts are compared, its indexes, card, tuning and calibration are made, and it takes its
place in one step; at last the old one is deleted. Whatever breaks off goes on where it was.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import Any

from ingest.collection import Collection, made_by
from ingest.config import IngestConfig
from ingest.documents import Chunk, chunk_id, kind_of
from ingest.errors import StoreError, StoreWriteError
from ingest.events import Waiting
from ingest.lock import Lock
from ingest.manifest import Manifest, manifest_path, peek, renamed
from ingest.profiles import renew_profiles
from ingest.state import CUT_ANEW, begin, finish, rename_records
from ingest.stores.base import Store, StoredDocument
from ingest.tuning import Tuning

BATCH = 256  # so many are embedded and written at once
_SPECIAL = 2  # tokens that an embedder adds of its own


@dataclass(frozen=True)
class Reembedded:
    """So many of the chunks are in the new generation; `source` is the document at hand."""

    done: int
    total: int
    source: str


@dataclass(frozen=True)
class Measuring:
    """All chunks are there; indexes, card, tuning and calibration of the new ones are made."""


@dataclass(frozen=True)
class ReembedPlan:
    """What would be done; `there` counts the chunks that an earlier run has left done."""

    before: str
    embedder: str
    documents: int
    chunks: int
    there: int

    @property
    def needed(self) -> bool:
        """Tell whether the collection is of another embedder than the one that is asked for."""
        return self.before != self.embedder

    def to_dict(self) -> dict[str, Any]:
        """Give the plan as JSON values."""
        return {**asdict(self), "needed": self.needed}


@dataclass(frozen=True)
class ReembedReport:
    """What was done. `written` leaves out what an earlier run had done.

    `cut_anew` names the documents that have passages longer than the new embedder reads: the next
    ingest reads and cuts them again.
    """

    before: str
    embedder: str
    documents: int
    chunks: int
    written: int
    cut_anew: tuple[str, ...]
    seconds: float
    tuning: Tuning | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give the report as JSON values."""
        return asdict(self)


Event = Waiting | Reembedded | Measuring | ReembedReport


def plan_reembedding(collection: Collection) -> ReembedPlan:
    """Tell what would be done, and change nothing. Raises StoreError where there is nothing."""
    store, embedder = collection.store, collection.embedder.name
    documents = store.documents()
    before = _embedder(store, documents)
    beside = store.beside(store.generation + 1)
    there = beside.count() if made_by(beside) == embedder else 0
    chunks = sum(each.chunks for each in documents)
    return ReembedPlan(before, embedder, len(documents), chunks, there)


def reembed(collection: Collection, *, wait: bool = True) -> Iterator[Event]:
    """Have a collection embedded anew by its embedder; the last event is the report.

    Raises StoreError where it is empty, StoreWriteError where the store did not keep what it was
    given; without `wait`, CollectionBusyError.
    """
    started = time.monotonic()
    store, now = collection.store, collection.embedder.name
    with Lock(store.place) as lock:
        if not lock.take():
            if not wait:
                raise lock.refuse()
            yield Waiting(lock.holder())
            lock.wait()
        documents = store.documents()
        before = _embedder(store, documents)
        written = 0
        if before != now:
            target = collection.beside(store.generation + 1)
            filling = _Filling(store, target)
            yield from filling.events(documents)
            yield Measuring()
            renew_profiles(store, target.store)
            finish(target)
            store.switch(target.store.generation)
            collection.forget()
            written = filling.written
        _settle(store)
        yield ReembedReport(
            before=before,
            embedder=now,
            documents=len(documents),
            chunks=store.count(),
            written=written,
            cut_anew=tuple((store.note(CUT_ANEW) or {}).get("sources", ())),
            seconds=time.monotonic() - started,
            tuning=collection.tuning,
        )


def _settle(store: Store) -> None:
    """Do what a switch leaves to do: bring the manifest up to date, delete other generations."""
    with closing(Manifest(manifest_path(store.place))) as manifest:
        rename_records(store, manifest)
    for number in {store.generation - 1, store.generation + 1} - {0}:
        store.drop(number)


class _Filling:
    """The filling of a new generation from the one in force."""

    def __init__(self, source: Store, target: Collection) -> None:
        self._source = source
        self._target = target
        self._embedder = target.embedder
        self._pipelines = {
            each.source: renamed(each.pipeline, target.embedder.name)
            for each in peek(source.place).values()
            if each.state == "verified"
        }
        self._cut_anew: set[str] = set()
        self.written = 0

    def events(self, documents: Sequence[StoredDocument]) -> Iterator[Reembedded]:
        """Fill it document by document, and compare the counts."""
        store = self._target.store
        if made_by(store) not in {None, self._embedder.name}:
            self._source.drop(store.generation)  # left of a run towards another embedder
        begin(self._target)
        counts: dict[str, int] = {}
        for each in documents:
            counts[each.source] = counts.get(each.source, 0) + each.chunks
        gone = {each.source for each in store.documents()} - counts.keys()
        store.delete(sorted(store.ids(sorted(gone))))
        total, done = sum(counts.values()), 0
        for name, chunks in sorted(counts.items()):
            for written in self._fill(name):
                yield Reembedded(done + written, total, name)
            done += chunks
            yield Reembedded(done, total, name)
        store.put_note(CUT_ANEW, {"sources": sorted(self._cut_anew)})
        self._compare()

    def _fill(self, name: str) -> Iterator[int]:
        """Embed what the new generation lacks of a document; read it back."""
        store = self._target.store
        wanted = {each.id: each for each in map(self._renewed, self._chunks(name))}
        there = store.ids([name])
        store.delete(sorted(there - wanted.keys()))
        missing = [chunk for id_, chunk in wanted.items() if id_ not in there]
        for start in range(0, len(missing), BATCH):
            batch = missing[start : start + BATCH]
            store.write(batch, self._embedder.encode([chunk.embedded for chunk in batch]))
            self.written += len(batch)
            yield len(wanted) - len(missing) + start + len(batch)
        lost = wanted.keys() - store.ids([name]) if missing else set()
        if lost:
            raise StoreWriteError(
                f"The store kept {len(wanted) - len(lost)} of the {len(wanted)} chunks of {name}; "
                "the collection is searched as before. Run the same command again: it goes on."
            )

    def _chunks(self, name: str) -> list[Chunk]:
        return [chunk for chunk, _ in self._source.rows(name)]

    def _renewed(self, chunk: Chunk) -> Chunk:
        """Give the chunk as an ingest with the new embedder names it."""
        if self._embedder.count_tokens(chunk.embedded) > self._embedder.max_tokens - _SPECIAL:
            self._cut_anew.add(chunk.source)
        default = IngestConfig().fingerprint(self._embedder.name, kind=kind_of(chunk.source))
        pipeline = self._pipelines.get(chunk.source, default)
        span = (chunk.page, chunk.start, chunk.end)
        key = chunk_id(chunk.source, chunk.document, *span, pipeline)
        return replace(chunk, id=key, embedder=self._embedder.name)

    def _compare(self) -> None:
        before, after = self._source.documents(), self._target.store.documents()
        if before != after:
            wrong = sorted({each.source for each in set(before) ^ set(after)})
            raise StoreWriteError(
                f"{len(wrong)} documents are not the same in both generations "
                f"({', '.join(wrong[:3])}): the collection was changed meanwhile by another "
                "machine. It is searched as before; run the same command again: it goes on."
            )


def _embedder(store: Store, documents: Sequence[StoredDocument]) -> str:
    if not documents:
        raise StoreError("There is nothing to embed: the library is empty.")
    return made_by(store) or next(store.chunks()).embedder
