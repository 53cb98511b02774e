"""The Weaviate store: chunks kept by a server, searched by its own hybrid search."""

import copy
import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from weaviate.classes.data import DataObject
from weaviate.classes.query import Filter, HybridFusion, MetadataQuery

from ingest.documents import NAMESPACE, Chunk
from ingest.stores.base import Hit, StoredDocument, Where
from ingest.stores.generations import FIRST, POINTER, check_droppable, in_force, steady
from ingest.stores.weaviate_objects import Objects
from ingest.stores.weaviate_schema import (
    FIELDS,
    NUMBERS,
    PAGE_LABEL,
    chunks_name,
    notes_name,
)
from ingest.stores.weaviate_server import Server

_KEYWORD = re.compile(r"Result Set '?keyword[^)]*\) Document \S+ original score ([-+.\de]+)")


class WeaviateStore:
    """Chunks in one Weaviate collection, notes in a second one named `<Collection>Notes`.

    `url` is like `http://localhost:8080`, or "embedded" for a server that is started here, from the
    folder `binaries` where one is named; `grpc` (or `?grpc=` in the address) is a port or
    host:port where gRPC is not at 50051. The collections come into being with the first write, on
    `replicas` nodes; with a `tenant` each holds any number of tenants, whose chunks never mix.
    `timeout_s` is the deadline of every call, the client's own repetitions included;
    `init_timeout_s` and `insert_timeout_s` are those of connecting and of writing, where they
    differ. `folder` is where this machine notes what it ingested.
    """

    name = "weaviate"

    def __init__(
        self,
        url: str,
        *,
        collection: str,
        api_key: str | None = None,
        timeout_s: float = 30.0,
        init_timeout_s: float | None = None,
        insert_timeout_s: float | None = None,
        grpc: str | None = None,
        tenant: str | None = None,
        replicas: int = 1,
        folder: Path | None = None,
        binaries: Path | None = None,
    ) -> None:
        server = sha256(url.encode()).hexdigest()[:12]
        parts = [collection, server, *([tenant] if tenant else [])]
        self.place = folder / ".".join(parts) if folder else None
        self._collection = collection
        self._pinned: int | None = None
        self._notes = notes_name(collection)
        self._server = Server(
            url,
            api_key=api_key,
            timeout_s=timeout_s,
            init_timeout_s=init_timeout_s,
            insert_timeout_s=insert_timeout_s,
            grpc=grpc,
            folder=folder,
            binaries=binaries,
        )
        self._objects = Objects(
            self._server,
            collection,
            tenant=tenant,
            replicas=replicas,
            insert_timeout_s=insert_timeout_s,
        )

    @property
    def generation(self) -> int:
        """Tell the number of the generation that is read and written; the server is asked."""
        return self._pinned or in_force(self._read_note(POINTER))

    def beside(self, generation: int) -> "WeaviateStore":
        """Give one generation of the same collection; it shares the connection."""
        other = copy.copy(self)
        other._pinned = generation  # noqa: SLF001 - one of its own kind
        return other

    def switch(self, generation: int) -> None:
        """Put another generation in force, by one object."""
        self._put_note(POINTER, {"number": generation})

    def drop(self, generation: int) -> None:
        """Delete a generation that is not in force, with its notes."""
        check_droppable(generation, self.generation)
        self._objects.drop(chunks_name(self._collection, generation))
        notes = [_marked(each, generation) for each in self.beside(generation).notes()]
        self._objects.delete(self._notes, [str(_note_id(each)) for each in notes])

    def write(self, chunks: Sequence[Chunk], vectors: np.ndarray) -> None:
        """Insert or replace chunks by id; raise when the server refuses even one."""
        if not chunks:
            return
        name = self._chunks
        self._objects.create(name)
        objects = [
            DataObject(properties=_properties(chunk), uuid=chunk.id, vector=vector.tolist())
            for chunk, vector in zip(chunks, vectors, strict=True)
        ]
        self._objects.insert(name, objects)

    def delete(self, ids: Sequence[str]) -> None:
        """Remove the chunks with these ids."""
        self._objects.delete(self._chunks, ids)

    def ids(self, sources: Sequence[str]) -> set[str]:
        """Read back the ids of all chunks of these sources."""
        name = self._chunks
        return {
            str(each.uuid)
            for source in sources
            for each in self._objects.of(name, source, ["source"])
        }

    def rows(self, source: str) -> list[tuple[Chunk, np.ndarray]]:
        """Read the chunks of a source with their vectors."""
        return [
            (_chunk(each), np.asarray(each.vector["default"], dtype=np.float32))
            for each in self._objects.of(self._chunks, source, FIELDS, vectors=True)
        ]

    def hybrid(
        self,
        query: str,
        vector: np.ndarray,
        *,
        alpha: float,
        limit: int,
        where: Where = Where(),
    ) -> list[Hit]:
        """Search by words and vector on the server, best first.

        `Hit.keyword` is what the server tells of its BM25 score, 0 where it tells nothing.
        """
        # A query without words has no BM25 arm, and the server may refuse it.
        wordless = re.search(r"\w", query) is None
        if limit < 1 or (wordless and alpha <= 0):
            return []
        search = partial(
            self._search,
            query=query,
            vector=vector.tolist(),
            alpha=1.0 if wordless else float(alpha),
            query_properties=["embedded"],
            fusion_type=HybridFusion.RELATIVE_SCORE,
            where=where,
            limit=limit,
            include_vector=True,
            return_metadata=MetadataQuery(score=True, explain_score=True),
        )
        found = steady(lambda: self.generation, search)
        share = alpha if wordless else 1.0
        return [_hit(each, vector, share) for each in found]

    def hybrid_many(
        self, queries: Sequence[str], vectors: np.ndarray, *, alpha: float, limit: int
    ) -> list[list[Hit]]:
        """Search for many queries, one after the other: the server takes no more at once."""
        return [
            self.hybrid(query, vector, alpha=alpha, limit=limit)
            for query, vector in zip(queries, vectors, strict=True)
        ]

    def _search(self, generation: int, query: str, where: Where, **how: Any) -> list[Any]:
        name = chunks_name(self._collection, generation)
        if not self._objects.exists(name):
            return []
        ask = partial(
            self._objects.data(name).query.hybrid,
            query,
            filters=_filters(where, labelled=self._objects.labelled(name)),
            return_properties=self._objects.there(name, FIELDS),
            **how,
        )
        return list(self._server.ask("search", ask).objects)

    def documents(self) -> list[StoredDocument]:
        """List the documents, ordered by source."""
        pages: dict[tuple[str, str, str], list[int]] = {}
        for each in self._objects.scan(self._chunks, ["document", "source", "title", "page"]):
            value = each.properties
            key = (value["source"], value["document"], value.get("title") or "")
            pages.setdefault(key, []).append(int(value["page"]))
        return [
            StoredDocument(
                id=document, source=source, title=title, pages=len(set(found)), chunks=len(found)
            )
            for (source, document, title), found in sorted(pages.items())
        ]

    def chunks(self) -> Iterator[Chunk]:
        """Iterate over all chunks, in pages read by cursor."""
        for each in self._objects.scan(self._chunks, FIELDS):
            yield _chunk(each)

    def sample(self, limit: int) -> list[Chunk]:
        """Draw the first chunks in the order of their ids, which are as good as chance."""
        return list(islice(self.chunks(), limit))

    def count(self) -> int:
        """Count the chunks."""
        name = self._chunks
        return self._objects.count(name) if self._objects.exists(name) else 0

    def put_note(self, name: str, value: Mapping[str, Any]) -> None:
        """Keep a JSON value as one object, replaced whole."""
        self._put_note(_marked(name, self.generation), value)

    def _put_note(self, name: str, value: Mapping[str, Any]) -> None:
        self._objects.create(self._notes)
        text = json.dumps(value, ensure_ascii=False)
        note = DataObject(properties={"name": name, "value": text}, uuid=_note_id(name))
        self._objects.insert(self._notes, [note])

    def note(self, name: str) -> dict[str, Any] | None:
        """Read a note back, or None."""
        return steady(
            lambda: self.generation, lambda number: self._read_note(_marked(name, number))
        )

    def _read_note(self, name: str) -> dict[str, Any] | None:
        if not self._objects.exists(self._notes):
            return None
        fetch = partial(
            self._objects.data(self._notes).query.fetch_object_by_id,
            _note_id(name),
            return_properties=["value"],
        )
        found = self._server.ask("read a note", fetch)
        if found is None:
            return None
        value: dict[str, Any] = json.loads(found.properties["value"])
        return value

    def notes(self) -> list[str]:
        """List the names of the notes."""
        start = _marked("", self.generation)
        found = [each.properties["name"] for each in self._objects.scan(self._notes, ["name"])]
        own = {each.removeprefix(start) for each in found if each.startswith(start)}
        return sorted(each for each in own - {POINTER} if "/" not in each)

    def finish(self) -> None:
        """Do nothing: the server indexes by itself."""

    def close(self) -> None:
        """Close the connection."""
        self._server.close()

    @property
    def _chunks(self) -> str:
        """Name the class of the generation in force."""
        return chunks_name(self._collection, self.generation)


def _properties(chunk: Chunk) -> dict[str, Any]:
    return {name: getattr(chunk, name) for name in FIELDS} | {"embedded": chunk.embedded}


def _chunk(found: Any) -> Chunk:
    value = found.properties
    known: dict[str, Any] = {
        name: int(value.get(name) or 0) if name in NUMBERS else str(value.get(name) or "")
        for name in FIELDS
    }
    return Chunk(id=str(found.uuid), **known)


def _hit(found: Any, query: np.ndarray, share: float) -> Hit:
    explained = _KEYWORD.search(found.metadata.explain_score or "")
    return Hit(
        chunk=_chunk(found),
        score=share * float(found.metadata.score or 0.0),
        cosine=_cosine(query, np.asarray(found.vector["default"], dtype=np.float32)),
        keyword=float(explained.group(1)) if explained else 0.0,
    )


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    length = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(np.dot(one, other)) / length if length else 0.0


def _filters(where: Where, *, labelled: bool) -> Any:
    parts: list[Any] = []
    if where.sources:
        parts.append(Filter.by_property("source").contains_any(list(where.sources)))
    if where.pages or where.labels:
        numbers = [int(page) for page in where.pages] or [0]  # no page has the number 0
        pages = [Filter.by_property("page").contains_any(numbers)]
        if where.labels and labelled:
            pages.append(Filter.by_property(PAGE_LABEL).contains_any(list(where.labels)))
        parts.append(Filter.any_of(pages))
    return Filter.all_of(parts) if parts else None


def _marked(note: str, generation: int) -> str:
    """Name a note apart for each generation."""
    return note if generation == FIRST else f"g{generation}/{note}"


def _note_id(name: str) -> uuid.UUID:
    return uuid.uuid5(NAMESPACE, f"note\0{name}")
