"""The health of a Weaviate: its version, and whether a collection there fits the settings."""

from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from weaviate.classes.config import Vectorizers
from weaviate.collections import Collection

from ingest import collection
from ingest.config import StoreConfig
from ingest.errors import StoreMismatchError
from ingest.stores import open_store
from ingest.stores.generations import FIRST
from ingest.stores.weaviate_schema import (
    ROTATIONAL_FROM,
    chunks_name,
    description,
    numbers_of,
)
from ingest.stores.weaviate_server import Server


@dataclass(frozen=True)
class CollectionHealth:
    """What a collection on the server is like; `tenant_there` is None where no tenant is named.

    `objects` and `dimension` are those of the tenant; None where they cannot be told.
    """

    ours: bool
    self_provided: bool
    tenants: bool
    tenant_there: bool | None
    replicas: int
    objects: int | None = None
    dimension: int | None = None


@dataclass(frozen=True)
class ServerHealth:
    """What a server is like; `collection` is None where there is none of that name yet."""

    url: str
    version: str
    ready: bool
    collection: CollectionHealth | None

    @property
    def compresses(self) -> bool:
        """Tell whether new collections keep their vectors in a quarter of the memory."""
        return numbers_of(self.version) >= ROTATIONAL_FROM


def inspect_server(config: StoreConfig) -> ServerHealth:
    """Connect and look, changing nothing. Raises StoreError where the server cannot be reached."""
    server = Server(
        config.url or "",
        api_key=config.api_key,
        timeout_s=config.timeout_s,
        init_timeout_s=config.init_timeout_s,
        grpc=config.grpc,
        folder=config.folder,
        binaries=config.binaries,
    )
    try:
        ready = server.ask("tell whether it is ready", server.client.is_ready)
        found = _look(server, config) if ready else None
        return ServerHealth(server.url, server.version(), ready, found)
    finally:
        server.close()


def made_by(config: StoreConfig) -> str | None:
    """Tell by which embedder a collection was made; None where nothing says so."""
    with closing(open_store(config)) as store:
        return collection.made_by(store)


def _generation(config: StoreConfig) -> int:
    """Tell which generation is in force; of what is not ours there is one."""
    try:
        with closing(open_store(config)) as store:
            return store.generation
    except StoreMismatchError:
        return FIRST


def _look(server: Server, config: StoreConfig) -> CollectionHealth | None:
    name = chunks_name(config.collection, _generation(config))
    collections = server.client.collections
    if not server.ask("read its schema", partial(collections.exists, name)):
        return None
    found: Collection[Any, Any] = collections.use(name)
    schema = server.ask("read its schema", found.config.get)
    vectors = (schema.vector_config or {}).get("default")
    tenants = schema.multi_tenancy_config.enabled
    there = None
    if tenants and config.tenant:
        there = server.ask("look for a tenant", partial(found.tenants.exists, config.tenant))
    health = CollectionHealth(
        ours=schema.description == description(config.collection, name),
        self_provided=bool(vectors and vectors.vectorizer.vectorizer is Vectorizers.NONE),
        tenants=tenants,
        tenant_there=there,
        replicas=schema.replication_config.factor,
    )
    if tenants != bool(config.tenant) or there is False:
        return health
    data = found.with_tenant(config.tenant) if config.tenant else found
    counted = server.ask("count chunks", partial(data.aggregate.over_all, total_count=True))
    fetch = partial(data.query.fetch_objects, limit=1, include_vector=True)
    first = [each.vector.get("default") for each in server.ask("list chunks", fetch).objects]
    return replace(
        health,
        objects=int(counted.total_count or 0),
        dimension=len(first[0]) if first and first[0] else None,
    )
