"""Library: the collection of documents that the settings name."""

from collections.abc import Callable
from importlib import resources
from pathlib import Path

from agentlab.router import Router
from agentlab.router import base_of as router_base
from agentlab.settings import Settings
from ingest.collection import Collection
from ingest.config import StoreConfig
from ingest.embedding import Embedder
from ingest.reader import Reader, base_of
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
    """Open the store and load the embedder and the reader; whoever opens it closes it.

    `progress` hears of a model that must be fetched first.
    """
    embedder = open_embedder(settings, progress=progress)
    reader = open_reader(settings, progress=progress)
    store = open_store(store_config(settings))
    return Collection(store, embedder, alpha=settings.alpha, reader=reader)


def open_embedder(settings: Settings, *, progress: Callable[[str], None] | None = None) -> Embedder:
    """Load the embedder that the settings name."""
    folder = resolve(settings.embedder, cache=settings.models_folder, progress=progress)
    return Embedder(folder, name=settings.embedder)


def open_reader(
    settings: Settings, *, progress: Callable[[str], None] | None = None
) -> Reader | None:
    """Load the reader that comes with agentlab, or none where the settings switch it off."""
    return load_reader(reader_folder(), settings, progress=progress) if settings.reader else None


def load_reader(
    folder: Path, settings: Settings, *, progress: Callable[[str], None] | None = None
) -> Reader:
    """Load a reader and the base model that it names."""
    base = resolve(base_of(folder), cache=settings.models_folder, progress=progress)
    return Reader(folder, base)


def open_router(settings: Settings, *, progress: Callable[[str], None] | None = None) -> Router:
    """Load the router that comes with agentlab."""
    folder = router_folder()
    base = resolve(router_base(folder), cache=settings.models_folder, progress=progress)
    return Router(folder, base)


def reader_folder() -> Path:
    """Give the folder of the reader's weights."""
    return Path(str(resources.files("agentlab").joinpath("starter", "reader")))


def router_folder() -> Path:
    """Give the folder of the router's weights."""
    return Path(str(resources.files("agentlab").joinpath("starter", "router")))
