"""The late embedder: it is loaded when the first text is embedded, which may never be."""

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np

from ingest.embedding import Embedder


class LateEmbedder:
    """An embedder of a known name; `load` gives it when it is needed."""

    def __init__(self, name: str, load: Callable[[], Embedder]) -> None:
        self.name = name
        self._load = load

    @cached_property
    def _loaded(self) -> Embedder:
        embedder = self._load()
        if embedder.name != self.name:
            raise RuntimeError(f"The embedder {self.name} names itself {embedder.name}.")
        return embedder

    @property
    def dimension(self) -> int:
        """Tell how many numbers a vector has."""
        return self._loaded.dimension

    @property
    def max_tokens(self) -> int:
        """Tell how many tokens of a text are read."""
        return self._loaded.max_tokens

    def encode(
        self, texts: Sequence[str], progress: Callable[[int], None] | None = None
    ) -> np.ndarray:
        """Embed texts."""
        return self._loaded.encode(texts, progress)

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        """Give the character span of each token of the text."""
        return self._loaded.token_spans(text)

    def count_tokens(self, text: str) -> int:
        """Count the tokens of a text."""
        return self._loaded.count_tokens(text)
