"""Parsing: files become documents, each with one outcome, in the order they are given.

    for path, outcome in read_documents(paths, IngestConfig()):
        if isinstance(outcome, DocumentError):
            print(outcome.reason, outcome.detail, outcome.advice)

Files are read in processes of their own, since a file can make its reader hang, crash or take all
memory: it costs that file alone. They are plain programs, not multiprocessing's children, which
would run the caller's script again. They start when there is something to read and end with the
loop, with Ctrl-C, and with their owner, however that dies.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from multiprocessing import Pipe
from pathlib import Path

from ingest.config import IngestConfig
from ingest.errors import CorruptError, IngestError, OcrError, TooLargeError, TooSlowError
from ingest.ocr import Ocr
from ingest.outcomes import OUT_OF_MEMORY, Outcome, from_json

START_TIMEOUT_S = 120
LONGEST_S = 1_000_000.0
"""Some eleven days: the system cannot wait for much longer at a time."""

_MORE_MEMORY = "split it (qpdf --split-pages=100 big.pdf part.pdf), or give it more (--memory)"
_PROGRAM = (
    "import sys; sys.path[:] = sys.argv[2:]; from ingest.parsing_worker import main; "
    "main(int(sys.argv[1]))"
)


def read_documents(paths: Iterable[Path], config: IngestConfig) -> Iterator[tuple[Path, Outcome]]:
    """Read files in order; what is wrong with one is its outcome, never raised.

    Raises OcrError where every page is to be read by OCR and that cannot be done.
    """
    if config.ocr == "always" and (obstacle := Ocr(languages=config.ocr_languages).obstacle):
        raise OcrError(f"Cannot read with OCR: {obstacle.detail}; {obstacle.remedy}.")
    ahead: deque[tuple[Path, Future[Outcome]]] = deque()
    workers = _Workers(config)
    try:
        for path in paths:
            ahead.append((path, workers.submit(path)))
            if len(ahead) > 2 * workers.count:
                yield _first(ahead)
        while ahead:
            yield _first(ahead)
    finally:
        workers.close()


def _first(ahead: deque[tuple[Path, Future[Outcome]]]) -> tuple[Path, Outcome]:
    path, future = ahead.popleft()
    return path, future.result()


class _Workers:
    """Threads that each have a process read files for them, started when it is needed."""

    def __init__(self, config: IngestConfig) -> None:
        self.count = config.workers or min(4, os.cpu_count() or 1)
        patience = min(config.timeout_s, LONGEST_S)
        self._config = config.model_copy(update={"timeout_s": patience})
        self._threads = ThreadPoolExecutor(self.count, thread_name_prefix="parsing")
        self._own = threading.local()
        self._lock = threading.Lock()
        self._running: set[_Worker] = set()
        self._closed = False

    def submit(self, path: Path) -> Future[Outcome]:
        """Have a file read when a worker is free."""
        return self._threads.submit(self._read, path)

    def close(self) -> None:
        """End all processes, whatever they do."""
        with self._lock:
            self._closed = True
            for worker in self._running:
                worker.end()
            self._running.clear()
        self._threads.shutdown(cancel_futures=True)

    def _read(self, path: Path) -> Outcome:
        worker = self._worker()
        outcome = worker.read(path)
        if worker.ended:
            self._own.worker = None
            with self._lock:
                self._running.discard(worker)
            if worker.files > 1 and not isinstance(outcome, TooSlowError):
                return self._read(path)  # once more in a fresh one: what it read before may count
        return outcome

    def _worker(self) -> "_Worker":
        worker: _Worker | None = getattr(self._own, "worker", None)
        if worker is None:
            with self._lock:
                if self._closed:
                    raise IngestError("Reading was stopped.")
                try:
                    worker = self._own.worker = _Worker(self._config)
                except OSError as error:
                    raise IngestError(
                        f"No process can be started to read files ({error.strerror}): end some "
                        "others, or use fewer (--workers 1)."
                    ) from error
                self._running.add(worker)
        return worker


class _Worker:
    """A process that reads files, and its end of the connection with it."""

    def __init__(self, config: IngestConfig) -> None:
        self.files = 0
        self.ended = False
        self._said = ""
        self._config = config
        self._ending = threading.Lock()
        self._connection, theirs = Pipe()
        descriptor = theirs.fileno()
        with theirs, ExitStack() as on_failure:
            self._errors = on_failure.enter_context(tempfile.TemporaryFile())
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _PROGRAM, str(descriptor), *sys.path],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                pass_fds=(descriptor,),
                start_new_session=True,  # Ctrl-C is its owner's business; OCR ends with it
            )
            on_failure.pop_all()

    def read(self, path: Path) -> Outcome:
        """Have a file read; what the process does meanwhile is the file's outcome."""
        if self.files == 0:
            self._await_start()
        self.files += 1
        try:
            self._connection.send_bytes(os.fsencode(path))
            return self._await_outcome()
        except TimeoutError as error:
            self.end()
            return TooSlowError(str(path), str(error))
        except (EOFError, OSError):
            self.end()
            return self._cause_of_death(str(path))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self.end()
            return CorruptError(str(path), "its reader gave no answer that makes sense")

    def end(self) -> None:
        """Kill the process and what it has started; does nothing the second time."""
        with self._ending:
            if self.ended:
                return
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            with self._errors:
                self._errors.seek(0)
                lines = self._errors.read().decode(errors="replace").split("\n")
            self._said = next((line for line in reversed(lines) if line.strip()), "no word")
            self.ended = True

    def _await_start(self) -> None:
        try:
            self._connection.send_bytes(json.dumps(self._config.model_dump()).encode())
            started = self._connection.poll(START_TIMEOUT_S) and self._connection.recv_bytes()
        except (EOFError, OSError):
            started = False
        if not started:
            self.end()
            raise IngestError(
                f"The process that reads files did not start ({self._said}): see whether the "
                "installation is whole (agentlab doctor)."
            )

    def _await_outcome(self) -> Outcome:
        """Wait as long as a file may take, or as the process has asked for a page of a scan."""
        allowed, told = self._config.timeout_s, "timeout_s"
        deadline = time.monotonic() + allowed
        while True:
            if not self._connection.poll(max(0.0, deadline - time.monotonic())):
                raise TimeoutError(f"not read after {allowed:g} s ({told})")
            answer = self._connection.recv_bytes()
            asked = json.loads(answer).get("seconds")
            if asked is None:
                return from_json(answer)
            allowed, told = float(asked), "for a page of it"
            deadline = time.monotonic() + allowed

    def _cause_of_death(self, source: str) -> Outcome:
        code = self._process.returncode
        limit = f"{self._config.memory_mb:,} MB (memory_mb)"
        if code == OUT_OF_MEMORY:
            return TooLargeError(source, f"reading it takes more memory than {limit}", _MORE_MEMORY)
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        if -code in {signal.SIGABRT, signal.SIGKILL}:  # pdfium's and the system's way to say so
            detail = f"its reader ran out of memory ({name}), it had {limit}"
            return TooLargeError(source, detail, _MORE_MEMORY)
        if -code == signal.SIGALRM:
            return TooSlowError(source, f"not read after {self._config.timeout_s:g} s (timeout_s)")
        return CorruptError(source, f"it makes its reader crash ({name})")
