"""Kept work: what a long job has done so far, a line each, so that a killed one goes on from there.

The lines lie in a hidden file beside what the job writes, and go once that is there.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

from finetune.data.writing import to_jsonl, write_rows

Line = Mapping[str, Any]


class Kept:
    """The lines of a job: those that were there when it was opened, and those added since."""

    def __init__(self, path: Path, key: str, file: TextIO, *, before: int) -> None:
        self.before = before
        self._path, self._key, self._file = path, key, file

    def add(self, line: Line) -> None:
        """Keep a line, also from a kill of the process."""
        self._file.write(to_jsonl(line))
        self._file.flush()

    def lines(self) -> Iterator[Line]:
        """Read them all; they need not fit into memory at once."""
        return _read(self._path, self._key)


@contextmanager
def kept_beside(out: Path, *about: str) -> Iterator[Kept]:
    """Open what was kept of the job that writes `out`, where the same decides it, else nothing.

    `about` names all that decides the lines. They go when the block ends without an exception.
    """
    key = hashlib.sha256("\0".join(about).encode()).hexdigest()
    path = out.with_name(f".{out.name}.kept")
    before = write_rows(path, chain([{"key": key}], _read(path, key))) - 1
    with path.open("a", encoding="utf-8") as file:
        yield Kept(path, key, file, before=before)
    path.unlink()


def _read(path: Path, key: str) -> Iterator[Line]:
    """Read what was kept under this key, up to a line that a kill cut off."""
    if not path.exists():
        return
    with path.open("rb") as file:  # a cut within a character is no text
        for number, text in enumerate(file):
            try:
                line = json.loads(text)
            except ValueError:
                return
            if number == 0 and line != {"key": key}:
                return
            if number:
                yield line
