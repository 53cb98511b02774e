"""What the embedded store does when the disk or the folder fails."""

import errno
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ingest.config import StoreConfig
from ingest.documents import Chunk
from ingest.errors import StoreAccessError, StoreError, StoreFullError, StoreMismatchError
from ingest.stores import open_store
from ingest.stores.embedded import LanceStore

CHUNK = Chunk("id", "text", "d" * 64, "a.pdf", "A", 1, 0, 4, "", "test")
VECTOR = np.ones((1, 4), dtype=np.float32)


def test_a_full_disk_is_named_and_leaves_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LanceStore(tmp_path, collection="library")
    store.write([CHUNK], VECTOR)
    store.put_note("card", {"chunks": 1})

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", full)
        with pytest.raises(StoreFullError, match="free some space"):
            store.put_note("card", {"chunks": 2})
        patched.setattr(type(store._open()), "merge_insert", full)
        with pytest.raises(StoreFullError, match="free some space"):
            store.write([CHUNK], VECTOR)
    assert store.count() == 1
    assert store.note("card") == {"chunks": 1}
    assert not list(tmp_path.glob("*.tmp"))


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    path = tmp_path / "library"
    path.write_text("not a folder")
    with pytest.raises(StoreMismatchError, match="no folder"):
        open_store(StoreConfig(folder=path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_rights_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StoreAccessError, match="choose another folder"):
            open_store(StoreConfig(folder=tmp_path / "library"))
    finally:
        tmp_path.chmod(0o700)


def test_a_damaged_table_is_named_with_what_to_do(tmp_path: Path) -> None:
    store = LanceStore(tmp_path, collection="library")
    store.write([CHUNK], VECTOR)
    store.close()
    for path in (tmp_path / "library.lance").rglob("*"):
        if path.is_file():
            path.write_bytes(b"garbage")
    with pytest.raises(StoreError, match="ingest again"):
        LanceStore(tmp_path, collection="library").count()


def test_a_library_that_was_emptied_takes_vectors_of_another_length(tmp_path: Path) -> None:
    store, other = (LanceStore(tmp_path, collection="library") for _ in range(2))
    store.write([CHUNK], VECTOR)
    store.finish()
    assert other.count() == 1
    store.delete([CHUNK.id])
    longer = np.ones((1, 9), dtype=np.float32)
    assert other.hybrid("text", longer[0], alpha=0.5, limit=3) == []
    store.write([CHUNK], longer)
    store.finish()
    for each in (store, other, LanceStore(tmp_path, collection="library")):
        assert [hit.chunk for hit in each.hybrid("text", longer[0], alpha=0.5, limit=3)] == [CHUNK]
    with pytest.raises(StoreMismatchError, match="holds vectors of 9 numbers"):
        store.write([CHUNK], VECTOR)


def test_a_large_table_is_indexed_and_finds_what_an_exact_search_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.stores.embedded._INDEX_FROM", 1000)
    dice = np.random.default_rng(0)
    centres = np.repeat(dice.standard_normal((30, 64)), 100, axis=0)
    drawn = centres + 0.7 * dice.standard_normal(centres.shape)
    vectors = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    chunks = [replace(CHUNK, id=f"{row:04}", source=f"{row // 100}.pdf") for row in range(3000)]
    store = LanceStore(tmp_path, collection="library")
    store.write(chunks[:2000], vectors[:2000])
    store.finish()
    store.write(chunks[2000:], vectors[2000:])
    store.finish()
    table = store._open()
    assert {
        each.columns[0]: each.num_unindexed_rows for each in table.list_indices()
    } == dict.fromkeys(["embedded", "vector", "source", "id"], 0)
    asked = vectors[::100]
    nearest = np.argsort(-(asked @ vectors.T), axis=1)[:, :10]
    found = [store.hybrid("text", each, alpha=1.0, limit=10) for each in asked]
    right = [
        len({hit.chunk.id for hit in hits} & {f"{row:04}" for row in rows})
        for hits, rows in zip(found, nearest, strict=True)
    ]
    assert np.mean(right) >= 9.5
    assert store.hybrid_many(["text"] * len(asked), asked, alpha=1.0, limit=10) == found
    assert store.ids(["7.pdf"]) == {f"{row:04}" for row in range(700, 800)}


def test_an_ingest_leaves_no_old_versions_of_a_table_beyond_an_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.stores.embedded._KEPT_VERSIONS", timedelta(milliseconds=1))
    store = LanceStore(tmp_path, collection="library")
    for number in range(20):
        store.write([replace(CHUNK, id=str(number))], VECTOR)
    store.finish()
    assert len(store._open().list_versions()) <= 5
    assert store.count() == 20
