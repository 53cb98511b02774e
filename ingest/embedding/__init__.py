"""Embedders: texts become normalised vectors, by one of three backends behind one interface.

    from ingest.embedding.pytorch import TorchEmbedder

    embedder = TorchEmbedder(Path("all-MiniLM-L6-v2"), name="all-MiniLM-L6-v2")
    vectors = embedder.encode(["How many days of leave do I get?"])

`pytorch` runs a model's folder as it is, in fp32. `onnx` runs what `export` made of that folder,
in int8. `endpoint` asks a server. `cache` keeps vectors, so that no text is embedded twice.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

__all__ = ["Embedder"]


class Embedder(Protocol):
    """What turns texts into vectors, and counts tokens as it reads them.

    Collections of equal `name` can be searched with each other's vectors.
    """

    @property
    def name(self) -> str:
        """Name the vectors, in a store's metadata and in the pipeline's fingerprint."""

    @property
    def dimension(self) -> int:
        """Tell how many numbers a vector has."""

    @property
    def max_tokens(self) -> int:
        """Tell how many tokens of a text are read, special ones included; the rest is cut off."""

    def encode(
        self, texts: Sequence[str], progress: Callable[[int], None] | None = None
    ) -> np.ndarray:
        """Embed texts, float32 of shape (texts, dimension); `progress` gets each batch's size."""

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        """Give the character span of each token of the text, special tokens left out."""

    def count_tokens(self, text: str) -> int:
        """Count the tokens of a text, special tokens left out."""
