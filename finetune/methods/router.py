"""Training a router on transformers' Trainer: a head that classifies on a mostly frozen encoder."""

import random
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence
from transformers import BertForSequenceClassification, PreTrainedTokenizerBase

from finetune.config import RouterConfig
from finetune.errors import ModelError
from finetune.methods.bert import Batch, BertTrainer, load_bert, look_at, make_bert_trainer
from finetune.methods.common import arrange
from finetune.router_rows import EncodedText


def load_router(
    config: RouterConfig, folder: Path, *, labels: int
) -> BertForSequenceClassification:
    """Put an untrained head on the base model; freeze all but the last layers and the pooler."""
    model = load_bert(
        BertForSequenceClassification,
        folder,
        what="router",
        max_length=config.max_length,
        num_labels=labels,
    )
    layers = model.bert.encoder.layer
    if config.layers > len(layers):
        raise ModelError(
            f"layers={config.layers}, but {folder} has {len(layers)} layers. Lower layers."
        )
    model.bert.embeddings.requires_grad_(requires_grad=False)
    layers[: len(layers) - config.layers].requires_grad_(requires_grad=False)
    return model


def draw(rows: Sequence[EncodedText], config: RouterConfig, *, total: int) -> list[EncodedText]:
    """Return the texts of `total` batches, each time anew as they are or as if typed in haste.

    As with `arrange`, a resumed run goes on in what is drawn at once for all of it.
    """
    lengths = [len(row.input_ids) for row in rows]
    rng = random.Random(config.seed)
    return [
        rows[number].lower() if rng.random() < config.lower_share else rows[number]
        for number in arrange(lengths, batch=config.batch, total=total, seed=config.seed)
    ]


def collate(rows: Sequence[EncodedText]) -> Batch:
    """Pad the texts to the longest of them."""
    ids = [torch.tensor(row.input_ids) for row in rows]
    return {
        "input_ids": pad_sequence(ids, batch_first=True),
        "attention_mask": pad_sequence([torch.ones_like(each) for each in ids], batch_first=True),
        "labels": torch.tensor([row.label for row in rows]),
    }


def class_weights(rows: Sequence[EncodedText], *, labels: int) -> torch.Tensor:
    """Return for each label how much a row of it counts, so that all labels count alike."""
    counts = torch.bincount(torch.tensor([row.label for row in rows]), minlength=labels)
    return len(rows) / (labels * counts)


def logits_of(model: torch.nn.Module, batch: Batch) -> torch.Tensor:
    """Return what the model makes of each text, a number for each label."""
    outputs = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    logits: torch.Tensor = outputs.logits.float()
    return logits


def weighed_loss(
    model: torch.nn.Module, batch: Batch, *, weights: torch.Tensor, smoothing: float
) -> torch.Tensor:
    """Return the mean of the texts' smoothed cross-entropies, each times its label's weight.

    PyTorch's own weights would divide by those of the batch, where texts of like length, and thus
    often of one label, stand together.
    """
    gold = batch["labels"]
    losses = functional.cross_entropy(
        logits_of(model, batch), gold, reduction="none", label_smoothing=smoothing
    )
    return (losses * weights.to(losses.device)[gold]).mean()


def held_out(
    model: torch.nn.Module,
    rows: Sequence[EncodedText],
    *,
    labels: Sequence[str],
    config: RouterConfig,
) -> tuple[float, dict[str, tuple[int, int]]]:
    """Return the plain mean cross-entropy, and of each label how many texts are right, and are."""
    seen = look_at(model, rows, logits_of, config=config, collate=collate)
    gold = torch.tensor([row.label for some, _ in seen for row in some])
    logits = torch.cat([each for _, each in seen])
    right = logits.argmax(dim=-1) == gold
    found = {
        label: (int(right[gold == number].sum()), int((gold == number).sum()))
        for number, label in enumerate(labels)
    }
    return functional.cross_entropy(logits, gold).item(), found


def make_router_trainer(
    config: RouterConfig,
    model: BertForSequenceClassification,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[EncodedText],
    folder: Path,
    *,
    labels: int,
) -> BertTrainer:
    """Build the trainer, which pads texts of like length to the longest of a batch."""
    weights = class_weights(rows, labels=labels)
    return make_bert_trainer(
        config,
        model,
        tokenizer,
        draw(rows, config, total=config.steps(len(rows))),
        folder,
        loss=partial(weighed_loss, weights=weights, smoothing=config.label_smoothing),
        collate=collate,
    )
