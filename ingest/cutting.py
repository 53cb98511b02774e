"""Cutting: a document that was read becomes chunks, or the reason why it does not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ingest.chunking import chunk_document
from ingest.config import IngestConfig
from ingest.documents import Chunk, Document
from ingest.embedding import Embedder
from ingest.errors import DocumentError, NoTextError
from ingest.plan import Step

_SPECIAL = 2  # tokens that an embedder adds of its own


@dataclass(frozen=True)
class Cut:
    """A file that was read and cut; `vectors` are those that are known already, by text."""

    step: Step
    document: Document
    chunks: Sequence[Chunk]
    vectors: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def ids(self) -> set[str]:
        """Give the ids of its chunks."""
        return {chunk.id for chunk in self.chunks}

    @property
    def names(self) -> set[str]:
        """Give the names under which the store may have chunks: its own and a former one."""
        before = self.step.before
        return {self.step.record.source} | ({before.source} if before else set())


def cut_document(
    document: Document, *, source: str, pipeline: str, embedder: Embedder, config: IngestConfig
) -> tuple[Document, list[Chunk]] | DocumentError:
    """Cut a document into chunks under its name in the store; a hostile one gives its error."""
    document = replace(document, source=source)
    try:
        chunks = chunk_document(
            document,
            token_spans=embedder.token_spans,
            chunk_tokens=config.chunk_tokens,
            embedder=embedder.name,
            pipeline=pipeline,
            window=embedder.max_tokens - _SPECIAL,
        )
    except Exception as error:  # noqa: BLE001 - one hostile file must not end the run
        brief = " ".join(str(error).split())[:120]
        return DocumentError(source, f"cutting it failed ({type(error).__name__}: {brief})")
    return (document, chunks) if chunks else NoTextError(source, "there is no word in it")
