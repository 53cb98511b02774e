"""The embedded store at 10,000, 100,000 and a million chunks: insert, index, search, memory, disk.

    python tests/bench/store_scale.py --quick
    python tests/bench/store_scale.py --sizes 10000 100000 1000000

Chunks are made up: their words are drawn by Zipf's law and their vectors lie in clusters, 384
numbers each; uniform random vectors would defeat every index. The store is the product's own, with
its indexes and its searches. Questions are words of a chunk with a vector near to its. Recall is
that of the ten nearest by exact search. Each size is built in one process and searched in a fresh
one, whose peaks of memory are told.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ingest.documents import NAMESPACE, Chunk
from ingest.stores.base import Hit, Where
from ingest.stores.embedded import LanceStore

DIMENSION = 384
VOCABULARY = 30_000
DOCUMENT = 40  # chunks
QUESTIONS = 200
TOP = 10


class Made:
    """Chunks that are made up, the same ones for the same seed."""

    def __init__(self, size: int, words: int) -> None:
        self.size = size
        self.words = words
        centres = np.random.default_rng(1).standard_normal((max(10, size // 200), DIMENSION))
        self._centres = centres.astype(np.float32)
        letters = np.random.default_rng(2).integers(97, 123, (VOCABULARY, 7), dtype=np.uint8)
        self._words = [bytes(row[: 3 + number % 5]).decode() for number, row in enumerate(letters)]
        share = 1 / np.arange(1, VOCABULARY + 1)
        self._share = np.cumsum(share / share.sum())

    def vectors(self, first: int, count: int, *, spread: float = 0.7) -> np.ndarray:
        """Make vectors of length one, float32 of shape (count, 384)."""
        dice = np.random.default_rng([3, first])
        centre = self._centres[dice.integers(len(self._centres), size=count)]
        drawn = centre + spread * dice.standard_normal((count, DIMENSION), dtype=np.float32)
        return unit(drawn)

    def chunks(self, first: int, count: int) -> list[Chunk]:
        """Make chunks."""
        dice = np.random.default_rng([4, first])
        drawn = np.searchsorted(self._share, dice.random((count, self.words)))
        return [
            self._chunk(first + row, " ".join(self._words[each] for each in words))
            for row, words in enumerate(np.minimum(drawn, VOCABULARY - 1))
        ]

    def _chunk(self, number: int, text: str) -> Chunk:
        document, place = divmod(number, DOCUMENT)
        return Chunk(
            id=str(uuid.uuid5(NAMESPACE, str(number))),
            text=text,
            document=f"{document:064x}",
            source=f"documents/{document:06}.pdf",
            title=f"Document {document}",
            page=place // 4 + 1,
            start=0,
            end=len(text),
            heading=f"Section {place // 8 + 1}",
            embedder="made-up",
        )


def unit(vectors: np.ndarray) -> np.ndarray:
    """Bring vectors to length one."""
    scaled: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return scaled


def build(folder: Path, made: Made, batch: int) -> dict[str, float]:
    """Write all chunks and index them; tell how long it took."""
    store = LanceStore(folder, collection="bench")
    writing = 0.0
    for first in range(0, made.size, batch):
        count = min(batch, made.size - first)
        chunks, vectors = made.chunks(first, count), made.vectors(first, count)
        started = time.perf_counter()
        store.write(chunks, vectors)
        writing += time.perf_counter() - started
        if first // batch % 50 == 0:
            print(f"  {first + count:,} written, {writing:.0f} s", file=sys.stderr, flush=True)
    started = time.perf_counter()
    store.finish()
    indexing = time.perf_counter() - started
    started = time.perf_counter()
    store.finish()
    again = time.perf_counter() - started
    held = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return {
        "insert": writing,
        "index": indexing,
        "again": again,
        "disk": held / 1e6,
        "memory": peak_mb(),
    }


def search(folder: Path, made: Made, batch: int) -> dict[str, float]:
    """Ask the questions; tell how long each takes and how many of the nearest are found."""
    store = LanceStore(folder, collection="bench")
    dice = np.random.default_rng(5)
    asked = dice.choice(made.size // batch, size=min(20, made.size // batch), replace=False)
    texts: list[str] = []
    near: list[np.ndarray] = []
    sources: list[str] = []
    for block in asked:
        chunks, vectors = made.chunks(block * batch, batch), made.vectors(block * batch, batch)
        for row in dice.choice(batch, size=QUESTIONS // len(asked), replace=False):
            words = chunks[row].text.split()
            texts.append(" ".join(dice.choice(words, size=6)))
            near.append(vectors[row])
            sources.append(chunks[row].source)
    noise = dice.standard_normal((len(near), DIMENSION), dtype=np.float32)
    questions = unit(np.stack(near) + 0.02 * noise)
    right = nearest(made, questions, batch)
    found, vector_ms = timed(
        lambda row: store.hybrid(texts[row], questions[row], alpha=1.0, limit=TOP), len(texts)
    )
    _, hybrid_ms = timed(
        lambda row: store.hybrid(texts[row], questions[row], alpha=0.5, limit=TOP), len(texts)
    )
    _, narrowed_ms = timed(
        lambda row: store.hybrid(
            texts[row], questions[row], alpha=0.5, limit=TOP, where=Where(sources=(sources[row],))
        ),
        len(texts),
    )
    recall = np.mean(
        [
            len({hit.chunk.id for hit in hits} & ids) / len(ids)
            for hits, ids in zip(found, right, strict=True)
        ]
    )
    return {
        "recall": float(recall),
        **quantiles("vector", vector_ms),
        **quantiles("hybrid", hybrid_ms),
        **quantiles("narrowed", narrowed_ms),
        "searching": peak_mb(),
    }


def nearest(made: Made, questions: np.ndarray, batch: int) -> list[set[str]]:
    """Find the ten nearest chunks of each question by comparing it with all."""
    best = np.full((len(questions), TOP), -2.0, dtype=np.float32)
    rows = np.zeros((len(questions), TOP), dtype=np.int64)
    for first in range(0, made.size, batch):
        count = min(batch, made.size - first)
        scores = np.concatenate([best, questions @ made.vectors(first, count).T], axis=1)
        here = np.tile(np.arange(first, first + count), (len(rows), 1))
        numbers = np.concatenate([rows, here], axis=1)
        top = np.argpartition(-scores, TOP, axis=1)[:, :TOP]
        best = np.take_along_axis(scores, top, axis=1)
        rows = np.take_along_axis(numbers, top, axis=1)
    return [{str(uuid.uuid5(NAMESPACE, str(number))) for number in row} for row in rows]


def timed(ask: Callable[[int], list[Hit]], count: int) -> tuple[list[list[Hit]], list[float]]:
    """Ask all questions once to warm up, then once more and measure each, in milliseconds."""
    for row in range(min(20, count)):
        ask(row)
    found, spent = [], []
    for row in range(count):
        started = time.perf_counter()
        found.append(ask(row))
        spent.append(1000 * (time.perf_counter() - started))
    return found, spent


def quantiles(name: str, spent: list[float]) -> dict[str, float]:
    """Give median and 95th percentile."""
    return {f"{name}_p50": float(np.median(spent)), f"{name}_p95": float(np.quantile(spent, 0.95))}


def peak_mb() -> float:
    """Give this process's peak of resident memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def measure(size: int, words: int, batch: int, folder: Path) -> dict[str, float]:
    """Build and search one size, each in a process of its own."""
    result: dict[str, float] = {}
    for part in ("build", "search"):
        given = [part, str(size), str(words), str(batch), str(folder)]
        told = subprocess.run(
            [sys.executable, __file__, "--part", *given], stdout=subprocess.PIPE, check=True
        )
        result |= json.loads(told.stdout)
    return result


COLUMNS: list[tuple[str, Callable[[dict[str, float], int], str]]] = [
    ("insert", lambda told, size: f"{told['insert']:.0f} s"),
    ("chunks/s", lambda told, size: f"{size / told['insert']:,.0f}"),
    ("index", lambda told, size: f"{told['index']:.1f} s"),
    ("again", lambda told, size: f"{told['again']:.2f} s"),
    ("vector p50 / p95", lambda told, size: _pair(told, "vector")),
    ("recall@10", lambda told, size: f"{told['recall']:.3f}"),
    ("hybrid p50 / p95", lambda told, size: _pair(told, "hybrid")),
    ("in one document", lambda told, size: _pair(told, "narrowed")),
    ("peak build", lambda told, size: f"{told['memory']:,.0f} MB"),
    ("peak search", lambda told, size: f"{told['searching']:,.0f} MB"),
    ("disk", lambda told, size: f"{told['disk']:,.0f} MB"),
]


def _pair(told: dict[str, float], name: str) -> str:
    return f"{told[f'{name}_p50']:.1f} / {told[f'{name}_p95']:.1f} ms"


def table(results: dict[int, dict[str, float]]) -> Iterator[str]:
    """Write the table, with the ratio of the largest to the smallest."""
    rows = [["chunks", *(name for name, _ in COLUMNS)]]
    rows += [
        [f"{size:,}", *(write(told, size) for _, write in COLUMNS)]
        for size, told in results.items()
    ]
    for row in rows:
        yield f"| {' | '.join(row)} |"
        if row is rows[0]:
            yield f"|{'---|' * len(row)}"
    small, large = min(results), max(results)
    first, last = results[small], results[large]
    if large > small:
        yield (
            f"{large / small:.0f} times the chunks: insert {last['insert'] / first['insert']:.1f}, "
            f"vector p50 {last['vector_p50'] / first['vector_p50']:.1f}, "
            f"hybrid p50 {last['hybrid_p50'] / first['hybrid_p50']:.1f}, "
            f"disk {last['disk'] / first['disk']:.1f} times"
        )


def main() -> None:
    """Measure all sizes and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--quick", action="store_true", help="2,000 and 10,000 chunks")
    parser.add_argument("--words", type=int, default=100, help="words of a chunk")
    parser.add_argument("--batch", type=int, default=2000, help="chunks written at once")
    parser.add_argument("--folder", type=Path, help="where to build; else a temporary folder")
    parser.add_argument("--part", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        part, size, words, batch, folder = arguments.part
        run: Callable[[Path, Made, int], dict[str, Any]] = build if part == "build" else search
        print(json.dumps(run(Path(folder), Made(int(size), int(words)), int(batch))))
        return
    sizes = [2000, 10_000] if arguments.quick else sorted(arguments.sizes)
    results = {}
    for size in sizes:
        scratch = Path(tempfile.mkdtemp(dir=arguments.folder))
        try:
            results[size] = measure(size, arguments.words, arguments.batch, scratch)
        finally:
            shutil.rmtree(scratch)
        print(f"{size:,}: {json.dumps(results[size])}", file=sys.stderr, flush=True)
    print("\n".join(table(results)))


if __name__ == "__main__":
    main()
