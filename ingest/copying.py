"""Copying: a library goes from one store to another, and is compared with what it was."""

import random
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ingest.collection import NOTE, made_by
from ingest.documents import Chunk
from ingest.errors import CollectionBusyError, StoreError, StoreMismatchError, StoreWriteError
from ingest.lock import Lock
from ingest.manifest import Manifest, manifest_path
from ingest.profiles import NOTE as PROFILES
from ingest.profiles import merge_profiles
from ingest.stores.base import Store, StoredDocument

BATCH = 500
SAMPLED_DOCUMENTS = 50
SAMPLED_CHUNKS = 20
_ROUNDING = 1e-6  # a store may bring vectors to length 1 once more, which moves the last bits

Row = tuple[Chunk, np.ndarray]


@dataclass(frozen=True)
class Copied:
    """So many of the chunks are in the other store; `source` is the document at hand."""

    done: int
    total: int
    source: str


@dataclass(frozen=True)
class Compared:
    """So many of the sampled documents are the same in both stores."""

    done: int
    total: int


@dataclass(frozen=True)
class CopyReport:
    """What a copy did, and what was compared at the end.

    Of `chunks`, `written` were missing in the other store; `removed` belonged to other versions of
    these documents there. `elsewhere` counts documents that only the other store has. `compared`
    chunks were the same in all fields; the vectors of `rounded` of them in all but their last bits.
    """

    documents: int
    chunks: int
    written: int
    removed: int
    elsewhere: int
    compared: int
    rounded: int

    def to_dict(self) -> dict[str, Any]:
        """Give the report as JSON values."""
        return asdict(self)


Event = Copied | Compared | CopyReport


def copy_library(source: Store, target: Store, *, seed: int = 0) -> Iterator[Event]:
    """Copy chunks, vectors and notes, then compare; the last event is the report.

    Only what is missing is written, so a copy that broke off goes on where it was. A document that
    both stores have becomes the source's. Raises StoreMismatchError for a target of another
    embedder, StoreWriteError where it did not keep what it was given.
    """
    if source.place is not None and source.place == target.place:
        raise StoreMismatchError(
            f"The library would be copied onto itself ({source.place}): name another store, "
            "collection, folder or tenant."
        )
    with Lock(source.place) as reading, Lock(target.place) as writing:
        for lock in (reading, writing):
            if not lock.take():
                raise CollectionBusyError(
                    f"A library is being changed by {lock.holder()}: wait until it is done, then "
                    "copy again."
                )
        yield from _copy(source, target, random.Random(seed))


def _copy(source: Store, target: Store, chance: random.Random) -> Iterator[Event]:
    documents = source.documents()
    embedder = _embedder(source)
    if not documents or embedder is None:
        raise StoreError("The library to be copied is empty: run agentlab ingest PATH first.")
    _check(embedder, _embedder(target))
    target.put_note(NOTE, {"embedder": embedder, "finished": False})
    total = sum(each.chunks for each in documents)
    done = written = removed = 0
    names = sorted({each.source for each in documents})
    for name in names:
        wanted, there = source.ids([name]), target.ids([name])
        if wanted != there:
            _unsettle(target, name)
        there_now = len(wanted & there)
        for batch in _batches(source, name, wanted - there):
            target.write([chunk for chunk, _ in batch], np.stack([vector for _, vector in batch]))
            written += len(batch)
            there_now += len(batch)
            yield Copied(done + there_now, total, name)
        removed += _drop_stale(target, name, wanted, there)
        done += len(wanted)
        yield Copied(done, total, name)
    elsewhere = len({each.source for each in target.documents()} - set(names))
    _copy_notes(source, target, whole=not elsewhere)
    _compare_counts(documents, target)
    compared = rounded = 0
    sample = sorted(chance.sample(names, min(len(names), SAMPLED_DOCUMENTS)))
    for number, name in enumerate(sample, 1):
        same, nearly = _compare(name, source.rows(name), target.rows(name), chance)
        compared, rounded = compared + same, rounded + nearly
        yield Compared(number, len(sample))
    yield CopyReport(len(names), total, written, removed, elsewhere, compared, rounded)


def _embedder(store: Store) -> str | None:
    """Tell by which embedder a store was made; None of an empty one."""
    chunk = next(iter(store.chunks()), None)
    if chunk is None:
        return None
    return made_by(store) or chunk.embedder


def _check(ours: str, theirs: str | None) -> None:
    if theirs not in {None, ours}:
        raise StoreMismatchError(
            f"The library there was embedded with {theirs}, this one with {ours}: vectors of two "
            "models cannot be compared. Copy into another collection."
        )


def _unsettle(target: Store, name: str) -> None:
    """Have the next ingest look at what the target holds of a document, not at its own notes."""
    path = manifest_path(target.place)
    if path and path.exists():
        with closing(Manifest(path)) as manifest:
            known = manifest.records().values()
            manifest.mark([each.path for each in known if each.source == name], "pending")


def _batches(source: Store, name: str, missing: set[str]) -> Iterator[Sequence[Row]]:
    if missing:
        rows = [row for row in source.rows(name) if row[0].id in missing]
        for start in range(0, len(rows), BATCH):
            yield rows[start : start + BATCH]


def _drop_stale(target: Store, name: str, wanted: set[str], before: set[str]) -> int:
    """Read a document back, then delete what is left there of its other versions."""
    there = before if before == wanted else target.ids([name])
    if lost := wanted - there:
        raise StoreWriteError(
            f"The other store kept {len(wanted) - len(lost)} of the {len(wanted)} chunks of {name}:"
            " copy again, only what is missing is written."
        )
    stale = sorted(there - wanted)
    target.delete(stale)
    return len(stale)


def _copy_notes(source: Store, target: Store, *, whole: bool) -> None:
    """Copy the notes, the profiles beside those of documents that only the target has.

    The last one says whether indexes, card and calibration fit what is there.
    """
    state = source.note(NOTE) or {"embedder": _embedder(source), "finished": False}
    for name in source.notes():
        if name != NOTE:
            note = source.note(name) or {}
            if name == PROFILES:
                note = merge_profiles(note, target.note(name) or {})
            target.put_note(name, note)
    target.finish()
    target.put_note(NOTE, {**state, "finished": bool(state["finished"]) and whole})


def _compare_counts(documents: Sequence[StoredDocument], target: Store) -> None:
    found = set(target.documents())
    wrong = [each for each in documents if each not in found]
    if wrong:
        named = ", ".join(f"{each.source} ({each.chunks} chunks)" for each in wrong[:3])
        raise StoreWriteError(
            f"{len(wrong)} of {len(documents)} documents are not the same in the other store: "
            f"{named}; copy again, and look at its log."
        )


def _compare(
    name: str, ours: Sequence[Row], theirs: Sequence[Row], chance: random.Random
) -> tuple[int, int]:
    """Compare some chunks of a document; give how many, and how many vectors were rounded."""
    there = {chunk.id: (chunk, vector) for chunk, vector in theirs}
    sample = chance.sample(sorted(ours, key=_id), min(len(ours), SAMPLED_CHUNKS))
    rounded = 0
    for chunk, vector in sample:
        other, other_vector = there[chunk.id]
        same = vector.tobytes() == other_vector.tobytes()
        near = vector.shape == other_vector.shape and bool(
            np.allclose(vector, other_vector, rtol=0, atol=_ROUNDING)
        )
        if other != chunk or not near:
            what = "vector" if other == chunk else "text"
            raise StoreWriteError(
                f"The {what} of a chunk is not the same in the other store: {name}, page "
                f"{chunk.page}, {chunk.id}. Remove that document there (agentlab docs rm), and "
                "copy again."
            )
        rounded += not same
    return len(sample), rounded


def _id(row: Row) -> str:
    return row[0].id
