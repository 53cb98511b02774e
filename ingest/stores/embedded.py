"""The embedded store: LanceDB in a folder, nothing to start and nothing to run."""

import copy
import errno
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pyarrow as pa
from lancedb.index import FTS, BTree, IvfRq

from ingest.documents import Chunk
from ingest.errors import StoreAccessError, StoreError, StoreFullError, StoreMismatchError
from ingest.stores.base import Hit, StoredDocument, Where
from ingest.stores.embedded_search import FIELDS, LABEL, chunk_of, quoted, search
from ingest.stores.generations import FIRST, POINTER, check_droppable, in_force, steady

_SLICE = 64  # of queries, whose candidates are held at once
_INDEX_FROM = 50_000
_KEPT_VERSIONS = timedelta(hours=1)  # for whoever reads an older one just now


class LanceStore:
    """Chunks in one LanceDB table; several processes may read and write it."""

    name = "lancedb"

    def __init__(self, folder: Path, *, collection: str) -> None:
        self.folder = folder
        self.place: Path | None = folder / collection
        self._collection = collection
        self._pinned: int | None = None
        self._table: Any = None
        self._opened = FIRST
        with self._explained("open"):
            folder.mkdir(parents=True, exist_ok=True)
            self._database = lancedb.connect(
                str(folder), read_consistency_interval=timedelta(seconds=0)
            )

    @property
    def generation(self) -> int:
        """Tell the number of the generation that is read and written."""
        return self._pinned or in_force(_read_json(self._pointer))

    def beside(self, generation: int) -> "LanceStore":
        """Give one generation of the same collection."""
        other = copy.copy(self)
        other._pinned, other._table = generation, None  # noqa: SLF001 - one of its own kind
        return other

    def switch(self, generation: int) -> None:
        """Put another generation in force."""
        self._put(self._pointer, {"number": generation})

    def drop(self, generation: int) -> None:
        """Delete a generation that is not in force, with its notes."""
        check_droppable(generation, self.generation)
        name = self._named(generation)
        with self._explained("delete"):
            if name in self._database.list_tables().tables:
                self._database.drop_table(name)
            for each in self.beside(generation).notes():
                (self.folder / f"{name}.{each}.json").unlink(missing_ok=True)

    def write(self, chunks: Sequence[Chunk], vectors: np.ndarray) -> None:
        """Insert or replace chunks by id."""
        if not chunks:
            return
        rows = {
            chunk.id: {**asdict(chunk), "embedded": chunk.embedded, "vector": vector}
            for chunk, vector in zip(chunks, vectors, strict=True)
        }
        with self._explained("write"):
            table = self._create(vectors.shape[1])
            merge = table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
            merge.execute(pa.Table.from_pylist(list(rows.values()), schema=table.schema))

    def delete(self, ids: Sequence[str]) -> None:
        """Remove the chunks with these ids."""
        with self._explained("delete"):
            table = self._open()
            if table is not None and ids:
                table.delete(f"id IN ({quoted(ids)})")

    def ids(self, sources: Sequence[str]) -> set[str]:
        """Read back the ids of all chunks of these sources."""
        with self._explained("read back"):
            table = self._open()
            if table is None or not sources:
                return set()
            query = table.search().where(f"source IN ({quoted(sources)})").select(["id"])
            return set(query.to_arrow().column("id").to_pylist())

    def rows(self, source: str) -> list[tuple[Chunk, np.ndarray]]:
        """Read the chunks of a source with their vectors."""
        with self._explained("read back"):
            table = self._open()
            if table is None:
                return []
            found = table.search().where(f"source IN ({quoted([source])})").to_list()
        return [(chunk_of(row), np.asarray(row["vector"], dtype=np.float32)) for row in found]

    def hybrid(
        self,
        query: str,
        vector: np.ndarray,
        *,
        alpha: float,
        limit: int,
        where: Where = Where(),
    ) -> list[Hit]:
        """Search both arms and fuse them; every hit carries its true cosine."""
        return self._hybrid([query], vector[None], alpha, limit, where)[0]

    def hybrid_many(
        self, queries: Sequence[str], vectors: np.ndarray, *, alpha: float, limit: int
    ) -> list[list[Hit]]:
        """Search for many queries, a slice of them at a time."""
        found: list[list[Hit]] = []
        for at in range(0, len(queries), _SLICE):
            some, near = queries[at : at + _SLICE], vectors[at : at + _SLICE]
            found += self._hybrid(some, near, alpha, limit, Where())
        return found

    def _hybrid(
        self, queries: Sequence[str], vectors: np.ndarray, alpha: float, limit: int, where: Where
    ) -> list[list[Hit]]:
        def find(_: int) -> list[list[Hit]]:
            with self._explained("search"):
                table = self._open()
                if table is None or not self._takes(table, vectors.shape[1]):
                    return []
                words = alpha < 1 and self._has_words(table)
                found = search(
                    table, queries, vectors, alpha=alpha, limit=limit, where=where, words=words
                )
                return found if any(found) else []

        return steady(lambda: self.generation, find) or [[] for _ in queries]

    def documents(self) -> list[StoredDocument]:
        """List the documents, ordered by source."""
        with self._explained("list documents"):
            table = self._open()
            if table is None:
                return []
            columns = table.search().select(["source", "document", "title", "page"]).to_arrow()
        counted = columns.group_by(["source", "document", "title"]).aggregate(
            [("page", "count_distinct"), ("page", "count")]
        )
        found = [
            StoredDocument(
                id=row["document"],
                source=row["source"],
                title=row["title"],
                pages=row["page_count_distinct"],
                chunks=row["page_count"],
            )
            for row in counted.to_pylist()
        ]
        return sorted(found, key=lambda each: (each.source, each.id, each.title))

    def chunks(self) -> Iterator[Chunk]:
        """Iterate over all chunks."""
        with self._explained("list chunks"):
            table = self._open()
            batches = [] if table is None else table.search().select(_there(table)).to_batches()
            for batch in batches:
                for row in batch.to_pylist():
                    yield chunk_of(row)

    def sample(self, limit: int) -> list[Chunk]:
        """Draw chunks by the first digits of their ids, which are as good as chance."""
        total = self.count()
        if total <= limit:
            return list(self.chunks())
        with self._explained("draw chunks"):
            bound = f"{limit * 16**8 // total:08x}"
            table = self._open()
            found = table.search().where(f"id < '{bound}'").select(_there(table)).to_list()
        return [chunk_of(row) for row in found]

    def count(self) -> int:
        """Count the chunks."""
        with self._explained("count"):
            table = self._open()
            return 0 if table is None else int(table.count_rows())

    def put_note(self, name: str, value: Mapping[str, Any]) -> None:
        """Keep a JSON value in a file beside the table, written whole or not at all."""
        self._put(self._note_path(name), value)

    def _put(self, path: Path, value: Mapping[str, Any]) -> None:
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        with self._explained("write"):
            try:
                temporary.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)

    def note(self, name: str) -> dict[str, Any] | None:
        """Read a note back, or None."""
        return steady(lambda: self.generation, lambda _: _read_json(self._note_path(name)))

    def notes(self) -> list[str]:
        """List the names of the notes."""
        start = f"{self._named(self.generation)}."
        names = [path.name for path in self.folder.glob(f"{start}*.json")]
        found = {name.removeprefix(start).removesuffix(".json") for name in names}
        # Those of other generations have a dot; who holds the lock stands in such a file too.
        return sorted(name for name in found - {"lock", POINTER} if "." not in name)

    def finish(self) -> None:
        """Merge small files and bring the indexes up to date; a large table gets more of them."""
        with self._explained("index"):
            table = self._open()
            if table is None:
                return
            if not self._has_words(table):
                table.create_index("embedded", config=FTS(with_position=False))
            if table.count_rows() >= _INDEX_FROM:
                for column, index in _LARGE.items():
                    if not _indexed(table, column):
                        table.create_index(column, config=index)
            table.optimize(cleanup_older_than=_KEPT_VERSIONS)

    def close(self) -> None:
        """Forget the table; LanceDB holds no connection."""
        self._table = None

    @property
    def _pointer(self) -> Path:
        return self.folder / f"{self._collection}.{POINTER}.json"

    def _named(self, generation: int) -> str:
        mark = "" if generation == FIRST else f".g{generation}"
        return f"{self._collection}{mark}"

    def _open(self) -> Any:
        number = self.generation
        if number != self._opened:
            self._table, self._opened = None, number
        name = self._named(number)
        if self._table is None and name in self._database.list_tables().tables:
            try:
                self._table = self._database.open_table(name)
            except ValueError as error:
                # While another process creates the table, its folder is there before its content.
                if "was not found" not in str(error):
                    raise
        return self._table

    def _create(self, dimension: int) -> Any:
        table = self._open()
        if table is None or not self._takes(table, dimension):
            texts = [pa.field(name, pa.string()) for name in FIELDS if name not in _NUMBERS]
            numbers = [pa.field(name, pa.int32()) for name in _NUMBERS]
            vector = pa.field("vector", pa.list_(pa.float32(), dimension))
            schema = pa.schema([*texts, *numbers, pa.field("embedded", pa.string()), vector])
            name = self._named(self.generation)
            mode = "create" if table is None else "overwrite"
            self._table = self._database.create_table(name, schema=schema, mode=mode, exist_ok=True)
        if LABEL not in self._table.schema.names:
            self._table.add_columns(pa.field(LABEL, pa.string()))
        return self._table

    def _takes(self, table: Any, dimension: int) -> bool:
        """Tell whether a table takes vectors of this length; raise where it holds others."""
        stored = table.schema.field("vector").type.list_size
        if stored != dimension and table.count_rows():
            message = (
                f"{self.folder} holds vectors of {stored} numbers in {self._collection!r}, not"
                f" {dimension}: it was made by another embedder; use that one, or a new collection"
            )
            raise StoreMismatchError(message)
        return bool(stored == dimension)

    @contextmanager
    def _explained(self, action: str) -> Iterator[None]:
        """Turn what LanceDB and the file system raise into the errors of a store."""
        try:
            yield
        except (StoreError, GeneratorExit):
            raise
        except Exception as error:
            raise _store_error(error, f"cannot {action} in {self.folder}") from error

    @staticmethod
    def _has_words(table: Any) -> bool:
        return _indexed(table, "embedded")

    def _note_path(self, name: str) -> Path:
        return self.folder / f"{self._named(self.generation)}.{name}.json"


_NUMBERS = ("page", "start", "end")
_LARGE = {"vector": IvfRq(distance_type="cosine"), "source": BTree(), "id": BTree()}


def _store_error(error: Exception, what: str) -> StoreError:
    reason = " ".join(str(error).split())[:300]
    number = error.errno if isinstance(error, OSError) else None
    if number in {errno.ENOSPC, errno.EDQUOT} or "No space left" in reason:
        return StoreFullError(f"{what}: the disk is full; free some space and ingest again")
    if isinstance(error, PermissionError) or "Permission denied" in reason:
        return StoreAccessError(f"{what}: no right to write there; choose another folder")
    if isinstance(error, FileExistsError | NotADirectoryError):
        return StoreMismatchError(f"{what}: it is no folder; choose another one")
    return StoreError(f"{what}: {reason}; if it goes on, delete the folder and ingest again")


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return value


def _there(table: Any) -> list[str]:
    return [name for name in FIELDS if name in table.schema.names]


def _indexed(table: Any, column: str) -> bool:
    return any(column in index.columns for index in table.list_indices())
