"""The parsing worker: a process that reads files for `ingest.parsing`, one after the other.

It is bounded from inside, too: its memory by the system, its time by an alarm that the system
keeps, and its life by the connection to its owner, for whom it reads and without whom it ends.
"""

import json
import os
import resource
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue

from ingest.config import IngestConfig
from ingest.errors import CorruptError, DocumentError
from ingest.formats import read_document
from ingest.formats.files import brief
from ingest.ocr import Ocr
from ingest.outcomes import OUT_OF_MEMORY, Outcome, to_json

GRACE_S = 10  # what the owner has to end a late worker before its own alarm does


def main(descriptor: int) -> None:
    """Read the files that the owner names, until it hangs up."""
    connection = Connection(descriptor)
    config = IngestConfig.model_validate(json.loads(connection.recv_bytes()))
    _limit_memory(config.memory_mb)
    paths: SimpleQueue[Path] = SimpleQueue()
    threading.Thread(target=_listen, args=(connection, paths), daemon=True).start()
    connection.send_bytes(b"ready")
    while True:
        path = paths.get()
        _set_alarm(config.timeout_s)
        try:
            told = to_json(_read(path, config, lambda seconds: _ask(connection, seconds)))
        except MemoryError:
            os._exit(OUT_OF_MEMORY)
        signal.setitimer(signal.ITIMER_REAL, 0)
        connection.send_bytes(told)


def _read(path: Path, config: IngestConfig, ask: Callable[[float], None]) -> Outcome:
    ocr = None
    if config.ocr != "never":
        ocr = Ocr(
            always=config.ocr == "always",
            languages=config.ocr_languages,
            page_timeout_s=config.ocr_page_timeout_s,
            ask=ask,
        )
    try:
        document = read_document(
            path,
            max_bytes=config.max_bytes,
            max_pages=config.max_pages,
            passwords=config.passwords,
            ocr=ocr,
        )
    except DocumentError as error:
        return error
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - one hostile file must not end the run
        return CorruptError(str(path), f"reading it failed ({brief(error)})")
    return document


def _ask(connection: Connection, seconds: float) -> None:
    """Ask the owner for time for a page; its clock starts anew."""
    _set_alarm(seconds)
    connection.send_bytes(json.dumps({"seconds": seconds}).encode())


def _listen(connection: Connection, paths: SimpleQueue[Path]) -> None:
    """Take orders; when the owner is gone, end this worker and what it has started."""
    with suppress(EOFError, OSError):
        while True:
            paths.put(Path(os.fsdecode(connection.recv_bytes())))
    os.killpg(0, signal.SIGKILL)


def _limit_memory(megabytes: int) -> None:
    for limit, value in (
        (resource.RLIMIT_DATA, megabytes * 1024 * 1024),
        (resource.RLIMIT_CORE, 0),
    ):
        with suppress(ValueError, OSError):  # the limit that the shell has set is lower
            resource.setrlimit(limit, (value, value))


def _set_alarm(seconds: float) -> None:
    """Let the system end this process, which a reader that never returns could not do itself."""
    signal.setitimer(signal.ITIMER_REAL, seconds + GRACE_S)
