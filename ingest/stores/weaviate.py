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
from weaviate.exceptions import (
    UnexpectedStatusCodeError,
    WeaviateInsertManyAllFailedError,
    WeaviateInvalidInputError,
)

from ingest.documents import NAMESPACE, Chunk
from ingest.errors import StoreMismatchError, StoreWriteError
from ingest.stores.base import Hit, StoredDocument, Where
from ingest.stores.generations import FIRST, POINTER, check_droppable, in_force, steady
from ingest.stores.weaviate_schema import (
    FIELDS,
    NUMBERS,
    PAGE_LABEL,
    chunk_schema,
    chunks_name,
    description,
    note_schema,
    notes_name,
    page_label,
    spread,
)
from ingest.stores.weaviate_server import Server, refusal

_BATCH = 200
_PAGE = 1000
_REACH = 10_000  # QUERY_MAXIMUM_RESULTS: so far a filtered query can be paged through
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
        self._tenant = tenant
        self._replicas = replicas
        self._insert_timeout_s = insert_timeout_s
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
        self._known: set[str] = set()
        self._unlabelled: set[str] = set()  # the classes made before pages had labels

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
        name = chunks_name(self._collection, generation)
        if self._exists(name):
            collections = self._server.client.collections
            erase: Any = partial(collections.delete, name)
            if self._tenant:
                erase = partial(collections.use(name).tenants.remove, [self._tenant])
            self._server.ask("delete", erase)
            self._known.discard(name)
        notes = [_marked(each, generation) for each in self.beside(generation).notes()]
        self._delete(self._notes, [str(_note_id(each)) for each in notes])

    def write(self, chunks: Sequence[Chunk], vectors: np.ndarray) -> None:
        """Insert or replace chunks by id; raise when the server refuses even one."""
        if not chunks:
            return
        name = self._chunks
        self._create(name)
        objects = [
            DataObject(properties=_properties(chunk), uuid=chunk.id, vector=vector.tolist())
            for chunk, vector in zip(chunks, vectors, strict=True)
        ]
        for start in range(0, len(objects), _BATCH):
            self._insert(name, objects[start : start + _BATCH])

    def delete(self, ids: Sequence[str]) -> None:
        """Remove the chunks with these ids."""
        self._delete(self._chunks, ids)

    def ids(self, sources: Sequence[str]) -> set[str]:
        """Read back the ids of all chunks of these sources."""
        name = self._chunks
        return {str(each.uuid) for source in sources for each in self._of(name, source, ["source"])}

    def rows(self, source: str) -> list[tuple[Chunk, np.ndarray]]:
        """Read the chunks of a source with their vectors."""
        return [
            (_chunk(each), np.asarray(each.vector["default"], dtype=np.float32))
            for each in self._of(self._chunks, source, FIELDS, vectors=True)
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
        if not self._exists(name):
            return []
        ask = partial(
            self._data(name).query.hybrid,
            query,
            filters=_filters(where, labelled=name not in self._unlabelled),
            return_properties=self._there(name, FIELDS),
            **how,
        )
        return list(self._server.ask("search", ask).objects)

    def documents(self) -> list[StoredDocument]:
        """List the documents, ordered by source."""
        pages: dict[tuple[str, str, str], list[int]] = {}
        for each in self._scan(self._chunks, ["document", "source", "title", "page"]):
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
        for each in self._scan(self._chunks, FIELDS):
            yield _chunk(each)

    def sample(self, limit: int) -> list[Chunk]:
        """Draw the first chunks in the order of their ids, which are as good as chance."""
        return list(islice(self.chunks(), limit))

    def count(self) -> int:
        """Count the chunks."""
        name = self._chunks
        return self._count(name, None) if self._exists(name) else 0

    def put_note(self, name: str, value: Mapping[str, Any]) -> None:
        """Keep a JSON value as one object, replaced whole."""
        self._put_note(_marked(name, self.generation), value)

    def _put_note(self, name: str, value: Mapping[str, Any]) -> None:
        self._create(self._notes)
        text = json.dumps(value, ensure_ascii=False)
        note = DataObject(properties={"name": name, "value": text}, uuid=_note_id(name))
        self._insert(self._notes, [note])

    def note(self, name: str) -> dict[str, Any] | None:
        """Read a note back, or None."""
        return steady(
            lambda: self.generation, lambda number: self._read_note(_marked(name, number))
        )

    def _read_note(self, name: str) -> dict[str, Any] | None:
        if not self._exists(self._notes):
            return None
        fetch = partial(
            self._data(self._notes).query.fetch_object_by_id,
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
        found = [each.properties["name"] for each in self._scan(self._notes, ["name"])]
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

    def _data(self, name: str) -> Any:
        collection = self._server.client.collections.use(name)
        return collection.with_tenant(self._tenant) if self._tenant else collection

    def _count(self, name: str, filters: Any) -> int:
        ask = partial(self._data(name).aggregate.over_all, filters=filters, total_count=True)
        return int(self._server.ask("count chunks", ask).total_count or 0)

    def _of(
        self, name: str, source: str, names: list[str], *, vectors: bool = False
    ) -> Iterator[Any]:
        """Give the objects of a source; a filter and the cursor exclude each other."""
        if not self._exists(name):
            return
        same = Filter.by_property("source").equal(source)
        total = self._count(name, same)
        if total > _REACH:
            scanned = self._scan(name, names, vectors=vectors)
            yield from (each for each in scanned if each.properties["source"] == source)
            return
        fetch = partial(
            self._data(name).query.fetch_objects,
            filters=same,
            limit=_PAGE,
            return_properties=self._there(name, names),
            include_vector=vectors,
        )
        for start in range(0, total, _PAGE):
            yield from self._server.ask("list chunks", partial(fetch, offset=start)).objects

    def _scan(self, name: str, names: list[str], *, vectors: bool = False) -> Iterator[Any]:
        if not self._exists(name):
            return
        fetch = partial(
            self._data(name).query.fetch_objects,
            limit=_PAGE,
            return_properties=self._there(name, names),
            include_vector=vectors,
        )
        after: uuid.UUID | None = None
        while found := self._server.ask("list chunks", partial(fetch, after=after)).objects:
            yield from found
            after = found[-1].uuid

    def _insert(self, name: str, objects: list[DataObject[Any, Any]]) -> None:
        """Insert by upsert; what is refused is tried once more, then raised with its reasons."""
        total, reasons = len(objects), {}
        for _ in range(2):
            insert = partial(_insert_many, self._data(name), objects)
            reasons = self._server.ask("write", insert, timeout_s=self._insert_timeout_s)
            if not reasons:
                return
            objects = [objects[index] for index in sorted(reasons)]
        given = list(dict.fromkeys(reasons.values()))
        first = objects[0].properties
        place = f", first {first['source']} page {first['page']}" if "source" in first else ""
        message = (
            f"Weaviate at {self._server.url} refused {len(objects)} of {total} objects{place}:"
            f" {'; '.join(given[:3])}"
        )
        raise refusal(message, " ".join(given), otherwise=StoreWriteError)

    def _delete(self, name: str, ids: Sequence[str]) -> None:
        if self._exists(name):
            for start in range(0, len(ids), _BATCH):
                self._delete_batch(name, ids[start : start + _BATCH])

    def _delete_batch(self, name: str, ids: Sequence[str]) -> None:
        # The server deletes at most QUERY_MAXIMUM_RESULTS objects a call, so until none is left.
        named = Filter.by_id().contains_any(ids)
        erase = partial(self._data(name).data.delete_many, where=named)
        while (outcome := self._server.ask("delete", erase)).matches:
            if outcome.failed or not outcome.successful:
                message = (
                    f"Weaviate at {self._server.url} could not delete {outcome.failed} of"
                    f" {outcome.matches} chunks; try again, and look at the server's log"
                )
                raise StoreWriteError(message)

    def _exists(self, name: str) -> bool:
        """Tell whether a class is there, and in it the tenant; they are looked for until found."""
        if name in self._known:
            return True
        if not self._has_class(name):
            return False
        if self._tenant:
            there = partial(self._server.client.collections.use(name).tenants.exists, self._tenant)
            if not self._server.ask("look for a tenant", there):
                return False
        self._known.add(name)
        return True

    def _has_class(self, name: str) -> bool:
        client = self._server.client
        if not self._server.ask("read its schema", partial(client.collections.exists, name)):
            return False
        config = self._server.ask("read its schema", self._data(name).config.get)
        if config.description != description(self._collection, name):
            message = (
                f"Weaviate at {self._server.url} has a collection {name} that is not agentlab's"
                f" {self._collection!r}; choose another collection name"
            )
            raise StoreMismatchError(message)
        if name != self._notes and PAGE_LABEL not in {each.name for each in config.properties}:
            self._unlabelled.add(name)
        with_tenants = config.multi_tenancy_config.enabled
        if with_tenants != bool(self._tenant):
            raise StoreMismatchError(self._tenancy(with_tenants))
        return True

    def _tenancy(self, with_tenants: bool) -> str:
        where = f"The collection {self._collection!r} of Weaviate at {self._server.url}"
        if with_tenants:
            return f"{where} is kept by tenants: name one (--tenant, or weaviate_tenant)"
        return (
            f"{where} was made without tenants and cannot take {self._tenant!r}: leave the tenant"
            " out, or choose another collection"
        )

    def _create(self, name: str) -> None:
        """Create a class that is not there; its tenant comes into being with the first write."""
        if self._exists(name) or self._has_class(name):
            self._add_labels(name)
            return
        make = partial(
            self._server.client.collections.create,
            name,
            description=description(self._collection, name),
            **(note_schema() if name == self._notes else chunk_schema(self._server.version())),
            **spread(self._tenant, self._replicas),
        )
        self._server.ask("create a collection", partial(_create_once, make))
        self._has_class(name)

    def _add_labels(self, name: str) -> None:
        """Let a class that was made before pages had labels keep them from now on."""
        if name in self._unlabelled:
            add = partial(
                self._server.client.collections.use(name).config.add_property, page_label()
            )
            self._server.ask("add a property", partial(_create_once, add))
            self._unlabelled.discard(name)

    def _there(self, name: str, names: list[str]) -> list[str]:
        """Leave out what a class does not keep: to ask for it is an error."""
        return [each for each in names if each != PAGE_LABEL or name not in self._unlabelled]


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


def _insert_many(data: Any, objects: list[DataObject[Any, Any]]) -> dict[int, str]:
    """Insert and give the reason of every object that was refused, by its index."""
    try:
        errors = data.data.insert_many(objects).errors
    except WeaviateInsertManyAllFailedError as error:
        reason = str(error.message).rpartition("errors: ")[2]
        return dict.fromkeys(range(len(objects)), reason)
    return {index: str(error.message) for index, error in errors.items()}


def _create_once(make: Any) -> None:
    """Create a collection or a property; another process may have been faster."""
    try:
        make()
    except (UnexpectedStatusCodeError, WeaviateInvalidInputError) as error:
        if "already exists" not in str(error):
            raise


def _marked(note: str, generation: int) -> str:
    """Name a note apart for each generation."""
    return note if generation == FIRST else f"g{generation}/{note}"


def _note_id(name: str) -> uuid.UUID:
    return uuid.uuid5(NAMESPACE, f"note\0{name}")
