"""RunFolder: where a run keeps its settings, metrics, checkpoints and, at its end, the adapter."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from finetune.config import RunConfig
from finetune.data.files import files_in
from finetune.errors import RunBusyError, RunChangedError, RunExistsError

WHOLE = "whole.json"
QUERY_ENCODER = "query_encoder"
"""Where a rag run's result holds the tuned encoder of questions."""


@dataclass(frozen=True)
class RunFolder:
    """The files of one run below `path`."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        """Return the folder of the checkpoints, which is gone once the run is finished."""
        return self.path / "checkpoints"

    @property
    def metrics(self) -> Path:
        """Return the file of the final metrics; a run that has it is finished."""
        return self.path / "metrics.json"

    @property
    def log(self) -> Path:
        """Return the file with one line of metrics a step."""
        return self.path / "metrics.jsonl"

    def open(self, config: RunConfig, data: Mapping[str, str], *, resume: bool) -> Path | None:
        """Prepare the folder and return the checkpoint to go on from, if there is one."""
        if self.metrics.exists():
            raise RunExistsError(
                f"{self.path} holds a finished run. Give another `out`, or remove that folder."
            )
        record = {"config": config.learned(), "data": dict(data)}
        before = self.path / "run.json"
        if before.exists() and self.checkpoints.exists():
            if not resume:
                raise RunExistsError(
                    f"{self.path} holds an unfinished run. Continue it with resume, give another "
                    "`out`, or remove that folder."
                )
            _check_unchanged(json.loads(before.read_text(encoding="utf-8")), record, self.path)
        self.path.mkdir(parents=True, exist_ok=True)
        write(before, json.dumps(record, indent=2))
        write(self.path / "resolved.yaml", yaml.safe_dump(config.resolved(), sort_keys=False))
        checkpoint = self.last_checkpoint() if resume else None
        self._forget_after(checkpoint)
        return checkpoint

    def mark_whole(self, checkpoint: Path) -> None:
        """Mark a checkpoint as written to its end; one without the mark is ignored."""
        write(checkpoint / WHOLE, json.dumps({"step": step_of(checkpoint)}))

    def last_checkpoint(self) -> Path | None:
        """Return the newest checkpoint that was written to its end."""
        whole = [path for path in self._all_checkpoints() if (path / WHOLE).exists()]
        return max(whole, key=step_of, default=None)

    def finish(self, metrics: Mapping[str, Any]) -> None:
        """Write the final metrics and drop what only an unfinished run needs."""
        write(self.metrics, json.dumps(metrics, indent=2))
        shutil.rmtree(self.checkpoints, ignore_errors=True)
        (self.path / "run.json").unlink(missing_ok=True)

    def forget_unbegun(self) -> None:
        """Drop what a run wrote that took no step, so that one which was refused leaves nothing."""
        if not self._all_checkpoints() and self.log.exists() and not self.log.stat().st_size:
            shutil.rmtree(self.checkpoints, ignore_errors=True)
            for path in (self.log, self.path / "run.json", self.path / "resolved.yaml"):
                path.unlink(missing_ok=True)

    def _all_checkpoints(self) -> list[Path]:
        return [path for path in self.checkpoints.glob("checkpoint-*") if path.is_dir()]

    def _forget_after(self, checkpoint: Path | None) -> None:
        """Drop the broken checkpoints, and the lines of steps that will be done again."""
        last = step_of(checkpoint) if checkpoint else 0
        for path in self._all_checkpoints():
            if step_of(path) > last or not (path / WHOLE).exists():
                shutil.rmtree(path)
        write(self.log, "".join(f"{json.dumps(line)}\n" for line in self.lines(until=last)))

    def append(self, line: Mapping[str, Any]) -> None:
        """Add one line of metrics."""
        with self.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def lines(self, *, until: float = float("inf")) -> list[dict[str, Any]]:
        """Return the lines of metrics up to a step; a line that a kill cut off is left out."""
        if not self.log.exists():
            return []
        found = []
        for text in self.log.read_text(encoding="utf-8").splitlines():
            try:
                line = json.loads(text)
            except json.JSONDecodeError:
                continue
            if line["step"] <= until:
                found.append(line)
        return found


@contextmanager
def held(out: Path) -> Iterator[None]:
    """Hold a folder for this process, and make it where it is missing; one left empty goes again.

    Raises RunBusyError where another process has it.
    """
    made = [each for each in (out, *out.parents) if not each.exists()]
    out.mkdir(parents=True, exist_ok=True)
    lock = FileLock(out / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise RunBusyError(
            f"Another process trains into {out}. Wait for it, or give another `out`."
        ) from error
    try:
        yield
    finally:
        (out / ".lock").unlink(missing_ok=True)
        lock.release()
        with suppress(OSError):  # from the first on that is not empty, which holds something now
            for each in made:
                each.rmdir()


def step_of(checkpoint: Path) -> int:
    """Return the step at which a checkpoint was taken, from its name."""
    return int(checkpoint.name.rsplit("-", 1)[1])


def write(path: Path, content: str | bytes) -> None:
    """Write a file at once: readers and kills see the old content or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    temporary.replace(path)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def data_hashes(paths: Iterable[Path]) -> dict[str, str]:
    """Return the SHA-256 of each file of data, those of folders among them."""
    return {str(path): sha256(path) for path in files_in(paths)}


def _check_unchanged(before: dict[str, Any], now: dict[str, Any], folder: Path) -> None:
    changed = [
        f"{key} was {before['config'].get(key)!r}, now {value!r}"
        for key, value in now["config"].items()
        if before["config"].get(key) != value
    ]
    changed += [
        f"{path} has other content"
        for path in before["data"] | now["data"]
        if before["data"].get(path) != now["data"].get(path)
    ]
    if changed:
        raise RunChangedError(
            f"The run in {folder} was begun otherwise: {'; '.join(changed)}. Resume it as it was, "
            "or give another `out`."
        )
