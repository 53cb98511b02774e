"""Library: the collection of documents that the settings name."""

import os
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Literal

from agentlab.model import starter_base
from agentlab.router import IntentRouter, Router
from agentlab.router import base_of as router_base
from agentlab.settings import Settings
from ingest.collection import Collection, made_by
from ingest.config import StoreConfig
from ingest.embedding import Embedder
from ingest.likelihood import QueryLikelihood
from ingest.reader import Reader, base_of
from ingest.reranking import CrossEncoder, LateReranker, Reranker
from ingest.stores import Store, open_store
from serve.models import folder_name, new_folder, resolve

Backend = Literal["torch", "onnx", "openai"]
# The reader, its thresholds and the exam were measured on vectors in fp32. Once they are measured
# again, "onnx" here makes int8 the default, and its extra a dependency.
AUTO_BACKEND: Backend = "torch"
ENDPOINT = "openai:"


def store_config(settings: Settings) -> StoreConfig:
    """Name the store and its place."""
    return StoreConfig(
        kind=settings.store,
        collection=settings.collection,
        folder=settings.store_folder,
        url=settings.weaviate_url,
        api_key=settings.weaviate_api_key,
        timeout_s=settings.weaviate_query_s,
        init_timeout_s=settings.weaviate_init_s,
        insert_timeout_s=settings.weaviate_insert_s,
        grpc=settings.weaviate_grpc,
        tenant=settings.weaviate_tenant,
        replicas=settings.weaviate_replicas,
        binaries=settings.weaviate_binaries,
    )


def open_collection(
    settings: Settings,
    *,
    progress: Callable[[str], None] | None = None,
    keep_vectors: bool = False,
) -> Collection:
    """Open the store and load the embedder and the reader; whoever opens it closes it.

    What is stored is searched by the embedder that it was made by, whatever the settings name, and
    by its successor from the moment that it is embedded anew. `progress` hears of a model that must
    be fetched first. An ingest has its vectors kept, so that what it embeds again costs nothing; a
    question is hardly asked twice.
    """
    open_one = open_keeping_embedder if keep_vectors else open_embedder

    def open_named(name: str) -> Embedder:
        return open_one(with_embedder(settings, name), progress=progress)

    store = open_store(store_config(settings))
    embedder = open_named(made_by(store) or embedder_name(settings))
    reader = open_reader(settings, progress=progress)
    rater = open_rater(settings, progress=progress)
    return Collection(
        store,
        embedder,
        alpha=settings.alpha,
        reader=reader,
        rater=rater,
        two_step=settings.two_step,
        reranker=open_reranker(settings, embedder, progress=progress),
        parents=settings.parents,
        reopen=open_named,
    )


def open_embedder(settings: Settings, *, progress: Callable[[str], None] | None = None) -> Embedder:
    """Open the embedder that the settings name, on their backend."""
    backend = embedder_backend(settings)
    if backend == "openai":
        from ingest.embedding.endpoint import EndpointEmbedder

        url, key = settings.embedder_endpoint
        return EndpointEmbedder(model=settings.embedder, base_url=url, api_key=key)
    folder = resolve(settings.embedder, cache=settings.models_folder, progress=progress)
    if backend == "onnx":
        from ingest.embedding.onnx import OnnxEmbedder

        exported = _exported(folder, settings, progress)
        return OnnxEmbedder(exported, name=settings.embedder, threads=_threads())
    from ingest.embedding.pytorch import TorchEmbedder

    return TorchEmbedder(folder, name=settings.embedder)


def open_keeping_embedder(
    settings: Settings, *, progress: Callable[[str], None] | None = None
) -> Embedder:
    """Open the embedder of an ingest: its vectors are kept, unless the settings say no."""
    embedder = open_embedder(settings, progress=progress)
    return _cached(embedder, settings) if settings.embedding_cache_mb else embedder


def embedder_name(settings: Settings) -> str:
    """Tell the name of the embedder, which need not be opened for it.

    A folder goes by its whole path: what it embeds is searched from other folders, too.
    """
    if embedder_backend(settings) == "openai":
        return f"{ENDPOINT}{settings.embedder}"
    folder = Path(settings.embedder).expanduser()
    return str(folder.absolute()) if folder.is_dir() else settings.embedder


def embedder_name_in(store: Store, settings: Settings) -> str:
    """Tell the name of the embedder as a library knows it.

    One that was made when folders went by their paths as they were written goes on under that name.
    """
    name, made = embedder_name(settings), made_by(store)
    if made and embedder_name(with_embedder(settings, made)) == name:
        return made
    return name


def with_embedder(settings: Settings, name: str) -> Settings:
    """Give the settings under which the embedder of that name is opened."""
    model = name.removeprefix(ENDPOINT)
    backend = settings.embedder_backend
    if model != name:
        backend = "openai"
    elif backend == "openai":
        backend = "auto"
    return settings.model_copy(update={"embedder": model, "embedder_backend": backend})


def embedder_backend(settings: Settings) -> Backend:
    """Tell which backend embeds."""
    return AUTO_BACKEND if settings.embedder_backend == "auto" else settings.embedder_backend


def _exported(
    folder: Path, settings: Settings, progress: Callable[[str], None] | None = None
) -> Path:
    """Give the int8 form of a model, made once for its weights and kept beside the models."""
    from ingest.embedding.folder import fingerprint
    from ingest.embedding.onnx import VERSION

    key = f"{folder_name(folder.name)}-{fingerprint(folder)}-int8-{VERSION}"
    final = settings.models_folder / "onnx" / key
    if final.is_dir():
        return final
    from ingest.embedding.export import export

    with new_folder(final) as partial:
        if partial:
            if progress:
                progress(f"exporting {settings.embedder} to int8, once: about a minute")
            export(folder, partial, threads=_threads())
    return final


def _cached(embedder: Embedder, settings: Settings) -> Embedder:
    """Keep the vectors in the home folder, apart for each model, its weights and its backend."""
    from ingest.embedding.cache import CachedEmbedder, DiskVectors
    from ingest.embedding.folder import fingerprint

    backend = embedder_backend(settings)
    if backend == "openai":
        made_by = settings.embedder_endpoint[0] or "OpenAI"
    else:
        made_by = fingerprint(resolve(settings.embedder, cache=settings.models_folder))
    vectors = DiskVectors(
        settings.embeddings_path, limit_bytes=settings.embedding_cache_mb * 1024 * 1024
    )
    space = f"{backend} {settings.embedder} {made_by} {embedder.max_tokens} unit"
    return CachedEmbedder(embedder, vectors, space=space)


def _threads() -> int:
    """Give the number of threads that torch would take, or 0 for every core."""
    number = os.environ.get("OMP_NUM_THREADS", "")
    return int(number) if number.isdecimal() else 0


def open_reader(
    settings: Settings, *, progress: Callable[[str], None] | None = None
) -> Reader | None:
    """Load the reader that comes with agentlab, or none where the settings switch it off."""
    return load_reader(reader_folder(), settings, progress=progress) if settings.reader else None


def open_rater(
    settings: Settings, *, progress: Callable[[str], None] | None = None
) -> QueryLikelihood | None:
    """Load the language model that weighs the reader's sentences, or none where it is off."""
    if not (settings.reader and settings.likelihood):
        return None
    return QueryLikelihood(starter_base(settings, progress=progress))


def open_reranker(
    settings: Settings, embedder: Embedder, *, progress: Callable[[str], None] | None = None
) -> Reranker | None:
    """Open what orders the found passages anew, or nothing where it is off."""
    if settings.rerank == "off":
        return None
    if settings.rerank == "late":
        return LateReranker(embedder)
    folder = resolve(settings.rerank, cache=settings.models_folder, progress=progress)
    return CrossEncoder(folder)


def load_reader(
    folder: Path, settings: Settings, *, progress: Callable[[str], None] | None = None
) -> Reader:
    """Load a reader and the base model that it names."""
    base = resolve(base_of(folder), cache=settings.models_folder, progress=progress)
    return Reader(folder, base)


def open_router(
    settings: Settings, *, progress: Callable[[str], None] | None = None
) -> IntentRouter:
    """Load the router that comes with agentlab, and the one for the intents of talk."""
    kinds, intents = (
        Router(
            folder, resolve(router_base(folder), cache=settings.models_folder, progress=progress)
        )
        for folder in (router_folder(), intents_folder())
    )
    return IntentRouter(kinds, intents)


def reader_folder() -> Path:
    """Give the folder of the reader's weights."""
    return Path(str(resources.files("agentlab").joinpath("starter", "reader")))


def router_folder() -> Path:
    """Give the folder of the router's weights."""
    return Path(str(resources.files("agentlab").joinpath("starter", "router")))


def intents_folder() -> Path:
    """Give the folder of the weights that tell the intents of talk."""
    return Path(str(resources.files("agentlab").joinpath("starter", "intents")))
