"""Texts: passages put into a collection as they are, each a page of its own."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agentlab.starter.questions import Article
from ingest.collection import Collection
from ingest.documents import Chunk, chunk_id
from ingest.embedding import Embedder
from ingest.replies import AnswerReader
from ingest.stores.embedded import LanceStore
from ingest.tuning import EVEN


@dataclass(frozen=True)
class Text:
    """A passage to put into a collection."""

    title: str
    heading: str
    page: int
    text: str


def article_texts(articles: Iterable[Article]) -> list[Text]:
    """Give the passages of articles, each as the page of its number."""
    return [
        Text(article.title, "", number, passage)
        for article in articles
        for number, passage in enumerate(article.passages, start=1)
    ]


def collection_of(
    texts: Sequence[Text], folder: Path, embedder: Embedder, reader: AnswerReader | None = None
) -> Collection:
    """Put texts into a new collection in a folder; whoever opens it closes it."""
    store = LanceStore(folder, collection="texts")
    return fill(Collection(store, embedder, alpha=EVEN, reader=reader), texts)


def fill(collection: Collection, texts: Sequence[Text]) -> Collection:
    """Put texts into an open collection."""
    embedder = collection.embedder
    chunks = [_chunk(text, embedder.name) for text in texts]
    collection.store.write(chunks, embedder.encode([chunk.embedded for chunk in chunks]))
    collection.store.finish()
    return collection


def _chunk(text: Text, embedder: str) -> Chunk:
    key = chunk_id(text.title, text.title, text.page, 0, len(text.text), "conversations")
    return Chunk(
        id=key, text=text.text, document=text.title, source=f"{text.title}.pdf",
        title=text.title, page=text.page, start=0, end=len(text.text),
        heading=text.heading, embedder=embedder,
    )  # fmt: skip
