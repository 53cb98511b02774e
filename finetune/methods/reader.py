"""Training a reader on transformers' Trainer: the answer's first and last token, or none."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch.nn import functional
from transformers import BertForQuestionAnswering, PreTrainedTokenizerBase

from finetune.config import ReaderConfig
from finetune.methods.bert import Batch, BertTrainer, load_bert, look_at, make_bert_trainer
from finetune.methods.common import arrange
from finetune.reader_export import load_weights
from finetune.reader_rows import EncodedRow


def load_reader(config: ReaderConfig, folder: Path) -> BertForQuestionAnswering:
    """Put an untrained head on the base model, or an earlier reader; freeze its embeddings."""
    model = load_bert(
        BertForQuestionAnswering,
        folder,
        what="reader",
        max_length=config.max_length,
        hidden_dropout_prob=config.dropout,
        attention_probs_dropout_prob=config.dropout,
    )
    model.bert.embeddings.requires_grad_(requires_grad=False)
    if config.reader:
        load_weights(model, config.reader, base=config.model)
    return model


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


def held_out_loss(
    model: torch.nn.Module, rows: Sequence[EncodedRow], *, config: ReaderConfig
) -> float:
    """Return the mean loss over the rows."""
    seen = look_at(model, rows, span_loss, config=config, collate=collate)
    return sum(loss.item() * len(some) for some, loss in seen) / len(rows)


def make_reader_trainer(
    config: ReaderConfig,
    model: BertForQuestionAnswering,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[EncodedRow],
    folder: Path,
) -> BertTrainer:
    """Build the trainer, which pads rows of like length to the longest of a batch."""
    lengths = [len(row.input_ids) for row in rows]
    total = config.steps(len(rows))
    order = arrange(lengths, batch=config.batch, total=total, seed=config.seed)
    return make_bert_trainer(
        config,
        model,
        tokenizer,
        [rows[number] for number in order],
        folder,
        loss=span_loss,
        collate=collate,
    )
