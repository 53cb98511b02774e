"""Stores: one protocol, kept by LanceDB in a folder or by a Weaviate server."""

from ingest.config import StoreConfig
from ingest.stores.base import Hit, Store, StoredDocument, Where

__all__ = ["Hit", "Store", "StoredDocument", "Where", "open_store"]


def open_store(config: StoreConfig) -> Store:
    """Open the store that the settings name; the caller closes it."""
    if config.kind == "weaviate":
        from ingest.stores.weaviate import WeaviateStore

        return WeaviateStore(
            config.url or "",
            collection=config.collection,
            api_key=config.api_key,
            timeout_s=config.timeout_s,
            init_timeout_s=config.init_timeout_s,
            insert_timeout_s=config.insert_timeout_s,
            grpc=config.grpc,
            tenant=config.tenant,
            replicas=config.replicas,
            folder=config.folder,
            binaries=config.binaries,
        )
    from ingest.stores.embedded import LanceStore

    assert config.folder is not None  # noqa: S101 - StoreConfig has checked it
    return LanceStore(config.folder, collection=config.collection)
