"""Writing: rows as JSONL, whole or not at all."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from finetune.errors import ConfigError


def to_jsonl(row: Mapping[str, Any]) -> str:
    """Write a row as one line."""
    return json.dumps(row, ensure_ascii=False, default=str) + "\n"


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write the rows and return how many there were; an earlier file stays until all are there."""
    count = 0
    with whole_file(path) as file:
        for count, row in enumerate(rows, start=1):  # noqa: B007 - the last number is the count
            file.write(to_jsonl(row))
    return count


@contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """Open a file beside `path` that takes its place once all is written and on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def refuse_own_input(out: Path, inputs: Iterable[Path]) -> None:
    """Raise ConfigError where a result would take the place of what it is made from."""
    for each in inputs:
        if each.resolve() == out.resolve():
            raise ConfigError(f"{out} is read and cannot be written too. Give another --out.")
