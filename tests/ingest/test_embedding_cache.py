"""Vectors are computed once, kept in bounds, and never mixed up between models or processes."""

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ingest_fakes import WordEmbedder

from ingest.embedding.cache import CachedEmbedder, DiskVectors, MemoryVectors, Vectors

MB = 1024 * 1024
WRITER = """
import sys
import numpy as np
from pathlib import Path
from ingest.embedding.cache import DiskVectors
vectors = DiskVectors(Path(sys.argv[1]), limit_bytes=1 << 30)
for number in range(40):
    key = f"{sys.argv[2]}{number}".encode()
    vectors.put({key: np.full(8, number, np.float32)})
    assert vectors.get([key])[key][0] == number
"""


def disk(path: Path, limit: int = MB) -> DiskVectors:
    return DiskVectors(path / "home" / "embeddings.sqlite", limit_bytes=limit)


def many(first: int, count: int) -> dict[bytes, np.ndarray]:
    return {
        number.to_bytes(32, "big"): np.full(384, number, np.float32)
        for number in range(first, first + count)
    }


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_each_text_is_embedded_once_and_its_vector_stays_the_same(
    kind: str, tmp_path: Path
) -> None:
    inner = WordEmbedder()
    vectors: Vectors = MemoryVectors() if kind == "memory" else disk(tmp_path)
    embedder = CachedEmbedder(inner, vectors)
    first = embedder.encode(["one", "two", "one"])
    again = embedder.encode(["two", "three", "one"])
    assert inner.encoded == ["one", "two", "three"]
    assert (again[[2, 0]] == first[[0, 1]]).all()
    assert (again == WordEmbedder().encode(["two", "three", "one"])).all()


def test_of_a_bounded_memory_the_newest_stay() -> None:
    vectors = MemoryVectors(most=2)
    for text in ("one", "two", "three"):
        CachedEmbedder(WordEmbedder(), vectors).encode([text])
    inner = WordEmbedder()
    CachedEmbedder(inner, vectors).encode(["three", "two", "one"])
    assert inner.encoded == ["one"]


def test_another_process_finds_what_the_first_computed(tmp_path: Path) -> None:
    CachedEmbedder(WordEmbedder(), disk(tmp_path)).encode(["one", "two"])
    inner = WordEmbedder()
    CachedEmbedder(inner, disk(tmp_path)).encode(["two", "one"])
    assert inner.encoded == []


def test_models_do_not_see_each_others_vectors(tmp_path: Path) -> None:
    CachedEmbedder(WordEmbedder(), disk(tmp_path), space="torch model 1").encode(["one"])
    inner = WordEmbedder()
    CachedEmbedder(inner, disk(tmp_path), space="torch model 2").encode(["one"])
    assert inner.encoded == ["one"]


def test_progress_counts_each_distinct_text_and_what_was_kept(tmp_path: Path) -> None:
    class Telling(WordEmbedder):
        def encode(self, texts, progress=None):  # type: ignore[no-untyped-def]
            if progress:
                progress(len(texts))
            return super().encode(texts)

    embedder = CachedEmbedder(Telling(), disk(tmp_path))
    told: list[int] = []
    embedder.encode(["one", "two"], told.append)
    embedder.encode(["one", "two", "three"], told.append)
    assert told == [2, 2, 1]


def test_no_texts_give_no_vectors(tmp_path: Path) -> None:
    assert CachedEmbedder(WordEmbedder(), disk(tmp_path)).encode([]).shape == (0, 64)


def test_the_rest_is_the_embedders_own(tmp_path: Path) -> None:
    embedder = CachedEmbedder(WordEmbedder("mine"), disk(tmp_path))
    assert (embedder.name, embedder.dimension, embedder.max_tokens) == ("mine", 64, 256)
    assert embedder.token_spans("a bc") == [(0, 1), (2, 4)]
    assert embedder.count_tokens("a bc") == 2


def test_the_file_stays_within_its_limit_and_the_longest_unused_go_first(tmp_path: Path) -> None:
    vectors = disk(tmp_path)
    favourites = many(0, 20)
    vectors.put(favourites)
    for first in range(100, 1700, 100):
        vectors.put(many(first, 100))
        assert len(vectors.get(list(favourites))) == 20
    assert len(vectors.get(list(many(1600, 100)))) == 100
    assert not vectors.get(list(many(100, 100)))
    size = sum(file.stat().st_size for file in (tmp_path / "home").glob("embeddings.sqlite"))
    assert size < 1.5 * MB  # one write may go over before the rest makes room


def test_a_broken_file_costs_time_only_and_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    vectors = disk(tmp_path)
    file = tmp_path / "home" / "embeddings.sqlite"
    file.parent.mkdir()
    file.write_bytes(b"not a database, " * 100)
    inner = WordEmbedder()
    with caplog.at_level(logging.WARNING):
        embedder = CachedEmbedder(inner, vectors)
        embedder.encode(["one"])
        embedder.encode(["one"])
    assert inner.encoded == ["one", "one"]
    assert len(caplog.records) == 1
    assert str(file) in caplog.text
    assert "delete the file" in caplog.text


def test_two_processes_write_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    file = tmp_path / "embeddings.sqlite"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(file), name]) for name in "ab"]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0]
    kept = DiskVectors(file, limit_bytes=MB).get(
        [f"{name}{number}".encode() for name in "ab" for number in range(40)]
    )
    assert len(kept) == 80
    assert all(vector[0] == int(key[1:]) for key, vector in kept.items())


def test_a_process_that_dies_in_the_middle_leaves_a_usable_file(tmp_path: Path) -> None:
    file = tmp_path / "embeddings.sqlite"
    DiskVectors(file, limit_bytes=MB).put(many(0, 3))
    dying = (
        "import os, sqlite3, sys\n"
        "database = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "database.execute('BEGIN IMMEDIATE')\n"
        "database.execute('DELETE FROM vectors')\n"
        "os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", dying, str(file)], check=False).returncode == 9
    assert len(DiskVectors(file, limit_bytes=MB).get(list(many(0, 3)))) == 3
