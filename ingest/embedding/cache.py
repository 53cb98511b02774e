"""Cache: vectors that were computed once, kept in memory or in a SQLite file."""

import hashlib
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np

from ingest.embedding import Embedder

_SLICE = 256
_BUSY_S = 30.0
_SPARED = 0.9
_TABLE = """
CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL, used INTEGER)
"""
_INDEX = "CREATE INDEX IF NOT EXISTS by_use ON vectors (used)"
_log = logging.getLogger(__name__)


class Vectors(Protocol):
    """Where vectors are kept, each under the hash of what it was computed from."""

    def get(self, keys: Sequence[bytes]) -> dict[bytes, np.ndarray]:
        """Give those vectors that are kept."""

    def put(self, vectors: Mapping[bytes, np.ndarray]) -> None:
        """Keep vectors."""


class CachedEmbedder:
    """An embedder that computes a vector only where none is kept."""

    def __init__(self, embedder: Embedder, vectors: Vectors, *, space: str = "") -> None:
        """Keep the vectors of `embedder`; `space` names all but the text that decides them.

        Whatever else is kept in the same place needs another space: a model's weights, the backend
        and how vectors are scaled belong in it.
        """
        self._embedder = embedder
        self._vectors = vectors
        self._space = space.encode()

    @property
    def name(self) -> str:
        """Name the vectors as the embedder does."""
        return self._embedder.name

    @property
    def dimension(self) -> int:
        """Tell how many numbers a vector has."""
        return self._embedder.dimension

    @property
    def max_tokens(self) -> int:
        """Tell how many tokens of a text are read."""
        return self._embedder.max_tokens

    def encode(
        self, texts: Sequence[str], progress: Callable[[int], None] | None = None
    ) -> np.ndarray:
        """Embed texts, each once; what was computed is kept every 256 texts."""
        keys = [self._key(text) for text in texts]
        known = self._vectors.get(list(dict.fromkeys(keys)))
        if progress and known:
            progress(sum(key in known for key in keys))
        unknown = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        for some in _slices(list(unknown), _SLICE):
            computed = self._embedder.encode([unknown[key] for key in some], progress)
            fresh = dict(zip(some, computed, strict=True))
            self._vectors.put(fresh)
            known |= fresh
        if not keys:
            return self._embedder.encode([])
        return np.stack([known[key] for key in keys])

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        """Give the character span of each token of the text, special tokens left out."""
        return self._embedder.token_spans(text)

    def count_tokens(self, text: str) -> int:
        """Count the tokens of a text, special tokens left out."""
        return self._embedder.count_tokens(text)

    def _key(self, text: str) -> bytes:
        return hashlib.sha256(self._space + b"\0" + text.encode("utf-8", "replace")).digest()


class MemoryVectors:
    """Vectors kept as long as the process lives, the newest `most` of them; safe with threads."""

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._kept: dict[bytes, np.ndarray] = {}
        self._lock = threading.Lock()

    def get(self, keys: Sequence[bytes]) -> dict[bytes, np.ndarray]:
        """Give those vectors that are kept."""
        with self._lock:
            return {key: self._kept[key] for key in keys if key in self._kept}

    def put(self, vectors: Mapping[bytes, np.ndarray]) -> None:
        """Keep vectors."""
        with self._lock:
            self._kept.update(vectors)
            spare = len(self._kept) - self._most if self._most is not None else 0
            for key in list(islice(self._kept, max(0, spare))):
                del self._kept[key]


class DiskVectors:
    """Vectors kept in a SQLite file of bounded size; safe with several threads and processes.

    Beyond `limit_bytes` those go first that were not asked for the longest. A file that cannot be
    used is named once in the log, and nothing is kept then: it only costs time.
    """

    def __init__(self, path: Path, *, limit_bytes: int) -> None:
        self._path = path
        self._limit = limit_bytes
        self._usable = True

    def get(self, keys: Sequence[bytes]) -> dict[bytes, np.ndarray]:
        """Give those vectors that are kept, and note that they were asked for."""
        found: dict[bytes, np.ndarray] = {}

        def read(database: sqlite3.Connection) -> None:
            for some in _slices(keys, _SLICE):
                marks = ",".join("?" * len(some))
                rows = database.execute(
                    f"SELECT key, vector FROM vectors WHERE key IN ({marks})",  # noqa: S608
                    some,
                )
                found.update((key, np.frombuffer(vector, np.float32)) for key, vector in rows)
            used = _next_use(database)
            database.executemany(
                "UPDATE vectors SET used = ? WHERE key = ?", [(used, key) for key in found]
            )

        self._attempt(read)
        return found

    def put(self, vectors: Mapping[bytes, np.ndarray]) -> None:
        """Keep vectors, and let the longest unused go where they are too many."""

        def write(database: sqlite3.Connection) -> None:
            used = _next_use(database)
            database.executemany(
                "INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)",
                [
                    (key, np.ascontiguousarray(vector, np.float32).tobytes(), used)
                    for key, vector in vectors.items()
                ],
            )
            _shrink(database, self._limit)

        self._attempt(write)

    def _attempt(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Do all of the work or nothing, one process at a time; where that fails, never again."""
        if not self._usable:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # A connection for each call: it can be used from any thread, and needs no closing.
            with closing(_opened(self._path)) as database, database:
                database.execute("BEGIN IMMEDIATE")
                work(database)
        except (sqlite3.Error, OSError) as error:
            self._usable = False
            _log.warning(
                "The cache of embeddings %s cannot be used (%s), so texts are embedded anew: "
                "delete the file, or set embedding_cache_mb to 0.",
                self._path,
                error,
            )


def _opened(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute(_TABLE)
        database.execute(_INDEX)
    except BaseException:
        database.close()
        raise
    return database


def _next_use(database: sqlite3.Connection) -> int:
    """Give a number above all earlier ones: a clock may be set back."""
    return int(database.execute("SELECT COALESCE(MAX(used), 0) + 1 FROM vectors").fetchone()[0])


def _shrink(database: sqlite3.Connection, limit: int) -> None:
    """Delete the longest unused where the pages in use are more than the limit."""
    pages, free, size = (
        int(database.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    held = (pages - free) * size
    if held <= limit:
        return
    count = int(database.execute("SELECT COUNT(*) FROM vectors").fetchone()[0])
    surplus = count - int(count * _SPARED * limit / held)
    database.execute(
        "DELETE FROM vectors WHERE key IN (SELECT key FROM vectors ORDER BY used LIMIT ?)",
        (surplus,),
    )


def _slices(keys: Sequence[bytes], size: int) -> Iterator[list[bytes]]:
    for start in range(0, len(keys), size):
        yield list(keys[start : start + size])
