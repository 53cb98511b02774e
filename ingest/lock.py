"""The lock: one ingest at a time on a collection; a dead process holds none."""

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

from ingest.errors import CollectionBusyError

_POLL_S = 0.2


class Lock:
    """The right to write a collection. Where nothing is kept on this machine, it is free."""

    def __init__(self, place: Path | None) -> None:
        self._lock: FileLock | None = None
        if place is not None:
            place.parent.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(place.with_name(f"{place.name}.lock"), thread_local=False)
            self._holder = place.with_name(f"{place.name}.lock.json")

    def take(self) -> bool:
        """Take the lock if it is free."""
        if self._lock is None:
            return True
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            return False
        self._sign()
        return True

    def wait(self) -> None:
        """Wait for the lock and take it."""
        if self._lock is not None:
            self._lock.acquire(poll_interval=_POLL_S)
            self._sign()

    def holder(self) -> str:
        """Say who holds the lock."""
        try:
            value = json.loads(self._holder.read_text(encoding="utf-8"))
            return f"process {value['process']} ({value['command']}, since {value['since']})"
        except (OSError, ValueError, KeyError):
            return "another process"

    def refuse(self) -> CollectionBusyError:
        """Make the error that says who holds the lock."""
        return CollectionBusyError(
            f"The collection is being changed by {self.holder()}: wait until it is done, or leave "
            "out --no-wait to have this done for you."
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._lock is not None and self._lock.is_locked:
            self._holder.unlink(missing_ok=True)
            self._lock.release()

    def _sign(self) -> None:
        command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:2]])  # a password may follow
        since = datetime.now(UTC).astimezone().strftime("%H:%M:%S")
        value = {"process": os.getpid(), "command": command, "since": since}
        self._holder.write_text(json.dumps(value), encoding="utf-8")
