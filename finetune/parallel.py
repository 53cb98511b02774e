"""Several processes on one run: each trains on a GPU of its own, Accelerate shares the batches."""

import json
import os
import pickle
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from finetune.errors import StoppedError, WorkerError
from finetune.events import Event
from finetune.rollouts import World
from finetune.tune_config import TuneConfig
from finetune.worker import WORLD, heard

LAST_LINES = 20
PATIENCE_S = 120.0
"""How long the workers may take to save and leave, once they are asked to."""
LOOK_EVERY_S = 1.0


def train_in_processes(
    config: TuneConfig, *, base: Path | None, world: World | None, resume: bool
) -> Iterator[Event]:
    """Train as the settings say in `config.processes` processes, and yield what the first tells.

    Closing the iterator and Ctrl-C save a checkpoint first, as with one process.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        described = {
            "method": config.method,
            # what was not set stays so: an earlier adapter may decide it
            "config": config.model_dump(mode="json", exclude_unset=True),
            "base": str(base) if base else None,
            "resume": resume,
        }
        (folder / "task.json").write_text(json.dumps(described), encoding="utf-8")
        (folder / WORLD).write_bytes(pickle.dumps(world))
        workers = _start(folder, config.processes)
        try:
            yield from _events(workers)
        except BaseException:
            _ask_to_stop(workers)
            raise
        finally:
            _wait(workers)
        if any(worker.returncode for worker in workers):
            raise WorkerError(
                f"A process of the run in {config.out} ended by itself. Its last words:\n"
                + "\n".join(_last_words(folder, workers))
            )


def _start(folder: Path, count: int) -> "list[subprocess.Popen[str]]":
    """Start the workers, who find each other by what torch's env:// method reads."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    workers = []
    for rank in range(count):
        place = {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(count),
            "LOCAL_WORLD_SIZE": str(count),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
        with (folder / f"log-{rank}").open("w", encoding="utf-8") as log:
            workers.append(
                subprocess.Popen(
                    [sys.executable, "-m", "finetune.worker", str(folder / "task.json")],
                    env=os.environ | place,
                    stdout=subprocess.PIPE if rank == 0 else log,
                    stderr=log,
                    text=True,
                    start_new_session=True,  # Ctrl-C is for the first alone, which tells the others
                )
            )
    return workers


def _events(workers: "list[subprocess.Popen[str]]") -> Iterator[Event]:
    """Yield what the first worker tells; after Ctrl-C, let it save, and raise what it raises."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    reader = threading.Thread(target=_read, args=(workers[0], lines), daemon=True)
    reader.start()
    while True:
        try:
            line = _next(lines, workers)
        except KeyboardInterrupt:
            _ask_to_stop(workers)
            continue
        if line is None:
            return
        item = heard(line)
        if isinstance(item, KeyboardInterrupt) and not isinstance(item, StoppedError):
            raise StoppedError("Stopped before the first step. Run the same command again.")
        if isinstance(item, BaseException):
            raise item
        if item is not None:
            yield item


def _read(first: "subprocess.Popen[str]", lines: "queue.SimpleQueue[str | None]") -> None:
    assert first.stdout is not None  # noqa: S101 - it is a pipe
    with first.stdout:
        for line in first.stdout:
            lines.put(line)
    lines.put(None)


def _next(
    lines: "queue.SimpleQueue[str | None]", workers: "list[subprocess.Popen[str]]"
) -> str | None:
    """Return the next line, or None at the end; a worker that died is the end of all of them."""
    while True:
        try:
            return lines.get(timeout=LOOK_EVERY_S)
        except queue.Empty:
            if any(worker.poll() for worker in workers[1:]):  # the first would wait for it for long
                for worker in workers:
                    worker.kill()
                return None


def _ask_to_stop(workers: "list[subprocess.Popen[str]]") -> None:
    if workers[0].poll() is None:
        workers[0].send_signal(signal.SIGINT)


def _wait(workers: "list[subprocess.Popen[str]]") -> None:
    """Wait for the workers to save and leave; who has not within the time is killed."""
    until = time.monotonic() + PATIENCE_S
    try:
        for worker in workers:
            worker.wait(max(0.1, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        pass  # killed below
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.kill()
                worker.wait()


def _last_words(folder: Path, workers: "list[subprocess.Popen[str]]") -> list[str]:
    """Return the end of the log of the worker that failed: one that was killed only followed."""
    failed = [rank for rank, worker in enumerate(workers) if worker.returncode]
    failed.sort(key=lambda rank: workers[rank].returncode == -signal.SIGKILL)
    text = (folder / f"log-{failed[0]}").read_text(encoding="utf-8", errors="replace")
    return text.splitlines()[-LAST_LINES:]
