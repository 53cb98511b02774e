"""Run: training in a thread of its own, which tells events and can be stopped and continued."""

import queue
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from transformers import Trainer, TrainerCallback

from finetune.base_model import no_bars
from finetune.config import RunConfig
from finetune.errors import (
    MissingPackageError,
    ModelError,
    OutOfMemoryError,
    StoppedError,
)
from finetune.events import Event, Finished
from finetune.hardware import usable_cores
from finetune.processes import company
from finetune.run_folder import RunFolder, held, step_of
from finetune.telling import Teller


class Run(ABC):
    """One run in its thread: load, train, save."""

    def __init__(self, config: RunConfig, base: Path | None, *, resume: bool) -> None:
        self.base, self.resume = base or Path(config.model), resume
        self.threads, self.eval_every = config.threads, config.eval_every
        self.tensorboard = config.tensorboard
        self.folder = RunFolder(config.out)
        self.events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self.stop = threading.Event()
        self.finished = False
        self.error: BaseException | None = None

    @abstractmethod
    def carry_out(self) -> None:
        """Load, train and save; put each event on the queue, and `finish` at the end."""

    def work(self) -> None:
        """Do the run, keep what went wrong, and end the queue with None."""
        try:
            share = max(1, usable_cores() // company().size)
            # torch would take all cores of the machine, in each of several processes
            torch.set_num_threads(self.threads or min(torch.get_num_threads(), share))
            self._check_base()
            self.carry_out()
        except torch.OutOfMemoryError as error:
            self.error = OutOfMemoryError(self.what_takes_less(str(error).split(". ")[0]))
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that iterates
            self.error = error
        finally:
            self.events.put(None)

    def _check_base(self) -> None:
        if not (self.base / "config.json").is_file():
            raise ModelError(f"{self.base} is no model folder (no config.json). Fetch the model.")

    def drive(
        self, trainer: Trainer, checkpoint: Path | None, evaluate: Callable[[int], object]
    ) -> bool:
        """Train from the checkpoint on; return whether the last step was reached."""
        trainer.add_callback(
            Teller(
                self.folder,
                tell=self.events.put,
                stop=self.stop,
                evaluate=evaluate,
                eval_every=self.eval_every,
            )
        )
        if self.tensorboard and company().leads:
            trainer.add_callback(_board(self.folder.path / "tensorboard"))
        if company().any(self.stop.is_set()):
            return False
        if checkpoint and step_of(checkpoint) >= trainer.args.max_steps:
            # All steps are done and only the end is missing; `train` would take one more.
            trainer._load_from_checkpoint(str(checkpoint))  # noqa: SLF001 - what train does first
            return True
        with no_bars():  # of the checkpoints
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        return trainer.state.global_step >= trainer.args.max_steps

    def finish(self, metrics: Mapping[str, Any]) -> None:
        """Write the final metrics, and tell that the run is done."""
        self.folder.finish(metrics)
        self.finished = True
        self.events.put(Finished(self.folder.path, metrics))

    def what_takes_less(self, what: str) -> str:
        """Say which settings would take less memory."""
        return f"{what}. Lower `batch` or `max_length`."

    def how_to_go_on(self) -> str:
        """Say what a stopped run left behind."""
        checkpoint = self.folder.last_checkpoint()
        if checkpoint is None:
            return f"Stopped before the first checkpoint. Run it into {self.folder.path} again."
        return (
            f"Stopped after step {step_of(checkpoint)}; the checkpoint is {checkpoint}. "
            "The same command with resume goes on from there."
        )


def _board(folder: Path) -> TrainerCallback:
    """Return transformers' writer of TensorBoard's files."""
    try:
        from torch.utils.tensorboard import SummaryWriter
        from transformers.integrations.integration_utils import TensorBoardCallback
    except ImportError as error:
        raise MissingPackageError("tensorboard=true needs it: pip install tensorboard.") from error
    board: TrainerCallback = TensorBoardCallback(SummaryWriter(str(folder)))
    return board


def events_of(run: Run) -> Iterator[Event]:
    """Start the run and yield what happens; no other process trains into its folder meanwhile.

    Closing the iterator saves a checkpoint first, and so does Ctrl-C, which ends in a StoppedError.
    """
    if not company().leads:  # the first process holds the lock for all of them
        yield from _threaded(run)
        return
    with held(run.folder.path):
        try:
            yield from _threaded(run)
        except BaseException:
            run.folder.forget_unbegun()
            raise


def _threaded(run: Run) -> Iterator[Event]:
    """Run in a thread of its own, so that the trainer's callbacks become an iterator."""
    worker = threading.Thread(target=run.work, name="training", daemon=True)
    with _first_ctrl_c_sets(run.stop):
        worker.start()
        try:
            while (item := run.events.get()) is not None:
                yield item
        except KeyboardInterrupt:  # the second one: the last checkpoint has to do
            raise
        except BaseException:
            run.stop.set()
            worker.join()
            raise
    worker.join()
    if run.error:
        raise run.error
    if not run.finished:
        raise StoppedError(run.how_to_go_on())


@contextmanager
def _first_ctrl_c_sets(stop: threading.Event) -> Iterator[None]:
    """Let Ctrl-C ask for the end, wherever the reader of the events is; a second one is harsh."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def leave(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        stop.set()

    signal.signal(signal.SIGINT, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def summary(lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Sum up the lines of a run."""
    tenth = max(1, len(lines) // 10)
    last = lines[-1]
    summed = {
        "steps": last["step"],
        "tokens": last["tokens"],
        "seconds": last["seconds"],
        "tokens_per_second": round(last["tokens"] / last["seconds"], 1),
        "first_loss": lines[0]["loss"],
        "last_loss": sum(line["loss"] for line in lines[-tenth:]) / tenth,
        "memory": max(line["memory"] for line in lines),
    }
    if measures := lines[0].get("measures"):
        summed["first_measures"] = measures
        summed["last_measures"] = {
            name: sum(line["measures"].get(name, 0.0) for line in lines[-tenth:]) / tenth
            for name in measures
        }
    return summed
