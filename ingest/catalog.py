"""The catalog: the documents of a collection, as its manifest and its store know them."""

import difflib
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingest.collection import Collection
from ingest.documents import kind_of
from ingest.errors import UnknownDocumentError
from ingest.events import Waiting
from ingest.folders import place_of
from ingest.lock import Lock
from ingest.manifest import Manifest, Record, manifest_path
from ingest.state import begin, check_embedder, finish, survey
from ingest.stores.base import Store, StoredDocument

SHORTEST_ID = 4


@dataclass(frozen=True)
class Entry:
    """A document: its record, with the title, pages and chunks that the store has of it."""

    record: Record
    title: str
    pages: int
    chunks: int

    @property
    def kind(self) -> str:
        """Give the kind of its file."""
        return kind_of(self.record.path)

    @property
    def id(self) -> str:
        """Give the sha256 of what is stored, else of what was tried."""
        return self.record.held or self.record.sha256

    def to_dict(self) -> dict[str, Any]:
        """Give the entry as JSON values."""
        record = self.record
        return {
            "id": self.id,
            "title": self.title,
            "kind": self.kind,
            "pages": self.pages,
            "chunks": self.chunks,
            "state": record.state,
            "path": record.path,
            "source": record.source,
            "same_as": record.same_as,
            "size": record.size,
            "when": record.at,
            "generation": record.generation,
            "pipeline": record.pipeline,
            "reason": record.reason,
            "detail": record.detail,
            "remedy": record.remedy,
            "attempts": record.attempts,
        }


def list_documents(store: Store) -> list[Entry]:
    """List all files that are known, those that failed among them, by path."""
    stored, records = survey(store)
    by_source: dict[str, list[StoredDocument]] = {}
    for document in stored:
        by_source.setdefault(document.source, []).append(document)
    entries = []
    for record in records.values():
        there = by_source.get(record.source, [])
        title = record.title or next((each.title for each in there), "") or Path(record.path).name
        pages = max((each.pages for each in there), default=0)
        entries.append(Entry(record, title, pages, sum(each.chunks for each in there)))
    return sorted(entries, key=lambda each: each.record.path)


def find_document(entries: Sequence[Entry], name: str) -> Entry:
    """Find one document by its path, title, file name, or the first letters of its id."""
    place = place_of(name)
    ways = (
        lambda each: each.record.path == place or each.record.source == name,
        lambda each: each.title.casefold() == name.casefold(),
        lambda each: Path(each.record.path).name.casefold() == name.casefold(),
        lambda each: Path(each.record.path).stem.casefold() == name.casefold(),
        lambda each: len(name) >= SHORTEST_ID and each.id.startswith(name.lower()),
    )
    for way in ways:
        found = [each for each in entries if way(each)]
        if len(found) == 1:
            return found[0]
        if found:
            paths = ", ".join(each.record.path for each in found[:5])
            raise UnknownDocumentError(
                f"{name!r} names {len(found)} documents ({paths}): give one by its path."
            )
    titles = [each.title for each in entries]
    close = difflib.get_close_matches(name, titles, n=1, cutoff=0.5)
    hint = f"Did you mean {close[0]!r}?" if close else "`agentlab docs list` shows all of them."
    raise UnknownDocumentError(f"There is no document {name!r} in the library. {hint}")


def remove_document(
    entry: Entry, *, collection: Collection, wait: bool = True
) -> Iterator[Waiting]:
    """Remove a document from the collection and its manifest; tells when it must wait.

    Raises StoreMismatchError where the collection was made by another embedder, which must measure
    what is left.
    """
    store = collection.store
    with Lock(store.place) as lock:
        if not lock.take():
            if not wait:
                raise lock.refuse()
            yield Waiting(lock.holder())
            lock.wait()
        check_embedder(collection, survey(store)[0])
        begin(collection)
        store.delete(sorted(store.ids([entry.record.source])))
        with closing(Manifest(manifest_path(store.place))) as manifest:
            manifest.remove([entry.record.path])
        finish(collection)
