"""Keeping: documents are embedded, written, read back, and rid of what is stale of them."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from ingest.collection import Collection
from ingest.config import IngestConfig
from ingest.cutting import Cut
from ingest.documents import Chunk
from ingest.errors import StoreWriteError
from ingest.events import Embedded, Skipped, Written
from ingest.facts import FOLDER, kept_metadata
from ingest.manifest import Manifest
from ingest.plan import failed
from ingest.state import begin


class Keeper:
    """Keeps documents in a collection; `stored` counts the chunks that each source had before."""

    def __init__(
        self,
        collection: Collection,
        config: IngestConfig,
        manifest: Manifest,
        stored: Mapping[str, int],
    ) -> None:
        self._collection = collection
        self._store = collection.store
        self._config = config
        self._manifest = manifest
        self._stored = stored
        self._begun = False
        self.written: list[Cut] = []
        self.moved: list[Written] = []
        self.embedded = 0

    def keep(self, group: Sequence[Cut]) -> Iterator[Embedded | Written | Skipped]:
        """Embed, write and read back a group of documents; then delete what is stale of them."""
        paths = [cut.step.record.path for cut in group]
        self._manifest.mark(paths, "parsed")
        chunks = [chunk for cut in group for chunk in cut.chunks]
        vectors = self._known_vectors(group)
        self.embedded += sum(each not in vectors for cut in group for each in cut.vectors)
        for cut in group:
            vectors.update(cut.vectors)
        unknown = [chunk for chunk in chunks if chunk.embedded not in vectors]
        for start in range(0, len(unknown), self._config.embed_batch):
            batch = unknown[start : start + self._config.embed_batch]
            fresh = self._collection.embedder.encode([chunk.embedded for chunk in batch])
            vectors.update(zip((chunk.embedded for chunk in batch), fresh, strict=True))
            self.embedded += len(batch)
            yield from _embedded(group, vectors, {chunk.source for chunk in batch})
        self._manifest.mark(paths, "embedded")
        refusals = self._write(group, vectors)
        self._manifest.mark(paths, "written")
        found = self._store.ids(sorted({name for cut in group for name in cut.names}))
        wanted = {chunk.id for chunk in chunks}
        lost = {cut.step.source for cut in group if not cut.ids <= found}
        stale = found - wanted
        if lost:
            kept = {name for cut in group if cut.step.source in lost for name in cut.names}
            stale -= self._store.ids(sorted(kept))
        self.delete(sorted(stale))
        for cut in group:
            if cut.step.source in lost:
                yield self._lose(cut, len(cut.ids & found), refusals.get(cut.step.source))
            else:
                yield self._verify(cut)

    def _known_vectors(self, group: Sequence[Cut]) -> dict[str, np.ndarray]:
        """Look up the vectors that the store has for these very texts."""
        name = self._collection.embedder.name
        return {
            chunk.embedded: vector
            for cut in group
            for source in cut.names
            if source in self._stored
            for chunk, vector in self._store.rows(source)
            if chunk.embedder == name
        }

    def _write(self, group: Sequence[Cut], vectors: dict[str, np.ndarray]) -> dict[str, str]:
        """Write a group; where the store refuses some of it, document by document."""
        self._begin()
        refusals: dict[str, str] = {}
        try:
            self._write_chunks([chunk for cut in group for chunk in cut.chunks], vectors)
        except StoreWriteError:
            for cut in group:
                try:
                    self._write_chunks(cut.chunks, vectors)
                except StoreWriteError as error:
                    refusals[cut.step.source] = str(error)
        return refusals

    def _write_chunks(self, chunks: Sequence[Chunk], vectors: dict[str, np.ndarray]) -> None:
        self._store.write(chunks, np.stack([vectors[chunk.embedded] for chunk in chunks]))

    def _verify(self, cut: Cut) -> Written:
        """Note that a document is whole in the store, and nothing else of it is."""
        record, before = cut.step.record, cut.step.before
        verified = replace(
            record,
            state="verified",
            sha256=cut.document.id,
            held=cut.document.id,
            chunks=len(cut.ids),
            pages=len(cut.document.pages),
            title=cut.document.title,
            generation=(before or record).generation + 1,
            same_as="",
            reason="",
            detail="",
            remedy="",
            attempts=0,
            at=time.time(),
            facts=json.dumps(kept_metadata(_facts(cut)), ensure_ascii=False),
        )
        self._manifest.save([verified])
        if before and before.path != record.path:
            self._manifest.remove([before.path])
            self.moved.append(Written(cut.step.source, len(cut.chunks), before.source))
            return self.moved[-1]
        self.written.append(cut)
        return Written(cut.step.source, len(cut.chunks))

    def _lose(self, cut: Cut, kept: int, refusal: str | None) -> Skipped:
        detail = refusal or f"the store kept {kept} of its {len(cut.ids)} chunks"
        skipped = Skipped(cut.step.source, "not_stored", detail, "run the same command again")
        record = cut.step.record
        self._manifest.save([failed(record, skipped, "failed", self._config)])
        if record.held not in {"", cut.document.id}:
            # Half of the new version beside the old one would contradict it.
            self.delete(sorted(cut.ids))
        return skipped

    def delete(self, ids: Sequence[str]) -> None:
        """Delete chunks."""
        if ids:
            self._begin()
            self._store.delete(ids)

    def _begin(self) -> None:
        """Note, before the first change, that card and calibration will lag behind."""
        if not self._begun:
            begin(self._collection)
            self._begun = True


def _facts(cut: Cut) -> dict[str, str]:
    """Give what a file says of itself, and first where it lies."""
    return {FOLDER: cut.step.folder} | {
        key: value for key, value in cut.document.metadata.items() if key.strip().lower() != FOLDER
    }


def _embedded(
    group: Sequence[Cut], vectors: dict[str, np.ndarray], touched: set[str]
) -> Iterator[Embedded]:
    for cut in group:
        if cut.document.source in touched:
            done = sum(chunk.embedded in vectors for chunk in cut.chunks)
            yield Embedded(cut.step.source, done, len(cut.chunks))
