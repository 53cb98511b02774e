"""Trainer: what those of every method have in common, on transformers' own."""

import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer

from finetune.config import RunConfig
from finetune.telling import diverged

POOL = 40
"""Batches among which rows of like length are put together."""


class FiniteTrainer(Trainer):
    """Transformers' trainer, stopped by the first loss that is no number."""

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Take one batch's gradient; raise DivergedError where its loss is no number."""
        loss: torch.Tensor = super().training_step(*args, **kwargs)
        if not torch.isfinite(loss):
            raise diverged(self.state.global_step + 1, "loss", loss.item())
        return loss


def steps(config: RunConfig, rows: int) -> int:
    """Return how many optimizer steps the settings ask for."""
    return config.max_steps or max(1, math.ceil(rows * config.epochs / config.batch))


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
        "bf16": config.bf16,
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
