"""Teller: turns what the trainer does into events and lines of metrics."""

# ruff: noqa: ARG002 - the trainer hands every callback the same arguments

import math
import resource
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from finetune.errors import DivergedError
from finetune.events import Event, Progress, Saved
from finetune.processes import company
from finetune.run_folder import RunFolder

TOLD = frozenset(
    {"loss", "grad_norm", "learning_rate", "epoch", "num_tokens", "num_input_tokens_seen"}
)
"""What the trainer logs and an event tells in a field of its own, or need not tell."""


class Teller(TrainerCallback):
    """Tells each step and each checkpoint, and leads the trainer out when `stop` is set.

    `evaluate` is called after every `eval_every` steps but the last.
    """

    def __init__(
        self,
        folder: RunFolder,
        *,
        tell: Callable[[Event], None],
        stop: threading.Event,
        evaluate: Callable[[int], object],
        eval_every: int | None,
    ) -> None:
        self.folder, self.tell, self.stop = folder, tell, stop
        self.evaluate, self.eval_every = evaluate, eval_every
        self.company = company()
        self.begun = self.earlier = 0.0
        self.first_step = self.first_tokens = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Note where this session begins."""
        self.begun = time.monotonic()
        self.first_step, self.first_tokens = state.global_step, int(state.num_input_tokens_seen)
        done = self.folder.lines()
        self.earlier = done[-1]["seconds"] if done else 0.0

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Save and leave when the person asked for it."""
        if self.company.any(self.stop.is_set()):
            control.should_save = control.should_training_stop = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Tell one step."""
        if not logs or "loss" not in logs:
            return
        for name in ("loss", "grad_norm"):
            if not math.isfinite(float(logs.get(name, 0.0))):
                raise diverged(state.global_step, name, float(logs[name]))
        if self.company.leads:
            self._tell_step(state, logs)
        last = state.global_step == state.max_steps
        if self.eval_every and state.global_step % self.eval_every == 0 and not last:
            self.evaluate(state.global_step)

    def _tell_step(self, state: TrainerState, logs: dict[str, float]) -> None:
        seconds = time.monotonic() - self.begun
        tokens = int(state.num_input_tokens_seen)
        done = state.global_step - self.first_step
        event = Progress(
            step=state.global_step,
            steps=state.max_steps,
            loss=float(logs["loss"]),
            learning_rate=float(logs["learning_rate"]),
            tokens=tokens,
            tokens_per_second=(tokens - self.first_tokens) / seconds,
            seconds_left=seconds / done * (state.max_steps - state.global_step),
            memory=_peak_memory(),
            measures={name: float(logs[name]) for name in logs if name not in TOLD},
        )
        line = asdict(event) | {"seconds": round(self.earlier + seconds, 2)}
        self.folder.append(line)
        self.tell(event)

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Mark the checkpoint as whole."""
        self.company.wait()  # for what each process writes into it
        if not self.company.leads:
            return
        checkpoint = self.folder.checkpoints / f"checkpoint-{state.global_step}"
        self.folder.mark_whole(checkpoint)
        self.tell(Saved(state.global_step, checkpoint))


def diverged(step: int, what: str, value: float, *, batch: str = "") -> DivergedError:
    """Return the error that names the step, and its batch, at which training left the numbers."""
    rows = f" on {batch}" if batch else ""
    return DivergedError(
        f"The {what} became {value} at step {step}{rows}. The last checkpoint is from before it: "
        "lower learning_rate (try half) or max_grad_norm, and look at the rows of this step."
    )


def _peak_memory() -> int:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
