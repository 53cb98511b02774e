"""The ledger: which document each source was last stored as, and by which pipeline."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ingest.collection import Collection
from ingest.config import IngestConfig
from ingest.documents import Chunk, Document, kind_of
from ingest.errors import DocumentError, StoreMismatchError
from ingest.events import Parsed, Skipped
from ingest.stores.base import Store

NOTE = "ledger"


class Ledger:
    """What a collection holds, kept as a note: it tells a whole document from a broken-off one."""

    def __init__(self, collection: Collection, config: IngestConfig) -> None:
        self._store: Store = collection.store
        self._config = config
        note = self._store.note(NOTE) or {}
        self._refuse_other_embedder(note.get("embedder"), collection.embedder.name)
        self._embedder = collection.embedder.name
        self._sources: dict[str, dict[str, Any]] = dict(note.get("sources", {}))
        self._stored = self._read_store()
        complete = all(self._store.note(name) for name in ("card", "calibration"))
        self.unfinished = not (note.get("finished") and complete)

    def holder(self, source: str, digest: str) -> str | None:
        """Name the source under which this document is stored, whole and by this pipeline."""
        holders = [each for each, document in self._stored if document == digest]
        for each in sorted(holders, key=lambda holder: holder != source):
            if self._is_whole(each, digest) and (each == source or _still(each, digest)):
                return each
        return None

    def replace(self, document: Document, chunks: Sequence[Chunk], vectors: np.ndarray) -> None:
        """Write a document, then delete what it replaces.

        Deleting goes by document. So where the same bytes were stored otherwise (under a former
        name or by another pipeline) the deletion takes the new chunks too, and they are written
        once more: the first writing has shown that there is room.
        """
        stale = {
            stored
            for source, stored in self._stored
            if source == document.source or stored == document.id
        }
        if self.unfinished is False:
            self.unfinished = True
            self._save()
        self._store.write(chunks, vectors)
        if stale:
            self._store.delete(sorted(stale))
        if document.id in stale:
            self._store.write(chunks, vectors)
        for key in [key for key in self._stored if key[1] in stale]:
            del self._stored[key]
            self._sources.pop(key[0], None)
        self._stored[document.source, document.id] = len(chunks)
        self._sources[document.source] = {
            "document": document.id,
            "pipeline": self._pipeline(document.source),
            "chunks": len(chunks),
        }
        self._save()

    def finish(self) -> None:
        """Note that the indexes, the card and the calibration are up to date."""
        self.unfinished = False
        self._save()

    def lost(self, written: Mapping[str, Parsed]) -> list[Skipped]:
        """Read the counts back, and name the documents of which the store kept less."""
        stored = {source: chunks for (source, _), chunks in self._read_store().items()}
        return [
            Skipped(
                source,
                "not_stored",
                f"the store kept {stored.get(source, 0)} of its {parsed.chunks} chunks",
                "run the same command again",
            )
            for source, parsed in written.items()
            if stored.get(source, 0) != parsed.chunks
        ]

    def _is_whole(self, source: str, digest: str) -> bool:
        entry = self._sources.get(source, {})
        return (
            entry.get("document") == digest
            and entry.get("pipeline") == self._pipeline(source)
            and entry.get("chunks") == self._stored.get((source, digest))
        )

    def _pipeline(self, source: str) -> str:
        return self._config.fingerprint(self._embedder, kind=kind_of(source))

    def _read_store(self) -> dict[tuple[str, str], int]:
        return {(each.source, each.id): each.chunks for each in self._store.documents()}

    def _save(self) -> None:
        note = {
            "embedder": self._embedder,
            "finished": not self.unfinished,
            "sources": self._sources,
        }
        self._store.put_note(NOTE, note)

    def _refuse_other_embedder(self, before: str | None, now: str) -> None:
        if before and before != now and self._store.count():
            raise StoreMismatchError(
                f"This collection was embedded with {before}, the embedder now is {now}: vectors "
                f"of two models cannot be compared. Ingest into another collection, or set the "
                f"embedder back to {before}."
            )


def file_digest(path: Path) -> str:
    """Give the sha256 of a file's bytes, in hex: the id of its document."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        detail = f"cannot be read ({error.strerror or type(error).__name__})"
        raise DocumentError(
            str(path), detail, "check that it is there and its permissions"
        ) from error


def _still(source: str, digest: str) -> bool:
    """Tell whether a file has these bytes to this day."""
    try:
        return file_digest(Path(source)) == digest
    except DocumentError:
        return False
