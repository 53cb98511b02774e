"""Events of an ingest: what happened to each file, and the report at the end."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Found:
    """The files that will be looked at."""

    sources: tuple[str, ...]


@dataclass(frozen=True)
class Unchanged:
    """A file whose chunks are already there, made by the same pipeline."""

    source: str


@dataclass(frozen=True)
class Duplicate:
    """A file with the same bytes as another, whose chunks serve for both."""

    source: str
    original: str


@dataclass(frozen=True)
class Parsed:
    """A file was read and cut; `blank_pages` are the numbers of pages without text."""

    source: str
    title: str
    pages: int
    chunks: int
    blank_pages: tuple[int, ...]


@dataclass(frozen=True)
class Remark:
    """Something to know of how a file was read: its encoding was a guess."""

    source: str
    detail: str


@dataclass(frozen=True)
class Embedded:
    """So many of the file's chunks have their vectors."""

    source: str
    done: int
    total: int


@dataclass(frozen=True)
class Written:
    """The file's chunks are in the store, and those of its older version are gone."""

    source: str
    chunks: int


@dataclass(frozen=True)
class Skipped:
    """A file that was left out: `reason` is a slug, `detail` and `remedy` are for people.

    Whatever an earlier run stored of it stays.
    """

    source: str
    reason: str
    detail: str
    remedy: str


@dataclass(frozen=True)
class Finishing:
    """All files are done; the indexes, the card and the calibration are being made."""


@dataclass(frozen=True)
class Report:
    """What a run did. `documents`, `pages` and `chunks` count what was written in it."""

    documents: int
    pages: int
    chunks: int
    unchanged: int
    duplicates: tuple[Duplicate, ...]
    skipped: tuple[Skipped, ...]
    total_documents: int
    total_chunks: int
    seconds: float
    remarks: tuple[Remark, ...] = ()

    @property
    def exit_code(self) -> int:
        """Give 0 when every file is in the collection, 1 when any was left out."""
        return 1 if self.skipped else 0

    def to_dict(self) -> dict[str, Any]:
        """Give the report as JSON values."""
        return {**asdict(self), "exit_code": self.exit_code}


@dataclass(frozen=True)
class Finished:
    """The last event."""

    report: Report


Event = (
    Found
    | Unchanged
    | Duplicate
    | Parsed
    | Remark
    | Embedded
    | Written
    | Skipped
    | Finishing
    | Finished
)
