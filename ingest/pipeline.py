"""The pipeline: files become chunks in a collection, told step by step as events."""

import errno
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ingest.card import build_card
from ingest.chunking import chunk_document
from ingest.collection import Collection
from ingest.config import IngestConfig
from ingest.documents import KINDS, Chunk, Document, kind_of
from ingest.errors import (
    DocumentError,
    IngestError,
    NothingToIngestError,
    PathMissingError,
    StoreFullError,
)
from ingest.events import (
    Duplicate,
    Embedded,
    Event,
    Finished,
    Finishing,
    Found,
    Parsed,
    Remark,
    Report,
    Skipped,
    Unchanged,
    Written,
)
from ingest.formats import read_document
from ingest.ledger import Ledger, file_digest

__all__ = [
    "Duplicate",
    "Embedded",
    "Event",
    "Finished",
    "Finishing",
    "Found",
    "Parsed",
    "Remark",
    "Report",
    "Skipped",
    "Unchanged",
    "Written",
    "find_files",
    "ingest",
]

_NOTHING = "no file that can be read"


def ingest(
    paths: Sequence[Path], *, collection: Collection, config: IngestConfig | None = None
) -> Iterator[Event]:
    """Bring files and folders of them into a collection; a file that cannot be read is skipped.

    Each document is written whole before its older version is deleted, and what was written
    stays written: after an interruption the same call goes on where it stopped. Raises
    PathMissingError, NothingToIngestError, StoreMismatchError or StoreFullError, among other
    StoreErrors.
    """
    started = time.monotonic()
    config = config or IngestConfig()
    files, empty = find_files(paths)
    yield Found(tuple(map(str, files)))
    with _space_on_disk():
        ledger = Ledger(collection, config)
    skipped = [_nothing_in(folder) for folder in empty]
    yield from skipped
    written: dict[str, Parsed] = {}
    duplicates: list[Duplicate] = []
    remarks: list[Remark] = []
    unchanged = 0

    for path in files:
        source = str(path)
        try:
            digest = file_digest(path)
            original = ledger.holder(source, digest)
            if original is None:
                document, chunks = _read_and_cut(path, collection, config)
        except Exception as error:  # noqa: BLE001 - one hostile file must not end the run
            skipped.append(_reason(source, error))
            yield skipped[-1]
            continue
        if original is not None:
            if Path(original).resolve() == path.resolve():
                unchanged += 1
                yield Unchanged(source)
            else:
                duplicates.append(Duplicate(source, original))
                yield duplicates[-1]
            continue
        written[source] = _parsed(document, chunks)
        yield written[source]
        if document.remark:
            remarks.append(Remark(source, document.remark))
            yield remarks[-1]
        vectors = []
        for start in range(0, len(chunks), config.embed_batch):
            batch = chunks[start : start + config.embed_batch]
            vectors.append(collection.embedder.encode([chunk.embedded for chunk in batch]))
            yield Embedded(source, start + len(batch), len(chunks))
        with _space_on_disk():
            ledger.replace(document, chunks, np.concatenate(vectors))
        yield Written(source, len(chunks))

    if ledger.unfinished and collection.store.count():
        yield Finishing()
        _finish(collection, ledger)
    for lost in ledger.lost(written):
        del written[lost.source]
        skipped.append(lost)
        yield lost
    yield Finished(
        Report(
            documents=len(written),
            pages=sum(each.pages for each in written.values()),
            chunks=sum(each.chunks for each in written.values()),
            unchanged=unchanged,
            duplicates=tuple(duplicates),
            skipped=tuple(skipped),
            total_documents=len(collection.store.documents()),
            total_chunks=collection.store.count(),
            seconds=time.monotonic() - started,
            remarks=tuple(remarks),
        )
    )


def _finish(collection: Collection, ledger: Ledger) -> None:
    """Bring the indexes, the card and the calibration up to date."""
    with _space_on_disk():
        collection.store.finish()
        collection.store.put_note("card", build_card(collection.store).to_dict())
        collection.calibrate()
        ledger.finish()


def find_files(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Find the files: as given, or in folders by their suffix, hidden ones left out, each once.

    Also gives the folders that hold none. Raises PathMissingError or, where there is no file at
    all, NothingToIngestError.
    """
    found: dict[Path, Path] = {}
    empty: list[Path] = []
    for path in paths:
        if not path.exists():
            raise PathMissingError(f"{path} does not exist: check the path.")
        inside = _files_below(path) if path.is_dir() else [path]
        if not inside:
            empty.append(path)
        for each in inside:
            found.setdefault(each.resolve(), each)
    if not found:
        where = f"{_NOTHING} in {', '.join(map(str, empty))}" if empty else "no path was given"
        raise NothingToIngestError(
            f"Nothing to ingest: {where}. Give a file ({', '.join(KINDS)}), or a folder that "
            "holds some."
        )
    return list(found.values()), empty


def _read_and_cut(
    path: Path, collection: Collection, config: IngestConfig
) -> tuple[Document, list[Chunk]]:
    document = read_document(path, max_bytes=config.max_bytes, max_pages=config.max_pages)
    embedder = collection.embedder
    chunks = chunk_document(
        document,
        token_spans=embedder.token_spans,
        chunk_tokens=config.chunk_tokens,
        embedder=embedder.name,
        pipeline=config.fingerprint(embedder.name, kind=kind_of(document.source)),
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


def _nothing_in(folder: Path) -> Skipped:
    return Skipped(str(folder), "empty", _NOTHING, "check the path")


def _files_below(folder: Path) -> list[Path]:
    """List a folder's files of known kinds in order.

    Links to folders are not followed, they may be circular; nor are the files taken that a word
    processor keeps beside an open one.
    """
    found: list[Path] = []
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [
            Path(root, name)
            for name in sorted(files)
            if name.lower().endswith(tuple(KINDS)) and not name.startswith((".", "~$"))
        ]
    return found


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
