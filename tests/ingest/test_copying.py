"""Copying a library to another store: resumed, compared, and never mixed with another embedder."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from ingest_fakes import WordEmbedder, hurry
from weaviate_fake import FakeWeaviate, running

import ingest.copying
from ingest.collection import Collection
from ingest.config import StoreConfig
from ingest.copying import Compared, Copied, CopyReport, copy_library
from ingest.documents import Chunk, chunk_id
from ingest.errors import (
    CollectionBusyError,
    StoreError,
    StoreMismatchError,
    StoreUnreachableError,
    StoreWriteError,
)
from ingest.events import Finished, Report
from ingest.lock import Lock
from ingest.pipeline import ingest as read
from ingest.profiles import Only
from ingest.stores import Store, open_store
from ingest.stores.embedded import LanceStore

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("boats", "trains", "bikes", "meals")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    for name in NAMES:
        write(tmp_path / "files", name, "nine")
    return tmp_path / "files"


@pytest.fixture
def fake() -> Iterator[FakeWeaviate]:
    with running() as server:
        yield server


@pytest.fixture
def source(folder: Path, tmp_path: Path) -> LanceStore:
    store = LanceStore(tmp_path / "here", collection="library")
    take_in(folder, store)
    return store


@pytest.fixture
def target(fake: FakeWeaviate, tmp_path: Path) -> Iterator[Store]:
    config = StoreConfig(kind="weaviate", url=fake.url, timeout_s=60, folder=tmp_path / "there")
    store = open_store(config)
    yield store
    store.close()


def write(folder: Path, name: str, hour: str) -> None:
    (folder / f"{name}.md").write_text(
        f"# Rules of {name}\n\nThe desk for {name} opens at {hour}.\n\n"
        f"## Keys of {name}\n\nAsk Ada.\n"
    )


def take_in(folder: Path, store: Store, embedder: WordEmbedder | None = None) -> Report:
    collection = Collection(store, embedder or WordEmbedder())  # type: ignore[arg-type]
    *_, last = read([folder], collection=collection, sync=True)
    assert isinstance(last, Finished)
    return last.report


def copy(source: Store, target: Store) -> CopyReport:
    *_, last = copy_library(source, target)
    assert isinstance(last, CopyReport)
    return last


def contents(store: Store) -> dict[str, tuple[Chunk, bytes]]:
    rows = [row for document in store.documents() for row in store.rows(document.source)]
    return {chunk.id: (chunk, vector.tobytes()) for chunk, vector in rows}


def test_the_next_ingest_into_a_copy_embeds_nothing(
    source: Store, target: Store, folder: Path
) -> None:
    report = copy(source, target)
    assert (report.documents, report.written, report.elsewhere) == (4, report.chunks, 0)
    assert contents(target) == contents(source)
    again = take_in(folder, target)
    assert (again.embedded, again.skipped, again.total_documents) == (0, (), 4)
    assert contents(target) == contents(source)
    assert take_in(folder, target).unchanged == 4


def test_a_copy_counts_all_batches_of_a_document_and_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest.copying, "BATCH", 1)
    here, there = (LanceStore(tmp_path / each, collection="library") for each in "ab")
    chunks = [
        Chunk(
            chunk_id("a.md", "d", 1, at, at + 1, "p"), "x", "d", "a.md", "A", 1, at, at + 1, "", "w"
        )
        for at in range(4)
    ]
    here.write(chunks, np.ones((4, 8), dtype=np.float32))
    there.write(chunks[:1], np.ones((1, 8), dtype=np.float32))
    told = [each.done for each in copy_library(here, there) if isinstance(each, Copied)]
    assert told == [2, 3, 4, 4]


def test_a_second_copy_writes_nothing_and_compares_again(source: Store, target: Store) -> None:
    copy(source, target)
    events = list(copy_library(source, target))
    report = events[-1]
    assert isinstance(report, CopyReport)
    assert (report.written, report.removed, report.compared) == (0, 0, report.chunks)
    told = [each for each in events if isinstance(each, Copied)]
    assert [each.done for each in told] == sorted(each.done for each in told)
    assert told[-1].done == told[-1].total == report.chunks
    assert [each for each in events if isinstance(each, Compared)][-1] == Compared(4, 4)


def test_a_copy_that_breaks_off_goes_on_where_it_was(
    source: Store, target: Store, fake: FakeWeaviate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest.copying, "BATCH", 1)
    events = copy_library(source, target)
    for _ in range(5):
        next(events)
    events.close()
    kept = target.count()
    assert 0 < kept < source.count()
    state = target.note("state")
    assert state is not None
    assert state["finished"] is False
    assert copy(source, target).written == source.count() - kept
    assert contents(target) == contents(source)


_KILLED = """
import sys
from pathlib import Path
from ingest_crash import Killer
import ingest.copying
from ingest.stores.embedded import LanceStore

here, there, at = sys.argv[1:]
ingest.copying.BATCH = 1
stores = [LanceStore(Path(each), collection="library") for each in (here, there)]
killer = Killer(int(at))
sys.setprofile(killer)
for _ in ingest.copying.copy_library(*stores):
    pass
sys.setprofile(None)
print(killer.passed)
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_copy_that_is_killed_leaves_what_the_next_one_completes(
    source: LanceStore, folder: Path, tmp_path: Path
) -> None:
    def killed(there: Path, at: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", _KILLED, str(source.folder), str(there), str(at)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
            capture_output=True,
            text=True,
            check=False,
        )

    whole = killed(tmp_path / "whole", 0)
    assert whole.returncode == 0, whole.stderr
    for share in (0.05, 0.3, 0.55, 0.8, 0.95):
        there = tmp_path / f"killed-{share}"
        done = killed(there, int(share * int(whole.stdout)))
        assert done.returncode == -signal.SIGKILL, done.stderr
        target = LanceStore(there, collection="library")
        copy(source, target)
        assert contents(target) == contents(source)
        assert take_in(folder, target).embedded == 0


def test_a_server_that_goes_away_in_a_copy_is_told_and_the_copy_goes_on_later(
    source: Store, target: Store, fake: FakeWeaviate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest.copying, "BATCH", 1)
    events = copy_library(source, target)
    next(events)
    target._server.timeout_s = 1  # type: ignore[attr-defined]
    fake.faults.unavailable = 10_000
    with pytest.raises(StoreUnreachableError):
        list(events)
    target._server.timeout_s = 60  # type: ignore[attr-defined]
    fake.faults.unavailable = 0
    copy(source, target)
    assert contents(target) == contents(source)


@pytest.mark.parametrize(
    ("fault", "said"), [("refuse", "shard is broken"), ("lose", r"kept 0 of the 1 .* copy again")]
)
def test_what_the_server_refuses_or_loses_ends_the_copy_and_the_next_one_mends_it(
    source: Store, target: Store, fake: FakeWeaviate, fault: str, said: str
) -> None:
    one = min(contents(source))
    if fault == "refuse":
        fake.faults.refuse[one] = (2, "shard is broken")
    else:
        fake.faults.lose = {one}
    with pytest.raises(StoreWriteError, match=said):
        copy(source, target)
    fake.faults.lose = set()
    copy(source, target)
    assert contents(target) == contents(source)


def test_a_document_that_both_have_becomes_the_one_that_is_copied(
    source: Store, folder: Path, tmp_path: Path
) -> None:
    target = LanceStore(tmp_path / "there", collection="library")
    copy(source, target)
    take_in(folder, target)
    write(folder, "boats", "ten")
    write(folder, "sauna", "noon")
    take_in(folder, target)
    report = copy(source, target)
    assert (report.removed, report.elsewhere) == (report.written, 1)
    assert report.removed > 0
    there = contents(target)
    assert contents(source).items() <= there.items()
    assert {chunk.source for chunk, _ in there.values()} == {
        str(folder / f"{name}.md") for name in (*NAMES, "sauna")
    }
    # The file on the disk is the newer one: the copy must not be taken for it.
    again = take_in(folder, target)
    assert any("ten" in chunk.text for chunk, _ in contents(target).values())
    assert again.skipped == ()


def test_documents_that_only_the_target_has_are_still_found_by_what_they_say_of_themselves(
    source: Store, target: Store, folder: Path, tmp_path: Path
) -> None:
    write(folder, "boats", "ten")
    (tmp_path / "others").mkdir()
    for where, author in ((folder, "Weber"), (tmp_path / "others", "Miller")):
        (where / "sauna.md").write_text(f"---\nauthor: {author}\n---\n# Sauna\n\nIt is hot.\n")
    take_in(tmp_path / "others", target)
    take_in(folder, source)
    assert copy(source, target).elsewhere == 1
    collection = Collection(target, WordEmbedder())  # type: ignore[arg-type]
    for where, author in ((folder, "Weber"), (tmp_path / "others", "Miller")):
        hits = collection.search("sauna", only=Only(meta={"author": (author,)}))
        assert {hit.chunk.source for hit in hits} == {str(where / "sauna.md")}


def test_a_library_of_another_embedder_is_left_alone(
    source: Store, folder: Path, tmp_path: Path
) -> None:
    target = LanceStore(tmp_path / "there", collection="library")
    take_in(folder, target, WordEmbedder("other"))
    before = contents(target)
    with pytest.raises(StoreMismatchError, match="embedded with other, this one with words"):
        copy(source, target)
    assert contents(target) == before


def test_a_vector_or_a_text_that_changed_on_the_way_is_found(source: Store, tmp_path: Path) -> None:
    class Careless(LanceStore):
        moved = np.float32(0)

        def rows(self, source: str) -> list[tuple[Chunk, np.ndarray]]:
            return [(chunk, vector + self.moved) for chunk, vector in super().rows(source)]

    target = Careless(tmp_path / "there", collection="library")
    assert copy(source, target).rounded == 0
    target.moved = np.float32(3e-8)
    report = copy(source, target)
    assert 0 < report.rounded <= report.compared
    target.moved = np.float32(0.01)
    with pytest.raises(StoreWriteError, match="The vector of a chunk is not the same"):
        copy(source, target)


def test_a_title_that_differs_is_found_by_the_counts(source: Store, tmp_path: Path) -> None:
    target = LanceStore(tmp_path / "there", collection="library")
    copy(source, target)
    (chunk, vector), *_ = target.rows(target.documents()[0].source)
    changed = Chunk(**{**chunk.__dict__, "title": "Another"})
    target.write([changed], np.stack([vector]))
    with pytest.raises(StoreWriteError, match="1 of 4 documents are not the same"):
        copy(source, target)


def test_an_empty_library_and_one_onto_itself_are_not_copied(source: Store, tmp_path: Path) -> None:
    empty = LanceStore(tmp_path / "empty", collection="library")
    with pytest.raises(StoreError, match="is empty: run agentlab ingest"):
        copy(empty, source)
    same = LanceStore(tmp_path / "here", collection="library")
    with pytest.raises(StoreMismatchError, match="onto itself"):
        copy(source, same)


def test_a_library_that_is_being_changed_is_not_copied(source: Store, tmp_path: Path) -> None:
    target = LanceStore(tmp_path / "there", collection="library")
    with Lock(source.place) as lock:
        assert lock.take()
        with pytest.raises(CollectionBusyError, match="being changed by process"):
            copy(source, target)
    assert target.count() == 0
    assert copy(source, target).written == source.count()
