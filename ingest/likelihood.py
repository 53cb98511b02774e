"""Query likelihood: how likely a small language model would ask a question after reading a text.

A text that answers a question makes the question likely, also where the two share no words: the
probability of its words given the text (Ponte & Croft 1998) by a language model as it is (Sachan et
al. 2022, section 2.2). It tells best which passage; which sentence, and whether any, a reader does.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ingest.placing import placed, without_bar

_LONGEST_TEXT = 160
"""Tokens of a text that are read: the last ones, for the sentence in question ends it."""
_LONGEST_QUESTION = 96


class QueryLikelihood:
    """A causal language model that rates texts by a question; safe to share between threads."""

    def __init__(self, folder: Path) -> None:
        """Load a model from its folder."""
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._torch = torch
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        with without_bar():
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        self._model = placed(model.eval())

    def rate(self, question: str, texts: Sequence[str]) -> np.ndarray:
        """Give the log-probability of the question after each text, in nats, shape (texts,)."""
        asked = self._tokens(f" {question}")[:_LONGEST_QUESTION]
        if not asked:
            return np.zeros(len(texts))
        return np.array([self._rate(asked, text) for text in texts])

    def _rate(self, asked: list[int], text: str) -> float:
        """Read one text and the question: texts padded to the longest of them take longer."""
        torch = self._torch
        row = self._tokens(f"{text}\n\nQuestion:")[-_LONGEST_TEXT:]
        ids = torch.tensor([row + asked], device=self._model.device)
        with torch.inference_mode():
            hidden = self._model.base_model(input_ids=ids, use_cache=False).last_hidden_state
            # Each token's probability stands where the one before it was read.
            read = hidden[0, len(row) - 1 : -1]
            logs = self._model.get_output_embeddings()(read).float().log_softmax(-1)
        return float(logs.gather(-1, ids[0, len(row) :, None]).sum())

    def _tokens(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])
