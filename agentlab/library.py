"""Library: the collection of documents that the settings name."""

from collections.abc import Callable

from agentlab.settings import Settings
from ingest.collection import Collection
from ingest.config import StoreConfig
from ingest.embedding import Embedder
from ingest.stores import open_store
from serve.models import resolve


def store_config(settings: Settings) -> StoreConfig:
    """Name the store and its place."""
    return StoreConfig(
        kind=settings.store,
        collection=settings.collection,
        folder=settings.store_folder if settings.store == "lancedb" else None,
        url=settings.weaviate_url,
        api_key=settings.weaviate_api_key,
    )


def open_collection(
    settings: Settings, *, progress: Callable[[str], None] | None = None
) -> Collection:
    """Open the store and load the embedder; whoever opens it closes it.

    `progress` hears of a model that must be fetched first.
    """
    embedder = open_embedder(settings, progress=progress)
    return Collection(open_store(store_config(settings)), embedder, alpha=settings.alpha)


def open_embedder(settings: Settings, *, progress: Callable[[str], None] | None = None) -> Embedder:
    """Load the embedder that the settings name."""
    folder = resolve(settings.embedder, cache=settings.models_folder, progress=progress)
    return Embedder(folder, name=settings.embedder)
