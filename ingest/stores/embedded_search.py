"""The search of the embedded store: the nearest vectors of a table and its best words, fused."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import pyarrow as pa

from ingest.documents import Chunk
from ingest.stores.base import Hit, Where, relative_score_fusion

FIELDS = [each.name for each in fields(Chunk)]
LABEL = "page_label"
"""The column that a table made before pages had labels gets with its next write."""
_CANDIDATES = 50
# The index keeps a bit a number: so many times the candidates are compared by their true vectors.
_REFINED = 4
_PROBES = 40  # of the index's parts, each of about 8,000 vectors


def search(
    table: Any,
    queries: Sequence[str],
    vectors: np.ndarray,
    *,
    alpha: float,
    limit: int,
    where: Where,
    words: bool,
) -> list[list[Hit]]:
    """Search for each query by its vector, and by its words where the table has those indexed.

    All vectors are compared at once; every hit carries its true cosine.
    """
    condition = _condition(where, labelled=bool(where.labels) and LABEL in table.schema.names)
    depth = max(limit, _CANDIDATES)
    arms = [_Arms() for _ in queries]
    if alpha > 0:
        near = _filtered(table, list(vectors), "vector", condition).distance_type("cosine")
        near = near.limit(depth).nprobes(_PROBES).refine_factor(_REFINED)
        found = near.to_arrow()
        for row, (place, key, distance) in enumerate(_nearest(found)):
            arms[place].by_vector[key] = 1.0 - distance
            arms[place].rows[key] = (found, row)
    for query, own in zip(queries, arms, strict=True):
        said = " ".join(re.findall(r"\w+", query))
        if words and said and alpha < 1:
            own.add_words(_filtered(table, said, "fts", condition).limit(depth).to_arrow())
    return [own.best(vector, alpha, limit) for own, vector in zip(arms, vectors, strict=True)]


def chunk_of(row: Mapping[str, Any]) -> Chunk:
    """Make a chunk of a row; what the row lacks stays at its default."""
    return Chunk(**{name: row[name] for name in FIELDS if row.get(name) is not None})


@dataclass
class _Arms:
    """What both arms of one search found: scores by id, and in which row of what each id stands."""

    by_vector: dict[str, float] = field(default_factory=dict)
    by_words: dict[str, float] = field(default_factory=dict)
    rows: dict[str, tuple[pa.Table, int]] = field(default_factory=dict)

    def add_words(self, found: pa.Table) -> None:
        for row, (key, score) in enumerate(zip(*_columns(found, "id", "_score"), strict=True)):
            self.by_words[key] = score
            self.rows.setdefault(key, (found, row))

    def best(self, vector: np.ndarray, alpha: float, limit: int) -> list[Hit]:
        """Fuse the arms. Only what is best becomes Python's values: all would take far longer."""
        fused = relative_score_fusion(self.by_vector, self.by_words, alpha)
        order = sorted(fused, key=lambda key: (-fused[key], key))[:limit]
        return [self._hit(key, vector, fused[key]) for key in order]

    def _hit(self, key: str, vector: np.ndarray, score: float) -> Hit:
        found, row = self.rows[key]
        (value,) = found.slice(row, 1).to_pylist()
        cosine = float(np.dot(vector, np.asarray(value["vector"], dtype=np.float32)))
        return Hit(chunk_of(value), score, cosine, self.by_words.get(key, 0.0))


def _nearest(found: pa.Table) -> Iterator[tuple[int, str, float]]:
    """Give each row's id and distance with the number of its vector; one alone has no number."""
    if "query_index" in found.column_names:
        yield from zip(*_columns(found, "query_index", "id", "_distance"), strict=True)
    else:
        yield from ((0, *each) for each in zip(*_columns(found, "id", "_distance"), strict=True))


def _columns(found: pa.Table, *names: str) -> list[list[Any]]:
    return [found.column(name).to_pylist() for name in names]


def _filtered(table: Any, query: Any, kind: str, condition: str) -> Any:
    column = "vector" if kind == "vector" else "embedded"
    key = {"vector_column_name": column} if kind == "vector" else {"fts_columns": column}
    builder = table.search(query, query_type=kind, **key)
    return builder.where(condition, prefilter=True) if condition else builder


def _condition(where: Where, *, labelled: bool) -> str:
    parts, pages = [], []
    if where.sources:
        parts.append(f"source IN ({quoted(where.sources)})")
    if where.pages:
        pages.append(f"page IN ({', '.join(str(int(page)) for page in where.pages)})")
    if where.labels:
        pages.append(f"{LABEL} IN ({quoted(where.labels)})" if labelled else "false")
    if pages:
        parts.append(f"({' OR '.join(pages)})")
    return " AND ".join(parts)


def quoted(values: Sequence[str]) -> str:
    """Write a list of texts for SQL."""
    return ", ".join("'" + value.replace("'", "''") + "'" for value in values)
