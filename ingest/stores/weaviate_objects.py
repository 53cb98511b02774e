"""Objects: what stands in the classes of one collection, read and written within deadlines.

A class is made with its first write. What the server has is looked for until it is found, and then
known.
"""

import uuid
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from weaviate.classes.data import DataObject
from weaviate.classes.query import Filter
from weaviate.exceptions import (
    UnexpectedStatusCodeError,
    WeaviateInsertManyAllFailedError,
    WeaviateInvalidInputError,
)

from ingest.errors import StoreAccessError, StoreError, StoreMismatchError, StoreWriteError
from ingest.stores.weaviate_schema import (
    PAGE_LABEL,
    chunk_schema,
    description,
    note_schema,
    notes_name,
    numbers_of,
    page_label,
    spread,
)
from ingest.stores.weaviate_server import Server, refusal

_BATCH = 200
_STREAM_FROM = (1, 36)
"""The first server that sizes the batches of a stream itself."""
_LEAST_STREAM = 500  # a stream may wait a second for its last batch to fill
_PAGE = 1000
_REACH = 10_000  # QUERY_MAXIMUM_RESULTS: so far a filtered query can be paged through


class Objects:
    """The objects of a collection's classes, with a tenant those of that tenant alone."""

    def __init__(
        self,
        server: Server,
        collection: str,
        *,
        tenant: str | None,
        replicas: int,
        insert_timeout_s: float | None,
    ) -> None:
        self._server = server
        self._collection = collection
        self._notes = notes_name(collection)
        self._tenant = tenant
        self._replicas = replicas
        self._insert_timeout_s = insert_timeout_s
        self._known: set[str] = set()
        self._unlabelled: set[str] = set()  # the classes made before pages had labels

    def labelled(self, name: str) -> bool:
        """Tell whether a class keeps the labels of pages."""
        return name not in self._unlabelled

    def drop(self, name: str) -> None:
        """Delete a class, or what the tenant has in it, where it is there."""
        if not self.exists(name):
            return
        collections = self._server.client.collections
        erase: Any = partial(collections.delete, name)
        if self._tenant:
            erase = partial(collections.use(name).tenants.remove, [self._tenant])
        self._server.ask("delete", erase)
        self._known.discard(name)

    def data(self, name: str) -> Any:
        """Give the client's handle of a class."""
        collection = self._server.client.collections.use(name)
        return collection.with_tenant(self._tenant) if self._tenant else collection

    def count(self, name: str, filters: Any = None) -> int:
        """Count the objects of a class."""
        ask = partial(self.data(name).aggregate.over_all, filters=filters, total_count=True)
        return int(self._server.ask("count chunks", ask).total_count or 0)

    def of(
        self, name: str, source: str, names: list[str], *, vectors: bool = False
    ) -> Iterator[Any]:
        """Give the objects of a source; a filter and the cursor exclude each other."""
        if not self.exists(name):
            return
        same = Filter.by_property("source").equal(source)
        total = self.count(name, same)
        if total > _REACH:
            scanned = self.scan(name, names, vectors=vectors)
            yield from (each for each in scanned if each.properties["source"] == source)
            return
        fetch = partial(
            self.data(name).query.fetch_objects,
            filters=same,
            limit=_PAGE,
            return_properties=self.there(name, names),
            include_vector=vectors,
        )
        for start in range(0, total, _PAGE):
            yield from self._server.ask("list chunks", partial(fetch, offset=start)).objects

    def scan(self, name: str, names: list[str], *, vectors: bool = False) -> Iterator[Any]:
        """Give all objects of a class, in pages read by cursor."""
        if not self.exists(name):
            return
        fetch = partial(
            self.data(name).query.fetch_objects,
            limit=_PAGE,
            return_properties=self.there(name, names),
            include_vector=vectors,
        )
        after: uuid.UUID | None = None
        while found := self._server.ask("list chunks", partial(fetch, after=after)).objects:
            yield from found
            after = found[-1].uuid

    def insert(self, name: str, objects: Sequence[DataObject[Any, Any]]) -> None:
        """Insert by upsert; what is refused is tried once more, then raised with its reasons."""
        if len(objects) >= _LEAST_STREAM and numbers_of(self._server.version()) >= _STREAM_FROM:
            objects = self._stream(name, objects)
        for start in range(0, len(objects), _BATCH):
            self._insert_batch(name, list(objects[start : start + _BATCH]))

    def _stream(
        self, name: str, objects: Sequence[DataObject[Any, Any]]
    ) -> list[DataObject[Any, Any]]:
        """Insert by one stream; give what the server has not said that it has."""
        ingest = partial(self.data(name).data.ingest, objects)
        try:
            kept = self._server.ask("write", ingest, timeout_s=self._insert_timeout_s).uuids
        except StoreAccessError:
            raise
        except StoreError:  # batches say more clearly what is wrong, if anything still is
            return list(objects)
        return [each for place, each in enumerate(objects) if place not in kept]

    def _insert_batch(self, name: str, objects: list[DataObject[Any, Any]]) -> None:
        total, reasons = len(objects), {}
        for _ in range(2):
            insert = partial(_insert_many, self.data(name), objects)
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

    def delete(self, name: str, ids: Sequence[str]) -> None:
        """Delete objects by their ids, where the class is there."""
        if self.exists(name):
            for start in range(0, len(ids), _BATCH):
                self._delete_batch(name, ids[start : start + _BATCH])

    def _delete_batch(self, name: str, ids: Sequence[str]) -> None:
        # The server deletes at most QUERY_MAXIMUM_RESULTS objects a call, so until none is left.
        named = Filter.by_id().contains_any(ids)
        erase = partial(self.data(name).data.delete_many, where=named)
        while (outcome := self._server.ask("delete", erase)).matches:
            if outcome.failed or not outcome.successful:
                message = (
                    f"Weaviate at {self._server.url} could not delete {outcome.failed} of"
                    f" {outcome.matches} chunks; try again, and look at the server's log"
                )
                raise StoreWriteError(message)

    def exists(self, name: str) -> bool:
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
        config = self._server.ask("read its schema", self.data(name).config.get)
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

    def create(self, name: str) -> None:
        """Create a class that is not there; its tenant comes into being with the first write."""
        if self.exists(name) or self._has_class(name):
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

    def there(self, name: str, names: list[str]) -> list[str]:
        """Leave out what a class does not keep: to ask for it is an error."""
        return [each for each in names if each != PAGE_LABEL or name not in self._unlabelled]


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
