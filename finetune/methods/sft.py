"""Supervised tuning on TRL's SFTTrainer: learn what the assistant writes."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch.nn import functional
from transformers import PreTrainedTokenizerBase, Trainer
from trl.trainer.sft_config import SFTConfig as TrlConfig
from trl.trainer.sft_trainer import SFTTrainer

from finetune.data.reading import read_examples
from finetune.encoding import IGNORED, Encoded, encode_all, read_template
from finetune.method_config import SftConfig
from finetune.methods.common import QuietTrainer, arguments, in_order
from finetune.methods.method import Method, Model, Rows, model_of, ready
from finetune.precision import in_bf16
from finetune.tune_config import TuneConfig


class Sft(Method[SftConfig]):
    """Loss on the assistant's tokens of conversations, and on every token of plain texts."""

    rows_are = "conversations"

    def __init__(self, config: SftConfig, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__(config, tokenizer)
        self.template: str = read_template(config.chat_template, tokenizer)

    def read(self, paths: Sequence[Path]) -> Rows:
        """Read conversations; one that is longer than `max_length` is left out whole."""
        kept, left_out = encode_all(
            read_examples(paths),
            self.tokenizer,
            self.template,
            max_length=self.config.max_length,
        )
        return rows_of(kept, left_out)

    def make_trainer(self, model: Model, rows: Rows, folder: Path) -> Trainer:
        """Build the trainer; by `max_tokens` it ends where that many were seen."""
        total = total_steps(self.config, rows)
        return make_label_trainer(
            self.config, model, self.tokenizer, rows.items, folder, total=total
        )

    def measure(self, trainer: Trainer, held_out: Rows) -> Mapping[str, float]:
        """Return the mean loss over the held-out rows' learned tokens."""
        return {"loss": held_out_loss(model_of(trainer), held_out.items, bf16=in_bf16(self.config))}


def total_steps(config: SftConfig, rows: Rows) -> int:
    """Return how many optimizer steps the settings ask for, by `max_tokens` where it is set."""
    if config.max_tokens is None:
        return config.steps(len(rows.items))
    return max(1, math.ceil(config.max_tokens / (rows.tokens / len(rows.items) * config.batch)))


def rows_of(kept: Sequence[Encoded], left_out: tuple[str, ...] = ()) -> Rows:
    """Count what is encoded."""
    return Rows(
        items=kept,
        tokens=sum(len(row.input_ids) for row in kept),
        learned=sum(row.learned for row in kept),
        left_out=left_out,
    )


class SftTrainer(QuietTrainer, SFTTrainer):
    """TRL's trainer with a cheap loss on the CPU."""

    loss_is_scaled_for_ga: bool | None = True  # type: ignore[assignment]

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Return the mean loss over the labels, projecting to the vocabulary only where one stands.

        On the CPU TRL projects every position, which for a small model with a large vocabulary
        costs more than all of its layers; on a GPU it is TRL's own kernel that skips them.
        """
        if inputs["labels"].device.type != "cpu" or return_outputs:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        total, count = label_loss(model, inputs)
        if num_items_in_batch is None:
            return total / count.clamp(min=1)
        # The count is of all processes, whose gradients are averaged and not summed.
        share = total * self.accelerator.num_processes
        return share / torch.as_tensor(num_items_in_batch).clamp(min=1)


def label_loss(model: torch.nn.Module, inputs: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the summed loss over the labelled tokens, and their number."""
    labels = inputs["labels"][:, 1:]
    learned = labels != IGNORED
    positions = learned.any(dim=0).nonzero().squeeze(-1)
    outputs = model(
        input_ids=inputs["input_ids"],
        attention_mask=inputs.get("attention_mask"),
        use_cache=False,
        logits_to_keep=positions,
    )
    total = functional.cross_entropy(
        outputs.logits.flatten(0, 1).float(),
        labels[:, positions].flatten(),
        ignore_index=IGNORED,
        reduction="sum",
    )
    return total, learned.sum()


@torch.no_grad()
def held_out_loss(model: torch.nn.Module, rows: Sequence[Encoded], *, bf16: bool) -> float:
    """Return the mean loss over all learned tokens of the rows."""
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    total, count = 0.0, 0
    for row in rows:
        batch = {
            "input_ids": torch.tensor([row.input_ids], device=device),
            "labels": torch.tensor([row.labels], device=device),
        }
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
            loss, learned = label_loss(model, batch)
        total += loss.item()
        count += int(learned.item())
    model.train(was_training)
    return total / count


def make_label_trainer(
    config: TuneConfig,
    model: Model,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Encoded],
    folder: Path,
    *,
    total: int,
) -> SftTrainer:
    """Build a trainer on labelled tokens, which takes rows of like length together."""
    settings = TrlConfig(
        **arguments(config, folder, total=total),
        per_device_train_batch_size=config.micro_batch,
        gradient_accumulation_steps=config.accumulation,
        gradient_checkpointing=torch.cuda.is_available(),
        train_sampling_strategy="sequential",
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    order = in_order(config, [len(row.input_ids) for row in rows], total=total)
    dataset = Dataset.from_list(
        [{"input_ids": list(row.input_ids), "labels": list(row.labels)} for row in rows]
    )
    trainer = SftTrainer(
        model=model, args=settings, train_dataset=dataset.select(order), processing_class=tokenizer
    )
    ready(trainer)
    return trainer
