"""BERT: what the methods on such an encoder share, its loading, its trainer and its reading."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from transformers import (
    AutoConfig,
    BertPreTrainedModel,
    PreTrainedTokenizerBase,
    TrainingArguments,
)
from transformers.trainer_callback import PrinterCallback

from finetune.base_model import without_report
from finetune.config import RunConfig
from finetune.errors import ModelError
from finetune.methods.common import FiniteTrainer, arguments
from finetune.precision import in_bf16


class Tokens(Protocol):
    """A row as token ids."""

    @property
    def input_ids(self) -> tuple[int, ...]:
        """The ids, special tokens included."""


Batch = dict[str, torch.Tensor]
Look = Callable[[torch.nn.Module, Batch], torch.Tensor]
Row = TypeVar("Row", bound=Tokens)
Bert = TypeVar("Bert", bound=BertPreTrainedModel)


def load_bert(kind: type[Bert], folder: Path, *, what: str, max_length: int, **more: Any) -> Bert:
    """Put an untrained head on the base model; `what` names in errors that which it will be."""
    try:
        base = AutoConfig.from_pretrained(folder, local_files_only=True)
        if base.model_type != "bert":
            raise ModelError(
                f"{folder} is a {base.model_type} model; a {what} is made from BERT models such as "
                "all-MiniLM-L6-v2."
            )
        if max_length > base.max_position_embeddings:
            raise ModelError(
                f"max_length={max_length}, but {folder} reads at most "
                f"{base.max_position_embeddings} tokens. Lower max_length."
            )
        with without_report():
            return kind.from_pretrained(folder, dtype=torch.float32, local_files_only=True, **more)
    except OSError as error:
        raise ModelError(f"{folder} holds no model that loads: {error}. Fetch it again.") from error


class BertTrainer(FiniteTrainer):
    """A trainer with a loss of its own."""

    def __init__(self, loss: Look, **given: Any) -> None:
        super().__init__(**given)
        self.own_loss = loss

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,  # noqa: ARG002
        num_items_in_batch: torch.Tensor | int | None = None,  # noqa: ARG002
    ) -> Any:
        """Return the batch's loss."""
        return self.own_loss(model, inputs)


def make_bert_trainer(
    config: RunConfig,
    model: BertPreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Row],
    folder: Path,
    *,
    loss: Look,
    collate: Callable[[Sequence[Row]], Batch],
) -> BertTrainer:
    """Build the trainer, which takes the rows in their order, each batch full."""
    trainer = BertTrainer(
        loss,
        model=model,
        args=TrainingArguments(
            **arguments(config, folder, total=len(rows) // config.batch),
            per_device_train_batch_size=config.batch,
            train_sampling_strategy="sequential",
            include_num_input_tokens_seen="non_padding",
            remove_unused_columns=False,
        ),
        train_dataset=rows,
        data_collator=collate,
        processing_class=tokenizer,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


@torch.no_grad()
def look_at(
    model: torch.nn.Module,
    rows: Sequence[Row],
    look: Look,
    *,
    config: RunConfig,
    collate: Callable[[Sequence[Row]], Batch],
) -> list[tuple[Sequence[Row], torch.Tensor]]:
    """Return the rows in batches, and what `look` makes of each, on the CPU and without dropout."""
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    seen: list[tuple[Sequence[Row], torch.Tensor]] = []
    ordered = sorted(rows, key=lambda row: len(row.input_ids))
    for start in range(0, len(ordered), config.batch):
        some = ordered[start : start + config.batch]
        batch = {name: value.to(device) for name, value in collate(some).items()}
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=in_bf16(config)):
            seen.append((some, look(model, batch).cpu()))
    model.train(was_training)
    return seen
