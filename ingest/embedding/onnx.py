"""The ONNX backend: a model that `ingest.embedding.export` made, run in int8 by onnxruntime."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from ingest.embedding.errors import MissingPartError

VERSION = 1  # of what `export` makes
MODEL, ABOUT, TOKENIZER = "model.onnx", "export.json", "tokenizer.json"
NOT_INSTALLED = (
    "The ONNX backend is not installed ({error}): pip install 'agentlab-rag[onnx]', or set "
    "embedder_backend to torch."
)
# Two to four passages: what a layer works on then stays in a core's cache.
_BATCH_TOKENS = 512


class OnnxEmbedder:
    """Vectors of an exported model; a text's vector does not depend on what it is batched with."""

    def __init__(self, folder: Path, *, name: str, threads: int = 0) -> None:
        """Open the folder of an export; `threads` of 0 takes every core."""
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
        options.intra_op_num_threads = threads
        # A thread that spins while it waits takes the core from whatever else runs here.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            str(folder / MODEL), options, providers=["CPUExecutionProvider"]
        )

    def encode(
        self, texts: Sequence[str], progress: Callable[[int], None] | None = None
    ) -> np.ndarray:
        """Embed texts, float32 of shape (texts, dimension); `progress` gets each batch's size."""
        tokens = [each.ids for each in self._reads.encode_batch(list(texts))]
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for rows in batches([len(ids) for ids in tokens], _BATCH_TOKENS):
            longest = len(tokens[rows[-1]])
            ids = np.zeros((len(rows), longest), dtype=np.int64)
            mask = np.zeros_like(ids)
            for place, row in enumerate(rows):
                ids[place, : len(tokens[row])] = tokens[row]
                mask[place, : len(tokens[row])] = 1
            given = {"input_ids": ids, "attention_mask": mask}
            vectors[rows] = self._session.run(None, given)[0]
            if progress:
                progress(len(rows))
        return vectors

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
