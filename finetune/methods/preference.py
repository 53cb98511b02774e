"""Preference: what the methods on prompts and completions share, their encoding and their trainer.

TRL would tokenise the rows itself, by way of Arrow, which fills the arguments of tool calls with
nulls; so they are tokenised here, by the run's own chat template, and its preparation is skipped.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import datasets
import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerBase, Trainer

from finetune.completed import Completed, Tools, complete
from finetune.data.rows import Said
from finetune.encoding import require_template
from finetune.errors import ExampleError
from finetune.methods.common import arguments, in_order
from finetune.methods.method import Method, Rows
from finetune.tune_config import TuneConfig

Settings = TypeVar("Settings", bound=TuneConfig)


class Preference(Method[Settings]):
    """A method on prompts and completions that are rendered by the run's own chat template."""

    loss_is = "loss"

    def __init__(self, config: Settings, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__(config, tokenizer)
        self.template: str = require_template(config.chat_template, tokenizer)

    def complete(self, prompt: Said, completion: Said, tools: Tools) -> Completed:
        """Encode a prompt with a completion."""
        return complete(prompt, completion, tools, tokenizer=self.tokenizer, template=self.template)

    def rows_within(self, rows: Sequence[tuple[str, dict[str, Any], Sequence[Completed]]]) -> Rows:
        """Keep the rows of which each completion, with its prompt, fits into `max_length` tokens.

        A row comes as its place, what the trainer gets, and what was encoded.
        """
        longest = self.config.max_length
        kept = [row for row in rows if max(map(len, row[2])) <= longest]
        if not kept:
            raise ExampleError(
                f"All {len(rows)} {self.rows_are} are longer than max_length={longest} tokens. "
                "Raise max_length or shorten them."
            )
        return Rows(
            items=[fields for _, fields, _ in kept],
            tokens=sum(len(each) for _, _, encoded in kept for each in encoded),
            learned=sum(len(each.completion_ids) for _, _, encoded in kept for each in encoded),
            left_out=tuple(row[0] for row in rows if max(map(len, row[2])) > longest),
        )

    def arguments(self, folder: Path, *, total: int) -> dict[str, Any]:
        """Return what TRL's configuration of every such trainer is told."""
        config = self.config
        return {
            **arguments(config, folder, total=total),
            "per_device_train_batch_size": config.micro_batch,
            "per_device_eval_batch_size": config.micro_batch,
            "gradient_accumulation_steps": config.accumulation,
            "train_sampling_strategy": "sequential",
            "gradient_checkpointing": torch.cuda.is_available(),
            "max_length": config.max_length,
        }

    def laid_out(self, rows: Rows, *, total: int) -> Dataset:
        """Lay out the pairs of `total` steps, those of like length together."""
        lengths = [
            sum(len(ids) for name, ids in row.items() if name.endswith("_ids"))
            for row in rows.items
        ]
        order = in_order(self.config, lengths, total=total)
        return Dataset.from_list(list(rows.items)).select(order)

    def measure(self, trainer: Trainer, held_out: Rows) -> Mapping[str, float]:
        """Return the held-out loss and rewards, as the trainer itself takes them."""
        with quiet_datasets():
            seen = trainer.evaluate(eval_dataset=Dataset.from_list(list(held_out.items)))
        return {
            name.removeprefix("eval_"): float(value)
            for name, value in seen.items()
            if name == "eval_loss" or name.startswith("eval_rewards/")
        }


@contextmanager
def quiet_datasets() -> Iterator[None]:
    """Let TRL work on the rows without bars of its own: a run tells its events instead."""
    shown = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()
