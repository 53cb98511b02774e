"""Several processes on one run: each trains on a GPU of its own, Accelerate shares the batches."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from finetune.errors import StoppedError, WorkerError
from finetune.events import Event
from finetune.method_config import TuneConfig
from finetune.worker import heard

LAST_LINES = 20
PATIENCE_S = 120.0


def train_in_processes(config: TuneConfig, *, base: Path | None, resume: bool) -> Iterator[Event]:
    """Train as the settings say in `config.processes` processes, and yield what the first tells.

    Closing the iterator and Ctrl-C save a checkpoint first, as with one process.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        described = {
            "method": config.method,
            "config": config.resolved(),
            "base": str(base) if base else None,
            "resume": resume,
        }
        (folder / "task.json").write_text(json.dumps(described), encoding="utf-8")
        workers = _start(folder, config.processes)
        try:
            yield from _events(workers[0])
        finally:
            _end(workers)
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


def _events(first: "subprocess.Popen[str]") -> Iterator[Event]:
    """Yield what the first worker tells; after Ctrl-C, let it save, and raise what it raises."""
    ended = False
    while not ended:
        try:
            yield from _told(first)
            ended = True
        except StoppedError:
            raise
        except KeyboardInterrupt:
            first.send_signal(signal.SIGINT)


def _told(first: "subprocess.Popen[str]") -> Iterator[Event]:
    assert first.stdout is not None  # noqa: S101 - it is a pipe
    for line in first.stdout:
        item = heard(line)
        if isinstance(item, BaseException):
            raise item
        if item is not None:
            yield item


def _end(workers: "list[subprocess.Popen[str]]") -> None:
    """Let the workers save and leave; who does not is killed."""
    first = workers[0]
    if first.poll() is None:
        first.send_signal(signal.SIGINT)
    if first.stdout:
        first.stdout.read()
        first.stdout.close()
    for worker in workers:
        try:
            worker.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


def _last_words(folder: Path, workers: "list[subprocess.Popen[str]]") -> list[str]:
    rank = next(rank for rank, worker in enumerate(workers) if worker.returncode)
    text = (folder / f"log-{rank}").read_text(encoding="utf-8", errors="replace")
    return text.splitlines()[-LAST_LINES:]
