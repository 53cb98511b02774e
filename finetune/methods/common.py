"""Trainer: what those of every method have in common, on transformers' own."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from peft.peft_model import PeftModel
from transformers import Trainer, TrainingArguments

from finetune.config import RunConfig
from finetune.precision import in_bf16
from finetune.processes import company
from finetune.telling import diverged
from finetune.tune_config import TuneConfig

SHOWN = 80
SHOWN_ROWS = 4

POOL = 40
"""Batches among which rows of like length are put together."""


class FiniteTrainer(Trainer):
    """Transformers' trainer on one device, stopped by the first loss that is no number."""

    def __init__(self, **given: Any) -> None:
        args: TrainingArguments = given["args"]
        # On a machine with several GPUs a process would else take all of them, and as many times
        # the batch, in torch's DataParallel; `processes` is how several are used.
        args._n_gpu = min(args.n_gpu, 1)  # noqa: SLF001 - as Trainer itself does for split models
        super().__init__(**given)

    def training_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Take one batch's gradient; raise DivergedError where its loss is no number."""
        loss: torch.Tensor = super().training_step(model, inputs, *args, **kwargs)
        if not torch.isfinite(loss):
            step, value = self.state.global_step + 1, loss.item()
            raise diverged(step, "loss", value, batch=self._shown(inputs))
        return loss

    def _shown(self, inputs: Any) -> str:
        """Return how the batch's rows begin."""
        tokenizer: Any = self.processing_class
        rows = inputs.items() if isinstance(inputs, Mapping) else ()
        ids = next((row for name, row in rows if name.endswith("input_ids")), None)
        if tokenizer is None or ids is None:
            return ""
        texts = tokenizer.batch_decode(ids, skip_special_tokens=True)
        return ", ".join(repr(" ".join(text.split())[:SHOWN]) for text in texts[:SHOWN_ROWS])


class QuietTrainer(FiniteTrainer):
    """One of TRL's trainers on encoded rows: counts its tokens, writes no cards, sends nothing."""

    def training_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Take one batch's gradient, and count the tokens that are not padding.

        TRL's own count begins anew in a run that is resumed.
        """
        if isinstance(inputs, Mapping):  # GRPO gets bare rows, and counts its own tokens
            masks = [mask for name, mask in inputs.items() if name.endswith("attention_mask")]
            seen = sum(int(mask.sum()) for mask in masks)
            self.state.num_input_tokens_seen += seen * company().size  # about, of all processes
        return super().training_step(model, inputs, *args, **kwargs)

    def _load_from_checkpoint(
        self, resume_from_checkpoint: str, model: torch.nn.Module | None = None
    ) -> None:
        """Load the adapter that is trained.

        Transformers loads what lies in folders of the checkpoint alone, if anything does; with a
        frozen reference adapter beside it, that leaves out the one which is trained.
        """
        model = model or self.model
        if isinstance(model, PeftModel):
            model.load_adapter(resume_from_checkpoint, model.active_adapter, is_trainable=True)
        else:
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
        """Take the rows as they are."""
        return dataset

    def create_model_card(self, *_args: Any, **_kwargs: Any) -> None:
        """Write no card: the run's own files say what it was."""

    def _send_telemetry(self) -> None:
        """Send nothing."""


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


def in_order(config: TuneConfig, lengths: Sequence[int], *, total: int) -> list[int]:
    """Return the order of a run's rows; those of micro batches of one, never padded, by chance."""
    if config.micro_batch == 1:
        lengths = [1] * len(lengths)
    return arrange(lengths, batch=config.batch, total=total, seed=config.seed)


def arguments(config: RunConfig, folder: Path, *, total: int) -> dict[str, Any]:
    """Return the TrainingArguments of every method; `folder` gets the checkpoints."""
    return {
        "output_dir": str(folder),
        "max_steps": total,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": config.schedule,
        "warmup_steps": round(config.warmup_ratio * total),
        "weight_decay": config.weight_decay,
        "max_grad_norm": config.max_grad_norm,
        "bf16": in_bf16(config),
        "use_cpu": not torch.cuda.is_available(),
        "seed": config.seed,
        "data_seed": config.seed,
        "save_strategy": "steps",
        "save_steps": config.save_every,
        "save_total_limit": 2,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "disable_tqdm": True,
        "report_to": "none",
        "dataloader_pin_memory": torch.cuda.is_available(),
    }
