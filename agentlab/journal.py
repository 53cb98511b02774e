"""Journal: every run with what it saw, did and cost, and what the person thought of it.

One SQLite file that several programs may use at once. Nothing in it leaves the machine.
"""

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from agentlab.answer import Answer
from agentlab.errors import JournalError
from agentlab.private import make_private

Kind = Literal["good", "bad", "better", "preference"]
Status = Literal["running", "answered", "interrupted", "failed"]
BUSY_S = 3.0
VERSION = 1
_SCHEMA = """
CREATE TABLE runs (
    id TEXT PRIMARY KEY, thread TEXT NOT NULL, started TEXT NOT NULL, status TEXT NOT NULL,
    question TEXT NOT NULL, answer TEXT, raw TEXT, abstained INTEGER, stopped TEXT, error TEXT,
    evidence TEXT, model TEXT NOT NULL, adapter TEXT, engine TEXT NOT NULL, index_version TEXT,
    prompt_tokens INTEGER, completion_tokens INTEGER, model_calls INTEGER,
    malformed_calls INTEGER, seconds REAL, messages TEXT
);
CREATE INDEX runs_by_thread ON runs (thread, started);
CREATE TABLE steps (
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, position INTEGER NOT NULL,
    tool TEXT NOT NULL, arguments TEXT NOT NULL, observation TEXT NOT NULL,
    error INTEGER NOT NULL, seconds REAL NOT NULL, sources TEXT NOT NULL,
    PRIMARY KEY (run, position)
);
CREATE TABLE citations (
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, position INTEGER NOT NULL,
    source INTEGER NOT NULL, quote TEXT NOT NULL, claim TEXT NOT NULL,
    supported INTEGER NOT NULL, PRIMARY KEY (run, position)
);
CREATE TABLE feedback (
    id INTEGER PRIMARY KEY, run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    given TEXT NOT NULL, kind TEXT NOT NULL, text TEXT, other TEXT
);
"""


@dataclass(frozen=True)
class Setup:
    """What a run was made with."""

    model: str
    engine: str
    adapter: str | None = None
    index_version: str | None = None


@dataclass(frozen=True)
class Feedback:
    """What a person said of a run.

    `text` is the better answer of "better"; `other` the run that "preference" prefers this one to.
    """

    run: str
    kind: Kind
    given: str
    text: str | None = None
    other: str | None = None


class Journal:
    """Writes and reads runs; every failure is a JournalError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            make_private(path)
            self._connection = sqlite3.connect(path, check_same_thread=False, timeout=BUSY_S)
        except (OSError, sqlite3.Error) as error:
            raise self._failure(error) from error
        self._connection.row_factory = sqlite3.Row
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._connection.close()
            raise self._failure(error) from error

    def begin(self, run: str, *, thread: str, question: str, setup: Setup) -> None:
        """Note that a run has begun."""
        values = (run, thread, _now(), "running", question, *asdict(setup).values())
        columns = "id, thread, started, status, question, model, engine, adapter, index_version"
        with self._writing() as connection:
            query = f"INSERT INTO runs ({columns}) VALUES (?,?,?,?,?,?,?,?,?)"  # noqa: S608
            connection.execute(query, _storable(values))

    def end(
        self,
        answer: Answer,
        *,
        messages: list[dict[str, Any]],
        status: Status = "answered",
        error: str | None = None,
    ) -> None:
        """Complete a run, all of it or nothing; of one that could not begin nothing is kept."""
        values = {
            "status": status,
            "answer": answer.text,
            "raw": answer.raw,
            "abstained": answer.abstained,
            "stopped": answer.stopped,
            "error": error,
            "evidence": _json(asdict(answer.evidence)) if answer.evidence else None,
            **asdict(answer.usage),
            "seconds": answer.seconds,
            "messages": _json(messages),
        }
        assignments = ", ".join(f"{name} = ?" for name in values)
        with self._writing() as connection:
            done = connection.execute(
                f"UPDATE runs SET {assignments} WHERE id = ?",  # noqa: S608 - our own names
                _storable((*values.values(), answer.run)),
            )
            if not done.rowcount:
                return
            steps, citations = map(_storable, _steps(answer)), map(_storable, _citations(answer))
            connection.executemany("INSERT INTO steps VALUES (?,?,?,?,?,?,?,?)", steps)
            connection.executemany("INSERT INTO citations VALUES (?,?,?,?,?,?)", citations)

    def add_feedback(
        self, run: str, kind: Kind, *, text: str | None = None, other: str | None = None
    ) -> None:
        """Keep what a person said of a run.

        Raises JournalError if the journal lacks it, or the other; ValueError for what is no
        feedback.
        """
        _check_feedback(kind, text, other)
        with self._writing() as connection:
            if (
                other
                and not connection.execute("SELECT 1 FROM runs WHERE id = ?", (other,)).fetchone()
            ):
                raise sqlite3.IntegrityError(f"no run {other!r}")
            connection.execute(
                "INSERT INTO feedback (run, given, kind, text, other) VALUES (?,?,?,?,?)",
                _storable((run, _now(), kind, text, other)),
            )

    def run(self, run: str) -> dict[str, Any] | None:
        """Read one run with its steps, citations and feedback, or None."""
        return next(self._read("WHERE id = ?", (run,)), None)

    def runs(self, *, thread: str | None = None, limit: int = -1) -> Iterator[dict[str, Any]]:
        """Read runs, the latest first."""
        where = "WHERE thread = ? " if thread else ""
        values: tuple[Any, ...] = (thread, limit) if thread else (limit,)
        return self._read(f"{where}ORDER BY started DESC, rowid DESC LIMIT ?", values)

    def rated(self) -> Iterator[dict[str, Any]]:
        """Read the runs that a person said something of, the oldest first."""
        return self._read("WHERE id IN (SELECT run FROM feedback) ORDER BY started, rowid", ())

    def feedback(self, run: str) -> list[Feedback]:
        """Read what was said of a run, in order."""
        query = "SELECT run, kind, given, text, other FROM feedback WHERE run = ? ORDER BY id"
        return [Feedback(**row) for row in self._rows(query, (run,))]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _prepare(self) -> None:
        connection = self._connection
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA foreign_keys=ON")
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                for statement in _SCHEMA.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {VERSION}")
        if version > VERSION:
            raise sqlite3.DatabaseError(f"it was written by a newer agentlab, version {version}")

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                with self._connection:
                    yield self._connection
            except sqlite3.IntegrityError as error:
                raise JournalError(
                    f"The journal {self.path} does not have that run ({error}): feedback needs a "
                    "run that was kept, with journal = true."
                ) from error
            except sqlite3.Error as error:
                raise self._failure(error) from error

    def _read(self, clause: str, values: tuple[Any, ...]) -> Iterator[dict[str, Any]]:
        for row in self._rows(f"SELECT * FROM runs {clause}", values):  # noqa: S608 - our own clauses
            found = _parsed(row, "evidence", "messages")
            for table in ("steps", "citations"):
                query = f"SELECT * FROM {table} WHERE run = ? ORDER BY position"  # noqa: S608
                rows = self._rows(query, (found["id"],))
                found[table] = [_parsed(each, "arguments", "sources") for each in rows]
            found["feedback"] = [asdict(each) for each in self.feedback(found["id"])]
            yield found

    def _rows(self, query: str, values: tuple[Any, ...]) -> list[dict[str, Any]]:
        with self._lock:
            try:
                return [dict(row) for row in self._connection.execute(query, values)]
            except sqlite3.Error as error:
                raise self._failure(error) from error

    def _failure(self, error: Exception) -> JournalError:
        return JournalError(
            f"The journal {self.path} cannot be used ({error}): free the disk, close the other "
            "program, or set journal = false."
        )


def _check_feedback(kind: str, text: str | None, other: str | None) -> None:
    if kind not in get_args(Kind):
        raise ValueError(f"Feedback is one of {', '.join(get_args(Kind))}, not {kind!r}.")
    if kind == "better" and not (text or "").strip():
        raise ValueError("The feedback 'better' needs the better answer: give it as text.")
    if kind == "preference" and not other:
        raise ValueError("The feedback 'preference' needs the other run: give its id as other.")


def whole_characters(text: str) -> str:
    """Put a question mark for each half of a surrogate pair: no file, model or server takes one."""
    return text.encode("utf-8", "replace").decode()


def _storable(values: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(whole_characters(each) if isinstance(each, str) else each for each in values)


def _steps(answer: Answer) -> list[tuple[Any, ...]]:
    return [
        (
            answer.run,
            position,
            step.tool,
            _json(dict(step.arguments)),
            step.observation,
            step.error,
            step.seconds,
            _json([asdict(source) for source in step.sources]),
        )
        for position, step in enumerate(answer.steps)
    ]


def _citations(answer: Answer) -> list[tuple[Any, ...]]:
    return [
        (answer.run, position, each.source.number, each.quote, each.claim, each.supported)
        for position, each in enumerate(answer.citations)
    ]


def _parsed(row: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {
        name: json.loads(value) if name in names and value else value for name, value in row.items()
    }


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
