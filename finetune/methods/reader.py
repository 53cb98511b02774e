"""Training a reader on transformers' Trainer: the answer's first and last token, or none."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from transformers import (
    AutoConfig,
    BertForQuestionAnswering,
    PreTrainedTokenizerBase,
    TrainingArguments,
)
from transformers.trainer_callback import PrinterCallback
from transformers.utils import logging

from finetune.base_model import no_bars
from finetune.config import ReaderConfig
from finetune.errors import ModelError
from finetune.methods.common import FiniteTrainer, arguments, steps
from finetune.reader_rows import EncodedRow

POOL = 40
"""Batches among which rows of like length are put together."""

Batch = dict[str, torch.Tensor]


@contextmanager
def _without_report() -> Iterator[None]:
    """Load without transformers' report that the head is new and the pooler unused: they are."""
    shown = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with no_bars():
            yield
    finally:
        logging.set_verbosity(shown)


def load_reader(config: ReaderConfig, folder: Path) -> BertForQuestionAnswering:
    """Put an untrained head on the base model, and freeze its embeddings."""
    try:
        kind = AutoConfig.from_pretrained(folder, local_files_only=True)
        if kind.model_type != "bert":
            raise ModelError(
                f"{folder} is a {kind.model_type} model; a reader is made from BERT models such as "
                "all-MiniLM-L6-v2."
            )
        if config.max_length > kind.max_position_embeddings:
            raise ModelError(
                f"max_length={config.max_length}, but {folder} reads at most "
                f"{kind.max_position_embeddings} tokens. Lower max_length."
            )
        with _without_report():
            model = BertForQuestionAnswering.from_pretrained(
                folder,
                dtype=torch.float32,
                hidden_dropout_prob=config.dropout,
                attention_probs_dropout_prob=config.dropout,
                local_files_only=True,
            )
    except OSError as error:
        raise ModelError(f"{folder} holds no model that loads: {error}. Fetch it again.") from error
    model.bert.embeddings.requires_grad_(requires_grad=False)
    return model


def arrange(lengths: Sequence[int], *, batch: int, total: int, seed: int) -> list[int]:
    """Return which row stands where in `total` batches, rows of like length in one batch.

    The whole run's order is laid down at once, epoch after epoch, so that a resumed run goes on in
    it exactly; the Trainer's own grouping draws each epoch anew and forgets where it was.
    """
    rng = random.Random(seed)
    stream: list[int] = []
    while len(stream) < batch * total:
        stream += rng.sample(range(len(lengths)), len(lengths))
    stream = stream[: batch * total]
    order: list[int] = []
    for start in range(0, len(stream), batch * POOL):
        pool = sorted(stream[start : start + batch * POOL], key=lengths.__getitem__)
        batches = [pool[at : at + batch] for at in range(0, len(pool), batch)]
        rng.shuffle(batches)
        order += [row for rows in batches for row in rows]
    return order


def collate(rows: Sequence[EncodedRow]) -> Batch:
    """Pad the rows to the longest of them."""
    longest = max(len(row.input_ids) for row in rows)
    batch = {
        name: torch.zeros(len(rows), longest, dtype=torch.long)
        for name in ("input_ids", "token_type_ids", "attention_mask")
    }
    for number, row in enumerate(rows):
        length = len(row.input_ids)
        batch["input_ids"][number, :length] = torch.tensor(row.input_ids)
        batch["token_type_ids"][number, :length] = torch.tensor(row.token_type_ids)
        batch["attention_mask"][number, :length] = 1
    batch["start_positions"] = torch.tensor([row.start for row in rows])
    batch["end_positions"] = torch.tensor([row.end for row in rows])
    return batch


def span_loss(model: torch.nn.Module, batch: Batch) -> torch.Tensor:
    """Return the mean cross-entropy of the first and the last token, averaged.

    Only the passage can answer; the first token stands for "no answer".
    """
    names = ("input_ids", "token_type_ids", "attention_mask")
    outputs = model(**{name: batch[name] for name in names})
    possible = (batch["token_type_ids"] == 1) & (batch["attention_mask"] == 1)
    possible[:, 0] = True
    losses = [
        functional.cross_entropy(logits.float().masked_fill(~possible, -1e4), batch[gold])
        for logits, gold in (
            (outputs.start_logits, "start_positions"),
            (outputs.end_logits, "end_positions"),
        )
    ]
    return (losses[0] + losses[1]) / 2


@torch.no_grad()
def held_out_loss(
    model: torch.nn.Module, rows: Sequence[EncodedRow], *, config: ReaderConfig
) -> float:
    """Return the mean loss over the rows."""
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    total = 0.0
    ordered = sorted(rows, key=lambda row: len(row.input_ids))
    for start in range(0, len(ordered), config.batch):
        some = ordered[start : start + config.batch]
        batch = {name: value.to(device) for name, value in collate(some).items()}
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=config.bf16):
            total += span_loss(model, batch).item() * len(some)
    model.train(was_training)
    return total / len(rows)


class ReaderTrainer(FiniteTrainer):
    """A trainer with the loss of a reader."""

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,  # noqa: ARG002
        num_items_in_batch: torch.Tensor | int | None = None,  # noqa: ARG002
    ) -> Any:
        """Return the batch's loss."""
        return span_loss(model, inputs)


def make_reader_trainer(
    config: ReaderConfig,
    model: BertForQuestionAnswering,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[EncodedRow],
    folder: Path,
) -> ReaderTrainer:
    """Build the trainer, which pads rows of like length to the longest of a batch."""
    total = steps(config, len(rows))
    lengths = [len(row.input_ids) for row in rows]
    order = arrange(lengths, batch=config.batch, total=total, seed=config.seed)
    trainer = ReaderTrainer(
        model=model,
        args=TrainingArguments(
            **arguments(config, folder, total=total),
            per_device_train_batch_size=config.batch,
            train_sampling_strategy="sequential",
            include_num_input_tokens_seen="non_padding",
            remove_unused_columns=False,
        ),
        train_dataset=[rows[number] for number in order],
        data_collator=collate,
        processing_class=tokenizer,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer
