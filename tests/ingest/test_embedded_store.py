"""What the embedded store does when the disk or the folder fails."""

import errno
import os
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
