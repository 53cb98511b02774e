"""Unfinished: what a curation has written so far, kept beside its results until it is done."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Self

from filelock import FileLock, Timeout

from finetune.data.writing import whole_file
from finetune.errors import RunBusyError


@dataclass
class Count:
    """How far a curation is: rows looked at and kept, and how often each reason held."""

    rows: int = 0
    kept: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    masked: dict[str, int] = field(default_factory=dict)


class Unfinished:
    """The files of a curation while it runs: rows kept, verdicts, and the kept rows' sketches.

    `mark` lays down how far all three are, so that a run that was killed goes on from there; what
    was written after the last mark is cut off. `about` names everything that decides the result: a
    run that is about something else begins anew.
    """

    def __init__(self, out: Path, report: Path, about: Mapping[str, Any]) -> None:
        self._targets = (out, report)
        self._paths = [path.with_name(f"{path.name}.partial") for path in self._targets]
        self._paths.append(out.with_name(f"{out.name}.sketches"))
        self._marked = out.with_name(f"{out.name}.progress")
        text = json.dumps(about, sort_keys=True, default=str)
        self._about = hashlib.sha256(text.encode()).hexdigest()
        self.count, sizes = self._read_mark()
        self._files: list[BinaryIO] = []
        for path, size in zip(self._paths, sizes, strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("r+b" if size else "w+b")
            file.truncate(size)
            file.seek(size)
            self._files.append(file)

    @property
    def kept(self) -> BinaryIO:
        """Return the file of the rows that are kept."""
        return self._files[0]

    @property
    def told(self) -> BinaryIO:
        """Return the file of the verdicts."""
        return self._files[1]

    @property
    def sketches(self) -> BinaryIO:
        """Return the file of the kept rows' sketches."""
        return self._files[2]

    def mark(self) -> None:
        """Lay down that all up to here is written."""
        for file in self._files:
            file.flush()
            os.fsync(file.fileno())
        sizes = [file.tell() for file in self._files]
        mark = {"about": self._about, "count": asdict(self.count), "sizes": sizes}
        with whole_file(self._marked) as marked:
            marked.write(json.dumps(mark))

    def finish(self) -> None:
        """Let the rows and the verdicts take their places."""
        for file in self._files:
            file.flush()
            os.fsync(file.fileno())
            file.close()
        for path, target in zip(self._paths, self._targets, strict=False):
            path.replace(target)
        self.forget()

    def forget(self) -> None:
        """Remove what is left."""
        for path in (*self._paths, self._marked):
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Leave the files to a later run where there is a mark, else remove them."""
        for file in self._files:
            file.close()
        if not self._marked.exists():
            self.forget()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read_mark(self) -> tuple[Count, Sequence[int]]:
        """Read the last mark, if it is about the same and the files are as long as it says."""
        try:
            mark = json.loads(self._marked.read_text(encoding="utf-8"))
            sizes = [path.stat().st_size for path in self._paths]
        except (FileNotFoundError, ValueError):
            mark, sizes = {}, []
        whole = all(size >= said for size, said in zip(sizes, mark.get("sizes", ()), strict=False))
        if mark.get("about") != self._about or not whole:
            self._marked.unlink(missing_ok=True)
            return Count(), (0, 0, 0)
        return Count(**mark["count"]), mark["sizes"]


@contextmanager
def held(out: Path) -> Iterator[None]:
    """Hold a result's files for one process; raise RunBusyError where another one has them."""
    out.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(out.with_name(f"{out.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise RunBusyError(
            f"Another process writes {out}. Wait for it, or give another --out."
        ) from error
    try:
        yield
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()
