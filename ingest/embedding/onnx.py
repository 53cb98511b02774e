"""The ONNX backend: a model that `ingest.embedding.export` made, run in int8 by onnxruntime."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ingest.embedding.errors import MissingPartError

VERSION = 2  # of what `export` makes
MODEL, ABOUT, TOKENIZER = "model.onnx", "export.json", "tokenizer.json"
NOT_INSTALLED = (
    "The ONNX backend is not installed ({error}): pip install 'agentlab-rag[onnx]', or set "
    "embedder_backend to torch."
)
# One or two passages: what a layer works on then stays in a core's cache.
_BATCH_TOKENS = 256


class OnnxEmbedder:
    """Vectors of an exported model; a text's vector does not depend on what it is batched with."""

    def __init__(self, folder: Path, *, name: str, threads: int = 0) -> None:
        """Open the folder of an export; `threads` batches run at once, 0 stands for every core."""
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingPartError(NOT_INSTALLED.format(error=error)) from error
        from tokenizers import Tokenizer

        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        self.name = name
        self.dimension: int = about["dimension"]
        self.max_tokens: int = about["max_tokens"]
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._reads = Tokenizer.from_file(str(folder / TOKENIZER))
        self._reads.no_padding()
        self._reads.enable_truncation(self.max_tokens)
        options = onnxruntime.SessionOptions()
        # A batch a core: threads that share one wait for each other at every product.
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(folder / MODEL), options, providers=["CPUExecutionProvider"]
        )
        self._pool = ThreadPoolExecutor(threads or os.cpu_count() or 1, "embedding")

    def encode(
        self, texts: Sequence[str], progress: Callable[[int], None] | None = None
    ) -> np.ndarray:
        """Embed texts, float32 of shape (texts, dimension); `progress` gets each batch's size."""
        tokens = [each.ids for each in self._reads.encode_batch(list(texts))]
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        groups = list(batches([len(ids) for ids in tokens], _BATCH_TOKENS))
        given = ([tokens[row] for row in rows] for rows in groups)
        for rows, embedded in zip(groups, self._pool.map(self._embed, given), strict=True):
            vectors[rows] = embedded
            if progress:
                progress(len(rows))
        return vectors

    def _embed(self, tokens: Sequence[Sequence[int]]) -> np.ndarray:
        """Run the model on one batch, rows of ids of which the last is the longest."""
        ids = np.zeros((len(tokens), len(tokens[-1])), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, known in enumerate(tokens):
            ids[row, : len(known)] = known
            mask[row, : len(known)] = 1
        given = {"input_ids": ids, "attention_mask": mask}
        embedded: np.ndarray = self._session.run(None, given)[0]
        return embedded

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        """Give the character span of each token of the text, special tokens left out."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).offsets)

    def count_tokens(self, text: str) -> int:
        """Count the tokens of a text, special tokens left out."""
        return len(self.token_spans(text))


def batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Group rows of like length, shortest first, each group within the budget when padded.

    A row that is longer than the budget comes alone.
    """
    group: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda index: lengths[index]):
        if group and (len(group) + 1) * lengths[row] > budget:
            yield group
            group = []
        group.append(row)
    if group:
        yield group
