"""Read documents, cut them into chunks with page and offsets, embed them, store and search them.

The whole way, from a folder of files to the passage that answers:

    from ingest.collection import Collection
    from ingest.config import IngestConfig, StoreConfig
    from ingest.embedding.pytorch import TorchEmbedder
    from ingest.pipeline import ingest
    from ingest.stores import open_store

    store = open_store(StoreConfig(folder=Path("library")))
    embedder = TorchEmbedder(Path("all-MiniLM-L6-v2"), name="all-MiniLM-L6-v2")
    collection = Collection(store, embedder)
    for event in ingest([Path("handbooks")], collection=collection, config=IngestConfig()):
        print(event)
    for hit in collection.search("How many days of leave do I get?"):
        print(hit.chunk.title, hit.chunk.page, hit.chunk.text)
"""

from ingest.config import IngestConfig, StoreConfig
from ingest.documents import Chunk, Document, Heading, Page
from ingest.errors import DocumentError, IngestError, StoreError

__all__ = [
    "Chunk",
    "Document",
    "DocumentError",
    "Heading",
    "IngestConfig",
    "IngestError",
    "Page",
    "StoreConfig",
    "StoreError",
]
