"""Supervised tuning on TRL's SFTTrainer: learn what the assistant writes."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft.peft_model import PeftModel
from torch.nn import functional
from transformers import PreTrainedTokenizerBase
from transformers.trainer_callback import PrinterCallback
from trl.trainer.sft_config import SFTConfig as TrlConfig
from trl.trainer.sft_trainer import SFTTrainer

from finetune.config import SftConfig
from finetune.encoding import IGNORED, Encoded
from finetune.methods.common import FiniteTrainer, arguments, steps


class SftTrainer(FiniteTrainer, SFTTrainer):
    """TRL's trainer with a cheap loss on the CPU, no model cards, and nothing sent anywhere."""

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
        divisor = count if num_items_in_batch is None else num_items_in_batch
        return total / torch.as_tensor(divisor).clamp(min=1)

    def create_model_card(self, *_args: Any, **_kwargs: Any) -> None:
        """Write no card: the run's own files say what it was."""

    def _send_telemetry(self) -> None:
        """Send nothing."""


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
def held_out_loss(model: PeftModel, conversations: Sequence[Encoded], *, bf16: bool) -> float:
    """Return the mean loss over all learned tokens of the conversations."""
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    total, count = 0.0, 0
    for conversation in conversations:
        batch = {
            "input_ids": torch.tensor([conversation.input_ids], device=device),
            "labels": torch.tensor([conversation.labels], device=device),
        }
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
            loss, learned = label_loss(model, batch)
        total += loss.item()
        count += int(learned.item())
    model.train(was_training)
    return total / count


def total_steps(config: SftConfig, conversations: Sequence[Encoded]) -> int:
    """Return how many optimizer steps the settings ask for, by `max_tokens` where it is set."""
    if config.max_tokens is None:
        return steps(config, len(conversations))
    tokens = sum(len(conversation.input_ids) for conversation in conversations)
    return max(1, math.ceil(config.max_tokens / (tokens / len(conversations) * config.batch)))


def make_trainer(
    config: SftConfig,
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    conversations: Sequence[Encoded],
    folder: Path,
) -> SftTrainer:
    """Build the trainer; conversations go one at a time, so nothing is ever padded."""
    settings = TrlConfig(
        **arguments(config, folder, total=total_steps(config, conversations)),
        per_device_train_batch_size=1,
        gradient_accumulation_steps=config.batch,
        gradient_checkpointing=torch.cuda.is_available(),
        include_num_input_tokens_seen="all",
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    rows = Dataset.from_list(
        [{"input_ids": list(c.input_ids), "labels": list(c.labels)} for c in conversations]
    )
    trainer = SftTrainer(model=model, args=settings, train_dataset=rows, processing_class=tokenizer)
    trainer.remove_callback(PrinterCallback)
    for weight in model.parameters():
        if weight.requires_grad:  # TRL rounds a LoRA on 4 bits to bf16, where small steps vanish
            weight.data = weight.data.float()
    return trainer
