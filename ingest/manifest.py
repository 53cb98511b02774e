"""The manifest: what became of each file, in one SQLite file beside the collection.

It can be lost: then what the store holds is read again, but not embedded again.
"""

import sqlite3
from collections.abc import Container, Iterable
from contextlib import closing
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from ingest.errors import DocumentError, StoreMismatchError
from ingest.folders import file_digest, place_of
from ingest.stores.base import StoredDocument

State = Literal[
    "pending", "parsed", "embedded", "written", "verified", "duplicate", "failed", "quarantined"
]
VERSION = 2  # 2 has `facts`


@dataclass(frozen=True)
class Record:
    """What is known of one file.

    `path` is where it lies, or its `source` where that is not known. `size`, `mtime_ns` and
    `sha256` tell what it was when it was looked at (at `looked_ns`), and `pipeline` by what it was
    then read; `state` tells what became of that. `held` is the sha256 of what the store keeps of
    it, in `chunks` chunks: a version that cannot be read leaves the one before. `same_as` is the
    source whose chunks serve for this file too. `facts` is the metadata of what is held, as JSON.
    """

    path: str
    source: str
    size: int = -1
    mtime_ns: int = -1
    looked_ns: int = 0
    sha256: str = ""
    pipeline: str = ""
    state: State = "pending"
    held: str = ""
    chunks: int = 0
    pages: int = 0
    title: str = ""
    generation: int = 0
    same_as: str = ""
    reason: str = ""
    detail: str = ""
    remedy: str = ""
    attempts: int = 0
    at: float = 0.0
    facts: str = ""

    @property
    def is_placed(self) -> bool:
        """Tell whether it is known where the file lies."""
        return Path(self.path).is_absolute()


_NAMES = [each.name for each in fields(Record)]
_TYPES: dict[Any, str] = {int: "INTEGER", float: "REAL"}
_COLUMNS = ", ".join(
    f"{each.name} {_TYPES.get(each.type, 'TEXT')} NOT NULL" for each in fields(Record)
)


class Manifest:
    """The records of one collection. Without a path they are kept for this run alone."""

    def __init__(self, path: Path | None) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._database = _open(path)
        except sqlite3.DatabaseError as error:
            if path is None or isinstance(error, sqlite3.OperationalError):
                raise
            path.replace(path.with_name(f"{path.name}.broken"))
            self._database = _open(path)

    def records(self) -> dict[str, Record]:
        """Read all records, by path."""
        return _read(self._database)

    def save(self, records: Iterable[Record]) -> None:
        """Write records, all or none."""
        marks = ", ".join("?" * len(_NAMES))
        with self._database:
            self._database.executemany(
                f"INSERT OR REPLACE INTO sources VALUES ({marks})",  # noqa: S608 - marks only
                map(astuple, records),
            )

    def mark(self, paths: Iterable[str], state: State) -> None:
        """Set how far some files have come."""
        with self._database:
            self._database.executemany(
                "UPDATE sources SET state = ? WHERE path = ?", [(state, path) for path in paths]
            )

    def remove(self, paths: Iterable[str]) -> None:
        """Forget some files, all or none."""
        with self._database:
            self._database.executemany(
                "DELETE FROM sources WHERE path = ?", [(path,) for path in paths]
            )

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def manifest_path(place: Path | None) -> Path | None:
    """Name the file of a collection's manifest."""
    return place.with_name(f"{place.name}.manifest.sqlite") if place else None


def renamed(pipeline: str, embedder: str) -> str:
    """Name the same pipeline with another embedder: the third and last part of its fingerprint."""
    return " ".join([*pipeline.split(" ", 2)[:2], embedder])


def peek(place: Path | None) -> dict[str, Record]:
    """Read the records of a collection without making or changing anything."""
    path = manifest_path(place)
    if path is None or not path.exists():
        return {}
    # Without a log beside it nobody writes; to look into it as one that may be written makes files.
    still = "" if path.with_name(f"{path.name}-wal").exists() else "&immutable=1"
    address = f"{path.resolve().as_uri()}?mode=ro{still}"
    try:
        with closing(sqlite3.connect(address, uri=True)) as database:
            return _read(database)
    except sqlite3.DatabaseError:
        return {}


def reconcile(
    records: dict[str, Record], stored: Iterable[StoredDocument], ledger: dict[str, Any]
) -> dict[str, Record]:
    """Set the records right by what the store really holds.

    What the store lacks, or has in other numbers, is pending again. What it has beyond the records
    was written by another machine or an older version, whose `ledger` says which of it is whole.
    Such a record is not placed where nothing proves which file here the document came from.
    """
    there: dict[str, list[StoredDocument]] = {}
    for document in stored:
        there.setdefault(document.source, []).append(document)
    right = {path: _checked(each, there.get(each.source, [])) for path, each in records.items()}
    known = {each.source for each in records.values()}
    for source, documents in there.items():
        if source in known:
            continue
        path = _path_of(source, {each.id for each in documents}, taken=right)
        if path not in right:
            right[path] = _adopted(path, documents, ledger.get(source, {}))
    return right


def _path_of(source: str, digests: set[str], *, taken: Container[str]) -> str:
    """Tell where the file of a stored document lies; the source itself where nothing proves it.

    A relative source may be a file of another folder or machine: here it must have the same bytes.
    """
    path = place_of(source)
    if Path(source).is_absolute() or (path not in taken and _has_bytes(Path(path), digests)):
        return path
    return source


def _has_bytes(path: Path, digests: set[str]) -> bool:
    try:
        return path.is_file() and file_digest(path) in digests
    except (OSError, DocumentError):
        return False


def _checked(record: Record, found: list[StoredDocument]) -> Record:
    held = [(each.id, each.chunks) for each in found]
    if not record.held or held == [(record.held, record.chunks)]:
        return record
    state: State = "pending" if record.state == "verified" else record.state
    return replace(record, state=state, held="", chunks=0)


def _adopted(path: str, found: list[StoredDocument], entry: dict[str, Any]) -> Record:
    first = found[0]
    record = Record(path, first.source, title=first.title, pages=first.pages)
    if len(found) > 1:
        return record
    record = replace(record, sha256=first.id)
    if (entry.get("document"), entry.get("chunks")) != (first.id, first.chunks):
        return record
    return replace(
        record,
        state="verified",
        held=first.id,
        chunks=first.chunks,
        pipeline=str(entry["pipeline"]),
        generation=1,
    )


def _open(path: Path | None) -> sqlite3.Connection:
    # Another thread may close a run that was given up in the middle.
    database = sqlite3.connect(path or ":memory:", timeout=30, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        _refuse_newer(path, database.execute("PRAGMA user_version").fetchone()[0])
        with database:
            database.execute(f"CREATE TABLE IF NOT EXISTS sources ({_COLUMNS}, PRIMARY KEY (path))")
            if "facts" not in _columns(database):
                database.execute("ALTER TABLE sources ADD COLUMN facts TEXT NOT NULL DEFAULT ''")
            database.execute(f"PRAGMA user_version = {VERSION}")
    except BaseException:
        database.close()
        raise
    return database


def _refuse_newer(path: Path | None, version: int) -> None:
    if version > VERSION:
        raise StoreMismatchError(
            f"{path} was written by a newer version of agentlab (format {version}, this one "
            f"knows {VERSION}): update agentlab."
        )


def _read(database: sqlite3.Connection) -> dict[str, Record]:
    columns = ", ".join(name for name in _NAMES if name in _columns(database))
    rows = database.execute(f"SELECT {columns} FROM sources ORDER BY path")  # noqa: S608 - names
    return {row[0]: Record(*row) for row in rows}


def _columns(database: sqlite3.Connection) -> set[str]:
    """List the columns; a manifest of the first format that is only looked into lacks the last."""
    return {row[1] for row in database.execute("PRAGMA table_info(sources)")}
