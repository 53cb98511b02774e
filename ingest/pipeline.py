"""The pipeline: files become chunks in a collection, told step by step as events."""

import errno
import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ingest.card import build_card
from ingest.chunking import chunk_document
from ingest.collection import Collection
from ingest.config import IngestConfig
from ingest.documents import Chunk, Document
from ingest.errors import (
    DocumentError,
    IngestError,
    NothingToIngestError,
    PathMissingError,
    StoreFullError,
    StoreMismatchError,
)
from ingest.pdf import read_pdf
from ingest.stores.base import Store

LEDGER = "ledger"


@dataclass(frozen=True)
class Found:
    """The files that will be looked at."""

    sources: tuple[str, ...]


@dataclass(frozen=True)
class Unchanged:
    """A file whose chunks are already there, made by the same pipeline."""

    source: str


@dataclass(frozen=True)
class Duplicate:
    """A file with the same bytes as another, whose chunks serve for both."""

    source: str
    original: str


@dataclass(frozen=True)
class Parsed:
    """A file was read and cut; `blank_pages` are the numbers of pages without text."""

    source: str
    title: str
    pages: int
    chunks: int
    blank_pages: tuple[int, ...]


@dataclass(frozen=True)
class Embedded:
    """So many of the file's chunks have their vectors."""

    source: str
    done: int
    total: int


@dataclass(frozen=True)
class Written:
    """The file's chunks are in the store, and those of its older version are gone."""

    source: str
    chunks: int


@dataclass(frozen=True)
class Skipped:
    """A file that was left out: `reason` is a slug, `detail` and `remedy` are for people.

    Whatever an earlier run stored of it stays.
    """

    source: str
    reason: str
    detail: str
    remedy: str


@dataclass(frozen=True)
class Finishing:
    """All files are done; the indexes, the card and the calibration are being made."""


@dataclass(frozen=True)
class Report:
    """What a run did. `documents`, `pages` and `chunks` count what was written in it."""

    documents: int
    pages: int
    chunks: int
    unchanged: int
    duplicates: tuple[Duplicate, ...]
    skipped: tuple[Skipped, ...]
    total_documents: int
    total_chunks: int
    seconds: float

    @property
    def exit_code(self) -> int:
        """Give 0 when every file is in the collection, 1 when any was left out."""
        return 1 if self.skipped else 0

    def to_dict(self) -> dict[str, Any]:
        """Give the report as JSON values."""
        return {**asdict(self), "exit_code": self.exit_code}


@dataclass(frozen=True)
class Finished:
    """The last event."""

    report: Report


Event = Found | Unchanged | Duplicate | Parsed | Embedded | Written | Skipped | Finishing | Finished


def ingest(
    paths: Sequence[Path], *, collection: Collection, config: IngestConfig | None = None
) -> Iterator[Event]:
    """Bring files and folders of PDFs into a collection; a file that cannot be read is skipped.

    Each document is written whole before its older version is deleted, and what was written
    stays written: after an interruption the same call goes on where it stopped. Raises
    PathMissingError, NothingToIngestError, StoreMismatchError or StoreFullError, among other
    StoreErrors.
    """
    started = time.monotonic()
    config = config or IngestConfig()
    files, empty = find_pdfs(paths)
    yield Found(tuple(map(str, files)))
    with _space_on_disk():
        ledger = _Ledger(collection, config)
    written: dict[str, Parsed] = {}
    duplicates: list[Duplicate] = []
    skipped = [_no_pdf_in(folder) for folder in empty]
    yield from skipped

    for path in files:
        source = str(path)
        try:
            digest = file_digest(path)
            if original := ledger.holder(source, digest):
                same = original == source or _same_file(Path(original), path)
                event = Unchanged(source) if same else Duplicate(source, original)
                duplicates += [event] if isinstance(event, Duplicate) else []
                yield event
                continue
            document, chunks = _read_and_cut(path, collection, config)
        except Exception as error:  # noqa: BLE001 - one hostile file must not end the run
            skipped.append(_reason(source, error))
            yield skipped[-1]
            continue
        written[source] = _parsed(document, chunks)
        yield written[source]
        vectors = []
        for start in range(0, len(chunks), config.embed_batch):
            batch = chunks[start : start + config.embed_batch]
            vectors.append(collection.embedder.encode([chunk.embedded for chunk in batch]))
            yield Embedded(source, start + len(batch), len(chunks))
        with _space_on_disk():
            ledger.replace(document, chunks, np.concatenate(vectors))
        yield Written(source, len(chunks))

    if ledger.unfinished:
        yield Finishing()
        with _space_on_disk():
            collection.store.finish()
            collection.store.put_note("card", build_card(collection.store).to_dict())
            collection.calibrate()
            ledger.finish()
    for lost in ledger.lost(written):
        del written[lost.source]
        skipped.append(lost)
        yield lost
    yield Finished(
        Report(
            documents=len(written),
            pages=sum(each.pages for each in written.values()),
            chunks=sum(each.chunks for each in written.values()),
            unchanged=len(files) + len(empty) - len(written) - len(duplicates) - len(skipped),
            duplicates=tuple(duplicates),
            skipped=tuple(skipped),
            total_documents=len(collection.store.documents()),
            total_chunks=collection.store.count(),
            seconds=time.monotonic() - started,
        )
    )


def find_pdfs(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Find the PDFs: files as given, folders searched through, hidden ones left out, each once.

    Also gives the folders that hold none. Raises PathMissingError or, where there is no file at
    all, NothingToIngestError.
    """
    found: dict[Path, Path] = {}
    empty: list[Path] = []
    for path in paths:
        if not path.exists():
            raise PathMissingError(f"{path} does not exist: check the path.")
        inside = _pdfs_below(path) if path.is_dir() else [path]
        if not inside:
            empty.append(path)
        for each in inside:
            found.setdefault(each.resolve(), each)
    if not found:
        names = ", ".join(map(str, empty)) or "no path was given"
        raise NothingToIngestError(
            f"Nothing to ingest: no PDF in {names}. Give a PDF, or a folder that holds some."
            if empty
            else f"Nothing to ingest: {names}. Give a PDF, or a folder that holds some."
        )
    return list(found.values()), empty


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


class _Ledger:
    """Which document each source was last stored as, and by which pipeline, kept as a note.

    It alone tells a finished document from an interrupted one.
    """

    def __init__(self, collection: Collection, config: IngestConfig) -> None:
        self._store: Store = collection.store
        self._pipeline = config.fingerprint(collection.embedder.name)
        note = self._store.note(LEDGER) or {}
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
            "pipeline": self._pipeline,
            "chunks": len(chunks),
        }
        self._save()

    def finish(self) -> None:
        """Note that the indexes, the card and the calibration are up to date."""
        self.unfinished = False
        self._save()

    def lost(self, written: dict[str, Parsed]) -> list[Skipped]:
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
            and entry.get("pipeline") == self._pipeline
            and entry.get("chunks") == self._stored.get((source, digest))
        )

    def _read_store(self) -> dict[tuple[str, str], int]:
        return {(each.source, each.id): each.chunks for each in self._store.documents()}

    def _save(self) -> None:
        note = {
            "embedder": self._embedder,
            "finished": not self.unfinished,
            "sources": self._sources,
        }
        self._store.put_note(LEDGER, note)

    def _refuse_other_embedder(self, before: str | None, now: str) -> None:
        if before and before != now and self._store.count():
            raise StoreMismatchError(
                f"This collection was embedded with {before}, the embedder now is {now}: vectors "
                f"of two models cannot be compared. Ingest into another collection, or set the "
                f"embedder back to {before}."
            )


def _read_and_cut(
    path: Path, collection: Collection, config: IngestConfig
) -> tuple[Document, list[Chunk]]:
    document = read_pdf(path, max_bytes=config.max_bytes, max_pages=config.max_pages)
    embedder = collection.embedder
    chunks = chunk_document(
        document,
        token_spans=embedder.token_spans,
        chunk_tokens=config.chunk_tokens,
        embedder=embedder.name,
        pipeline=config.fingerprint(embedder.name),
        window=embedder.max_tokens - 2,  # the two special tokens
    )
    return document, chunks


def _parsed(document: Document, chunks: Sequence[Chunk]) -> Parsed:
    blank = tuple(page.number for page in document.pages if not page.text.strip())
    return Parsed(document.source, document.title, len(document.pages), len(chunks), blank)


def _reason(source: str, error: Exception) -> Skipped:
    if isinstance(error, DocumentError):
        return Skipped(source, error.reason, error.detail, error.advice)
    if isinstance(error, PathMissingError):
        return Skipped(source, "missing", "it is gone", "check whether it was moved")
    brief = " ".join(str(error).split())[:120]
    detail = f"reading it failed ({type(error).__name__}: {brief})"
    return Skipped(source, DocumentError.reason, detail, DocumentError.remedy)


def _no_pdf_in(folder: Path) -> Skipped:
    return Skipped(str(folder), "empty", "the folder holds no PDF", "check the path")


def _pdfs_below(folder: Path) -> list[Path]:
    """List a folder's PDFs in order; links to folders are not followed, they may be circular."""
    found: list[Path] = []
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [
            Path(root, name)
            for name in sorted(files)
            if name.lower().endswith(".pdf") and not name.startswith(".")
        ]
    return found


def _same_file(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def _still(source: str, digest: str) -> bool:
    """Tell whether a file has these bytes to this day."""
    try:
        return file_digest(Path(source)) == digest
    except DocumentError:
        return False


@contextmanager
def _space_on_disk() -> Iterator[None]:
    """Turn a full disk into a clear error, however the store words it."""
    try:
        yield
    except IngestError:
        raise
    except Exception as error:
        number = getattr(error, "errno", None)
        if number in {errno.ENOSPC, errno.EDQUOT} or "no space left" in str(error).lower():
            raise StoreFullError(
                "The disk that holds the collection is full: free some space and run the same "
                "command again. What was stored before is intact."
            ) from error
        raise
