"""Events of an ingest: what happened to each file, and the report at the end."""

from dataclasses import asdict, dataclass, field
from typing import Any

from ingest.tuning import Tuning


@dataclass(frozen=True)
class Waiting:
    """Another process is changing the collection; this one goes on after it."""

    holder: str


@dataclass(frozen=True)
class Planned:
    """All files were looked at: those that will be read, with their sizes in bytes."""

    files: int
    sizes: dict[str, int] = field(default_factory=dict)


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
    """A file was read and cut; `blank_pages` are the numbers of pages without text.

    Where it is not `paged`, `pages` counts parts.
    """

    source: str
    title: str
    pages: int
    chunks: int
    blank_pages: tuple[int, ...]
    paged: bool = True


@dataclass(frozen=True)
class Remark:
    """Something to know of how a file was read: its encoding was a guess."""

    source: str
    detail: str


@dataclass(frozen=True)
class Embedded:
    """So many of the file's chunks have their vectors; those known before are not told of."""

    source: str
    done: int
    total: int


@dataclass(frozen=True)
class Written:
    """The file's chunks were read back from the store, and those of its older version are gone.

    `moved_from` is the name under which the file was before.
    """

    source: str
    chunks: int
    moved_from: str = ""


@dataclass(frozen=True)
class Removed:
    """A file is gone, and its chunks with it."""

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
class StillFailing(Skipped):
    """A file that failed before and was not tried again: neither it nor the pipeline changed."""


@dataclass(frozen=True)
class Finishing:
    """All files are done; the indexes, the card and the calibration are being made."""


@dataclass(frozen=True)
class Report:
    """What a run did.

    `documents`, `pages`, `parts` (of files without pages) and `chunks` count what was written in
    it, `embedded` the chunks whose vectors were not known before. `tuning` is there where the
    search was tuned anew.
    """

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
    parts: int = 0
    embedded: int = 0
    moved: tuple[Written, ...] = ()
    removed: tuple[Removed, ...] = ()
    still_failing: tuple[StillFailing, ...] = ()
    tuning: Tuning | None = None

    @property
    def exit_code(self) -> int:
        """Give 0 when every file is in the collection, 1 when any was left out."""
        return 1 if self.skipped or self.still_failing else 0

    def to_dict(self) -> dict[str, Any]:
        """Give the report as JSON values."""
        return {**asdict(self), "exit_code": self.exit_code}


@dataclass(frozen=True)
class Finished:
    """The last event."""

    report: Report


Event = (
    Waiting
    | Planned
    | Unchanged
    | Duplicate
    | Parsed
    | Remark
    | Embedded
    | Written
    | Removed
    | Skipped
    | StillFailing
    | Finishing
    | Finished
)
