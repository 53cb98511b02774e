"""Re-ranking: the best passages of a search are compared with the question once more, closely."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ingest.embedding import Embedder
from ingest.errors import RerankerError
from ingest.placing import placed, without_bar
from ingest.sentences import sentence_spans
from ingest.stores.base import Hit

RERANKED = 30
_WINDOW, _STEP = 3, 2  # sentences
_LATE_WEIGHT = 0.5
_CROSS_WEIGHT = 0.8
_MOST_TOKENS = 512
_BATCH = 16


class Reranker(Protocol):
    """What puts hits into a better order."""

    def rerank(self, query: str, hits: Sequence[Hit]) -> list[Hit]:
        """Give the hits in their new order, with new scores in 0..1."""


class LateReranker:
    """Compares the question with windows of a few sentences of each passage, by the embedder.

    A passage's vector blends all that it says; a window's shows whether one place answers.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    def rerank(self, query: str, hits: Sequence[Hit]) -> list[Hit]:
        """Order hits by the best window's likeness and, by the same weight, by their score."""
        windows = [(place, text) for place, hit in enumerate(hits) for text in _windows(hit)]
        if not windows:
            return list(hits)
        vectors = self._embedder.encode([query, *(text for _, text in windows)])
        likeness = vectors[1:] @ vectors[0]
        best = np.full(len(hits), -1.0)
        np.maximum.at(best, [place for place, _ in windows], likeness)
        return _ordered(hits, best, _LATE_WEIGHT, "its best sentences")


class CrossEncoder:
    """A model that reads question and passage together, such as `cross-encoder/ms-marco-MiniLM-L6`.

    Raises RerankerError where the folder holds no model that gives one score to two texts.
    """

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        try:
            with without_bar():
                model = AutoModelForSequenceClassification.from_pretrained(folder)
                self._tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        except (OSError, ValueError) as error:
            brief = " ".join(str(error).split())[:150]
            raise RerankerError(
                f"{folder} holds no cross-encoder that transformers can load ({brief}): name "
                'one in the setting rerank, or set rerank = "late" or "off".'
            ) from error
        if model.config.num_labels != 1:
            raise RerankerError(
                f"{folder} tells {model.config.num_labels} classes apart, where a cross-encoder "
                'gives one score: name another model, or set rerank = "late" or "off".'
            )
        self._model = placed(model.eval())

    def rerank(self, query: str, hits: Sequence[Hit]) -> list[Hit]:
        """Order hits by the model's score, with a say for the search's own."""
        import torch

        texts = [hit.chunk.embedded for hit in hits]
        scores: list[float] = []
        for start in range(0, len(texts), _BATCH):
            batch = texts[start : start + _BATCH]
            inputs = self._tokenizer(
                [query] * len(batch),
                batch,
                padding=True,
                truncation="only_second",
                max_length=_MOST_TOKENS,
                return_tensors="pt",
            ).to(self._model.device)
            with torch.inference_mode():
                scores += self._model(**inputs).logits[:, 0].float().tolist()
        return _ordered(hits, np.array(scores), _CROSS_WEIGHT, "the re-ranker")


def _windows(hit: Hit) -> list[str]:
    """Cut a passage into overlapping windows of sentences, each under the passage's header."""
    text, spans = hit.chunk.text, sentence_spans(hit.chunk.text)
    starts = range(0, max(1, len(spans) - _WINDOW + _STEP), _STEP)
    cut = [text[spans[n][0] : spans[min(n + _WINDOW, len(spans)) - 1][1]] for n in starts if spans]
    return [f"{hit.chunk.header}\n{each}" for each in cut]


def _ordered(hits: Sequence[Hit], scores: np.ndarray, weight: float, by: str) -> list[Hit]:
    """Scale both scores to 0..1 and weigh them; say of each hit how it stood before."""
    if not len(hits):
        return []
    mixed = weight * _scaled(scores) + (1 - weight) * _scaled(np.array([x.score for x in hits]))
    order = np.argsort(-mixed, kind="stable")
    return [
        replace(
            hits[place],
            score=round(float(mixed[place]), 6),
            why=(*hits[place].why, f"{by}: {scores[place]:.2f}, was place {place + 1}"),
        )
        for place in order
    ]


def _scaled(scores: np.ndarray) -> np.ndarray:
    span = float(scores.max() - scores.min())
    scaled: np.ndarray = (scores - scores.min()) / span if span > 0 else np.ones(len(scores))
    return scaled
