"""Record: one row of a file as it stands there, from JSONL, JSON, CSV, Parquet or plain text."""

import csv
import json
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from finetune.errors import ExampleError

SUFFIXES = frozenset({".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet"})
TEXT_SUFFIXES = frozenset({".txt", ".md"})
_BATCH_ROWS = 1024
_LARGEST_CELL = 2**30
# Where null says something: this passage does not answer.
_NULLABLE = frozenset({"answer"})
# Cells of a CSV file that hold JSON, and those that hold messages as JSON or else a text.
_NESTED = frozenset("messages conversations tools completions negatives passages lineage".split())
_SAID = frozenset({"prompt", "chosen", "rejected", "completion"})


@dataclass(frozen=True)
class Record:
    """The fields of one row and where it stands."""

    fields: dict[str, Any]
    path: str
    line: int


@dataclass(frozen=True)
class Fault:
    """What is wrong with one row."""

    path: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.reason}"


def files_in(paths: Iterable[Path]) -> list[Path]:
    """List the files of data among the paths, those of a folder in order of their names.

    Of a folder's plain texts each is one row; they are taken where it has no other data. Raises
    ExampleError for a path that does not exist or cannot be read as data.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            found += _in_folder(path)
        elif not path.exists():
            raise ExampleError(f"{path} does not exist. Give an existing JSONL file.")
        elif path.suffix.lower() not in SUFFIXES | TEXT_SUFFIXES:
            known = ", ".join(sorted(SUFFIXES | TEXT_SUFFIXES))
            raise ExampleError(f"{path} is none of {known}. Give such a file, or a folder of them.")
        else:
            found.append(path)
    return found


def _in_folder(folder: Path) -> list[Path]:
    inside = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    for suffixes in (SUFFIXES, TEXT_SUFFIXES):
        if found := [path for path in inside if path.suffix.lower() in suffixes]:
            return found
    raise ExampleError(
        f"{folder} holds no data. Give a folder with files of {', '.join(sorted(SUFFIXES))}."
    )


def read_records(paths: Iterable[Path]) -> Iterator[Record | Fault]:
    """Read the rows of the files one by one; what cannot be read as a row is a Fault."""
    for path in files_in(paths):
        yield from _records(path)


def count_rows(paths: Iterable[Path]) -> int | None:
    """Count the rows of the files without reading them as such; None where that takes as long."""
    total = 0
    for path in files_in(paths):
        match path.suffix.lower():
            case ".jsonl" | ".ndjson":
                with path.open("rb") as file:
                    total += sum(1 for line in file if line.strip())
            case ".txt" | ".md":
                total += 1
            case _:
                return None
    return total


def _records(path: Path) -> Iterator[Record | Fault]:
    match path.suffix.lower():
        case ".parquet":
            yield from _of_parquet(path)
        case ".csv" | ".tsv" as suffix:
            yield from _of_csv(path, "\t" if suffix == ".tsv" else ",")
        case ".json":
            yield from _of_json(path)
        case ".txt" | ".md":
            yield Record({"text": _read(path), "source": str(path)}, str(path), 1)
        case _:
            yield from _of_jsonl(path)


def _of_jsonl(path: Path) -> Iterator[Record | Fault]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield _of_line(line, path, number)
    except UnicodeDecodeError as error:
        raise _no_text(path, error) from error


def _of_line(line: str, path: Path, number: int) -> Record | Fault:
    try:
        value = json.loads(line)
    except ValueError as error:
        return Fault(str(path), number, str(error))
    return _of_value(value, path, number)


def _of_value(value: Any, path: Path, number: int) -> Record | Fault:
    if not isinstance(value, dict):
        return Fault(str(path), number, f"a JSON {type(value).__name__}, not an object")
    return Record(value, str(path), number)


def _of_json(path: Path) -> Iterator[Record | Fault]:
    try:
        values = json.loads(_read(path))
    except ValueError as error:
        yield Fault(str(path), getattr(error, "lineno", 1), f"{error}; one value a line is .jsonl")
        return
    if not isinstance(values, list):
        yield Fault(str(path), 1, f"a JSON {type(values).__name__}, not a list of objects")
        return
    for number, value in enumerate(values, start=1):
        yield _of_value(value, path, number)


def _of_csv(path: Path, delimiter: str) -> Iterator[Record | Fault]:
    csv.field_size_limit(_LARGEST_CELL)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = _rows_of(file, delimiter)
            _, head = next(rows, (1, []))
            if isinstance(head, str):
                yield Fault(str(path), 1, f"no CSV ({head})")
                return
            for line, cells in rows:
                if isinstance(cells, str):
                    yield Fault(str(path), line, f"no CSV ({cells})")
                elif cells:
                    yield _of_cells(head, cells, path, line)
    except UnicodeDecodeError as error:
        raise _no_text(path, error) from error


def _rows_of(file: TextIO, delimiter: str) -> Iterator[tuple[int, list[str] | str]]:
    """Give the cells of each row, or what is wrong with it, and the line that it begins on.

    Where the quotes of a row are not those of CSV, its first line alone is taken for the row, which
    in a TSV is a good one: there quotes are often signs like others.
    """
    ahead, taken, line = deque[str](), list[str](), 1

    def lines() -> Iterator[str]:
        while text := ahead.popleft() if ahead else file.readline():
            taken.append(text)
            yield text

    while True:
        taken.clear()
        cells: list[str] | str | None
        try:
            cells = next(csv.reader(lines(), delimiter=delimiter, strict=True), None)
        except csv.Error as error:
            cells = _cells_of_tsv(taken[0]) if delimiter == "\t" else str(error)
            ahead.extendleft(reversed(taken[1:]))
            del taken[1:]
        if cells is None:
            return
        yield line, cells
        line += len(taken)


def _cells_of_tsv(line: str) -> list[str]:
    """Cut a line into cells; one that only begins with a quote is taken as it stands."""
    cells = line.rstrip("\r\n").split("\t")
    return [
        each[1:-1].replace('""', '"') if re.fullmatch(r'"(?:[^"]|"")*"', each) else each
        for each in cells
    ]


def _of_cells(head: list[str], cells: list[str], path: Path, line: int) -> Record | Fault:
    if len(cells) != len(head):
        reason = f"{len(cells)} cells under a head of {len(head)}"
        return Fault(str(path), line, reason)
    pairs = zip(head, cells, strict=True)
    fields = {name: _of_cell(name, cell) for name, cell in pairs if cell or name in _NULLABLE}
    return Record(fields, str(path), line)


def _of_cell(name: str, cell: str) -> Any:
    if not cell:
        return None
    if name in _NESTED | _SAID | _NULLABLE and cell.lstrip().startswith(("[", "{")):
        try:
            value = json.loads(cell)
        except ValueError:
            return cell  # a text that begins with a bracket
        if name in _NESTED or (_is_span(value) if name in _NULLABLE else _are_messages(value)):
            return value
    return cell


def _is_span(value: Any) -> bool:
    return isinstance(value, list) and [type(each) for each in value] == [int, int]


def _are_messages(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(each, dict) and ("role" in each or "from" in each) for each in value)
    )


def _of_parquet(path: Path) -> Iterator[Record | Fault]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                for fields in batch.to_pylist():
                    number += 1
                    yield Record(_without_nulls(fields), str(path), number)
    except (pa.ArrowException, OSError) as error:
        raise ExampleError(f"{path} cannot be read as Parquet ({error}). Write it anew.") from error


def _without_nulls(value: Any) -> Any:
    """Leave out what is null: in a column every object has the fields that any of them has."""
    if isinstance(value, dict):
        return {
            name: _without_nulls(each)
            for name, each in value.items()
            if each is not None or name in _NULLABLE
        }
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise _no_text(path, error) from error


def _no_text(path: Path, error: UnicodeDecodeError) -> ExampleError:
    return ExampleError(f"{path} is no UTF-8 text ({error}). Give a JSONL file.")
