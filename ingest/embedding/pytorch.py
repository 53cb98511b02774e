"""The torch backend: a sentence-transformers folder run with transformers, in fp32."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ingest.embedding.folder import longest_of, pooling_of
from ingest.placing import without_bar


class TorchEmbedder:
    """Pooled, normalised vectors of a sentence-transformers model.

    The three steps of all-MiniLM-L6-v2 (encode, mean over the mask, scale to length one) are done
    here: sentence-transformers would bring scikit-learn and scipy for them.
    """

    def __init__(self, folder: Path, *, name: str, batch_size: int = 32) -> None:
        import torch
        from transformers import AutoTokenizer

        self.name = name
        self._torch = torch
        self._batch_size = batch_size
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._model = pooled_model(folder)
        if torch.cuda.is_available():
            self._model = self._model.to("cuda")
        config = self._model.encoder.config
        self.dimension: int = config.hidden_size
        self.max_tokens: int = longest_of(config.max_position_embeddings)

    def encode(
        self, texts: Sequence[str], progress: Callable[[int], None] | None = None
    ) -> np.ndarray:
        """Embed texts, float32 of shape (texts, dimension); `progress` gets each batch's size.

        Batches hold texts of like length, so that little is spent on padding.
        """
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        for start in range(0, len(order), self._batch_size):
            rows = order[start : start + self._batch_size]
            vectors[rows] = self._encode_batch([texts[row] for row in rows])
            if progress:
                progress(len(rows))
        return vectors

    def _encode_batch(self, texts: list[str]) -> np.ndarray:
        batch = self._tokenizer(
            texts, padding=True, truncation=True, max_length=self.max_tokens, return_tensors="pt"
        ).to(self._model.encoder.device)
        with self._torch.inference_mode():
            unit = self._model(batch["input_ids"], batch["attention_mask"])
        result: np.ndarray = unit.cpu().numpy()
        return result

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        """Give the character span of each token of the text, special tokens left out."""
        encoded = self._tokenizer(
            text, return_offsets_mapping=True, add_special_tokens=False, verbose=False
        )
        return [(start, end) for start, end in encoded["offset_mapping"]]

    def count_tokens(self, text: str) -> int:
        """Count the tokens of a text, special tokens left out."""
        return len(self.token_spans(text))


def pooled_model(folder: Path, **options: Any) -> Any:
    """Load a model in fp32 that gives one vector of length one for each row of tokens."""
    import torch
    from transformers import AutoModel

    first = pooling_of(folder) == "first"

    class Pooled(torch.nn.Module):
        """The encoder with its pooling; a module, so that it can be exported whole."""

        def __init__(self, encoder: Any) -> None:
            super().__init__()
            self.encoder = encoder

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            """Give the vectors."""
            hidden = self.encoder(
                input_ids=input_ids, attention_mask=attention_mask
            ).last_hidden_state
            mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
            mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
            return torch.nn.functional.normalize(hidden[:, 0] if first else mean, dim=1)

    with without_bar():
        return Pooled(AutoModel.from_pretrained(folder, dtype=torch.float32, **options)).eval()
