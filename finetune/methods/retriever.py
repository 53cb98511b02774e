"""Training a retriever: the right text nearer to its query than the others of a batch."""

import random
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from finetune.config import RetrieverConfig
from finetune.methods.bert import Batch, BertTrainer, Tokens, look_at
from finetune.methods.common import arguments, arrange
from finetune.methods.encoder import embed
from finetune.retriever_rows import Search, Searches, TextIds

RECALL_AT = (1, 5)
RANKED = 10
"""The depth of the mean reciprocal rank."""


def draw(searches: Searches, config: RetrieverConfig) -> list[Search]:
    """Return the rows of the whole run in order, each time with other negatives of their own.

    As with `arrange`, a resumed run goes on in what is drawn at once for all of it.
    """
    rows = searches.rows
    lengths = [len(searches.texts[row.positive].input_ids) for row in rows]
    rng = random.Random(config.seed)
    total = config.steps(len(rows))
    drawn = []
    for number in arrange(lengths, batch=config.batch, total=total, seed=config.seed):
        row = rows[number]
        count = min(config.hard_negatives, len(row.negatives))
        drawn.append(replace(row, negatives=tuple(rng.sample(row.negatives, count))))
    return drawn


def collate(rows: Sequence[Search], *, texts: Sequence[TextIds]) -> Batch:
    """Pad the queries, and each text of the batch once.

    `labels` are the columns of the right texts. `hidden` marks what else is right for a query and
    must not count against it, shape (queries, texts).
    """
    numbers = dict.fromkeys(row.positive for row in rows)
    numbers |= dict.fromkeys(number for row in rows for number in row.negatives)
    columns = {number: column for column, number in enumerate(numbers)}
    queries, found = _pad(rows), _pad([texts[number] for number in numbers])
    return {
        "query_input_ids": queries["input_ids"],
        "query_attention_mask": queries["attention_mask"],
        **found,
        "labels": torch.tensor([columns[row.positive] for row in rows]),
        "hidden": torch.tensor(
            [[n in row.right and n != row.positive for n in numbers] for row in rows]
        ),
    }


def _pad(rows: Sequence[Tokens]) -> Batch:
    ids = [torch.tensor(row.input_ids) for row in rows]
    return {
        "input_ids": pad_sequence(ids, batch_first=True),
        "attention_mask": pad_sequence([torch.ones_like(each) for each in ids], batch_first=True),
    }


def contrastive_loss(
    scores: torch.Tensor, labels: torch.Tensor, hidden: torch.Tensor, *, temperature: float
) -> torch.Tensor:
    """Return the mean cross-entropy of the right text among all; `scores` are cosines.

    InfoNCE with in-batch negatives (van den Oord et al. 2018; Karpukhin et al. 2020).
    """
    return functional.cross_entropy((scores / temperature).masked_fill(hidden, -torch.inf), labels)


def batch_loss(
    model: torch.nn.Module, batch: Batch, *, temperature: float, first: bool
) -> torch.Tensor:
    """Return the loss of one batch."""
    queries = embed(model, batch["query_input_ids"], batch["query_attention_mask"], first=first)
    texts = embed(model, batch["input_ids"], batch["attention_mask"], first=first)
    return contrastive_loss(
        queries @ texts.T, batch["labels"], batch["hidden"], temperature=temperature
    )


def held_out(
    model: torch.nn.Module, searches: Searches, *, config: RetrieverConfig, first: bool
) -> dict[str, float]:
    """Return the loss among all held-out texts, how often the right one is found, and its rank.

    Of a query with several right texts, the others are left out of the ranking.
    """

    def look(some: torch.nn.Module, batch: Batch) -> torch.Tensor:
        return embed(some, batch["input_ids"], batch["attention_mask"], first=first)

    texts = torch.empty(0)
    for some, vectors in look_at(model, searches.texts, look, config=config, collate=_pad):
        if not len(texts):
            texts = vectors.new_empty(len(searches.texts), vectors.shape[1])
        texts[[each.number for each in some]] = vectors
    losses, ranks = [], []
    for rows, vectors in look_at(model, searches.rows, look, config=config, collate=_pad):
        scores = vectors @ texts.T
        labels = torch.tensor([row.positive for row in rows])
        hidden = torch.zeros_like(scores, dtype=torch.bool)
        for place, row in enumerate(rows):
            hidden[place, list(row.right - {row.positive})] = True
        loss = contrastive_loss(scores, labels, hidden, temperature=config.temperature)
        losses.append(loss * len(rows))
        own = scores.gather(1, labels[:, None])
        ranks.append(1 + (scores.masked_fill(hidden, -torch.inf) > own).sum(dim=1))
    found = torch.cat(ranks)
    reciprocal = torch.where(found <= RANKED, 1 / found, 0.0)
    return {
        "loss": (sum(losses, torch.tensor(0.0)) / len(searches.rows)).item(),
        **{f"recall_{depth}": (found <= depth).float().mean().item() for depth in RECALL_AT},
        f"mrr_{RANKED}": reciprocal.mean().item(),
    }


class RetrieverTrainer(BertTrainer):
    """A trainer that counts the tokens of queries and texts, those that are not padding."""

    def training_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Take one batch's gradient."""
        self.state.num_input_tokens_seen += sum(
            int(mask.sum()) for name, mask in inputs.items() if name.endswith("attention_mask")
        )
        return super().training_step(model, inputs, *args, **kwargs)


def make_retriever_trainer(
    config: RetrieverConfig,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    searches: Searches,
    folder: Path,
    *,
    first: bool,
) -> RetrieverTrainer:
    """Build the trainer, which takes the rows in the order in which they are drawn."""
    rows = draw(searches, config)
    trainer = RetrieverTrainer(
        partial(batch_loss, temperature=config.temperature, first=first),
        model=model,
        args=TrainingArguments(
            **arguments(config, folder, total=len(rows) // config.batch),
            per_device_train_batch_size=config.batch,
            train_sampling_strategy="sequential",
            remove_unused_columns=False,
        ),
        train_dataset=rows,
        data_collator=partial(collate, texts=searches.texts),
        processing_class=tokenizer,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer
