"""Reader: a small model that finds the answer to a question in a passage, or says there is none.

A question-answering head on the embedder's architecture scores every span of a passage and "no
answer" (Devlin et al. 2019, section 4.3). What is stored are the weights that differ from the base
model; word embeddings come from the base.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ingest.placing import placed

WEIGHTS, CONFIG = "reader.safetensors", "reader_config.json"
_LONGEST_ANSWER = 30
_BATCH = 8
_IMPOSSIBLE = -1e4
_SURE = 3.0
"""The log-odds of the best span against any beside it from which on it stands for its sentence."""


@dataclass(frozen=True)
class Calibrated:
    """How odds become a probability and a word, fitted on questions that no training saw.

    The probability that a passage answers is sigmoid(scale * score + offset), where the score is
    the best sentence's log-odds by the reader plus `likeness` times its likeness to the question: a
    near miss is as like it as an answer. Likeness counts `order` times in the order of the passages
    and `within` times in one: of neighbours, the one that repeats the question's words is often not
    the one that answers. Where a language model rates the passages too, the log-probability of the
    question counts `asked` times in their order. Below `fair` the evidence is weak.
    """

    likeness: float = 8.0
    order: float = 16.0
    within: float = 6.0
    asked: float = 0.8
    scale: float = 1.0
    offset: float = 0.0
    fair: float = 0.5
    strong: float = 0.9

    def probability(self, score: float) -> float:
        """Give the probability, 0..1, that a passage of this score answers."""
        return 1 / (1 + math.exp(-max(-60.0, min(60.0, self.scale * score + self.offset))))


@dataclass(frozen=True)
class Reply:
    """What the reader finds in one passage, for each sentence that it was asked for.

    `sentences` holds the log-odds of the sentence's best span against "no answer", and `answers`
    the bounds of that span in the passage, or those of the sentence where the reader is torn
    between two places in it: a whole sentence misleads nobody, the wrong half of it does.
    """

    sentences: tuple[float, ...]
    answers: tuple[tuple[int, int], ...]


def base_of(folder: Path) -> str:
    """Name the base model that a reader's weights belong to."""
    return str(json.loads((folder / CONFIG).read_text(encoding="utf-8"))["base"])


class Reader:
    """Reads passages for the answer to a question; safe to share between threads."""

    def __init__(self, folder: Path, base: Path) -> None:
        """Load the reader's own weights from `folder` and the rest from its `base` model."""
        import torch
        from safetensors.torch import load_file
        from transformers import AutoConfig, AutoTokenizer, BertForQuestionAnswering

        settings: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        self.calibration = Calibrated(**settings.get("calibration", {}))
        self._max_length = int(settings["max_length"])
        self._torch = torch
        self._tokenizer = AutoTokenizer.from_pretrained(base)
        model: Any = BertForQuestionAnswering(AutoConfig.from_pretrained(base))
        shared = load_file(base / "model.safetensors")
        weights = {f"bert.{name}": weight for name, weight in shared.items()}
        weights |= load_file(folder / WEIGHTS)
        model.load_state_dict({name: weights[name].float() for name in model.state_dict()})
        self._model = placed(model.eval())

    def read(
        self,
        question: str,
        titles: Sequence[str],
        passages: Sequence[str],
        sentences: Sequence[Sequence[tuple[int, int]]],
    ) -> list[Reply]:
        """Read each passage under its title; `sentences` are the spans to score in each."""
        replies: list[Reply] = []
        for first in range(0, len(passages), _BATCH):
            part = slice(first, first + _BATCH)
            replies += self._read_batch(question, titles[part], passages[part], sentences[part])
        return replies

    def _read_batch(
        self,
        question: str,
        titles: Sequence[str],
        passages: Sequence[str],
        sentences: Sequence[Sequence[tuple[int, int]]],
    ) -> list[Reply]:
        shown = [f"{title}: {text}" for title, text in zip(titles, passages, strict=True)]
        batch = self._tokenizer(
            [question] * len(shown),
            shown,
            truncation="longest_first",
            max_length=self._max_length,
            padding=True,
            return_offsets_mapping=True,
            return_tensors="pt",
        )
        offsets = batch.pop("offset_mapping").numpy()
        with self._torch.inference_mode():
            output = self._model(**batch.to(self._model.device))
        starts = output.start_logits.float().cpu().numpy()
        ends = output.end_logits.float().cpu().numpy()
        replies = []
        for row, title in enumerate(titles):
            own = np.array([part == 1 for part in batch.sequence_ids(row)])
            spans = offsets[row] - (len(title) + 2)
            tokens = np.flatnonzero(own & (spans[:, 0] >= 0))
            found = _Tokens(starts[row, tokens], ends[row, tokens], spans[tokens])
            replies.append(found.reply(sentences[row], float(starts[row, 0] + ends[row, 0])))
        return replies


@dataclass(frozen=True)
class _Tokens:
    """The tokens of a passage: what each scores as an answer's start and end, and its span."""

    starts: np.ndarray
    ends: np.ndarray
    spans: np.ndarray

    def reply(self, sentences: Sequence[tuple[int, int]], none: float) -> Reply:
        """Find the best span within each sentence; `none` is the score of "no answer"."""
        odds: list[float] = []
        answers: list[tuple[int, int]] = []
        for begin, finish in sentences:
            inside = np.flatnonzero((self.spans[:, 0] < finish) & (self.spans[:, 1] > begin))
            if not len(inside):  # cut off: the passage is longer than the reader reads
                odds.append(_IMPOSSIBLE)
                answers.append((begin, begin))
                continue
            score, margin, first, last = _best_span(self.starts[inside], self.ends[inside])
            odds.append(score - none)
            span = int(self.spans[inside[first], 0]), int(self.spans[inside[last], 1])
            answers.append(span if margin >= _SURE else (begin, finish))
        return Reply(tuple(odds), tuple(answers))


def _best_span(starts: np.ndarray, ends: np.ndarray) -> tuple[float, float, int, int]:
    """Find the best pair of start and end, in this order and not too far apart.

    Gives its score, by how much that is more than that of any pair beside it, and the pair.
    """
    places = np.arange(len(starts))
    apart = places[None, :] - places[:, None]
    pairs = starts[:, None] + ends[None, :]
    pairs = np.where((apart >= 0) & (apart < _LONGEST_ANSWER), pairs, -np.inf)
    first, last = map(int, np.unravel_index(int(np.argmax(pairs)), pairs.shape))
    best = float(pairs[first, last])
    beside = (places[None, :] < first) | (places[:, None] > last)
    return best, best - float(np.where(beside, pairs, -np.inf).max()), first, last
