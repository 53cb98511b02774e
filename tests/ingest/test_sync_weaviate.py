"""Keeping a Weaviate in step: what the server refuses, loses or drops is told, then healed."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ingest_fakes import WordEmbedder, hurry
from weaviate_fake import FakeWeaviate, running

import ingest.pipeline
from ingest.collection import Collection
from ingest.config import StoreConfig
from ingest.errors import StoreFullError, StoreUnreachableError
from ingest.events import Finished, Parsed, Report
from ingest.manifest import peek
from ingest.stores import Store, open_store

NAMES = ("boats", "trains", "bikes")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


@pytest.fixture
def fake() -> Iterator[FakeWeaviate]:
    with running() as server:
        yield server


@pytest.fixture
def opened(fake: FakeWeaviate, tmp_path: Path) -> Iterator[Callable[..., Collection]]:
    stores: list[Store] = []

    def open_collection(machine: str = "one", timeout_s: float = 60) -> Collection:
        config = StoreConfig(
            kind="weaviate", url=fake.url, folder=tmp_path / machine, timeout_s=timeout_s
        )
        stores.append(open_store(config))
        return Collection(stores[-1], WordEmbedder())  # type: ignore[arg-type]

    yield open_collection
    for store in stores:
        store.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    for name in NAMES:
        (tmp_path / "files" / f"{name}.md").write_text(text_of(name))
    return tmp_path / "files"


def text_of(name: str) -> str:
    return f"# Rules of {name}\n\nThe desk for {name} opens at nine.\n"


def run(collection: Collection, folder: Path) -> Report:
    *_, last = ingest.pipeline.ingest([folder], collection=collection, sync=True)
    assert isinstance(last, Finished)
    return last.report


def held(collection: Collection) -> dict[str, str]:
    return {Path(chunk.source).stem: chunk.text for chunk in collection.store.chunks()}


def id_of(opened: Callable[..., Collection], folder: Path, name: str) -> str:
    """Find out the id that a file's chunk gets, by ingesting it and taking it back."""
    collection = opened("scout")
    run(collection, folder)
    [found] = collection.store.ids([str(folder / f"{name}.md")])
    for each in NAMES:
        collection.store.delete(sorted(collection.store.ids([str(folder / f"{each}.md")])))
    return found


def test_a_folder_is_followed_and_the_notes_lie_apart_for_each_server(
    opened: Callable[..., Collection], folder: Path, tmp_path: Path
) -> None:
    collection = opened()
    assert run(collection, folder).documents == 3
    (folder / "boats.md").rename(folder / "ships.md")
    (folder / "bikes.md").write_text(text_of("bicycles"))
    report = run(collection, folder)
    assert (len(report.moved), report.documents, report.embedded) == (1, 1, 1)
    assert sorted(held(collection)) == ["bikes", "ships", "trains"]
    assert "bicycles" in held(collection)["bikes"]
    [note] = (tmp_path / "one").glob("library.*.manifest.sqlite")
    assert note.is_file()


def test_a_refused_object_costs_its_document_alone_and_the_next_run_heals_it(
    fake: FakeWeaviate, opened: Callable[..., Collection], folder: Path
) -> None:
    refused = id_of(opened, folder, "boats")
    fake.faults.refuse[refused] = (99, "invalid object: broken shard")
    collection = opened()
    report = run(collection, folder)
    [skipped] = report.skipped
    assert (skipped.reason, report.documents, report.exit_code) == ("not_stored", 2, 1)
    assert "broken shard" in skipped.detail
    fake.faults.refuse.clear()
    healed = run(collection, folder)
    assert (healed.documents, healed.unchanged, healed.exit_code) == (1, 2, 0)
    assert sorted(held(collection)) == sorted(NAMES)


def test_an_object_that_is_acknowledged_but_lost_is_told_and_healed(
    fake: FakeWeaviate, opened: Callable[..., Collection], folder: Path
) -> None:
    fake.faults.lose = {id_of(opened, folder, "boats")}
    collection = opened()
    [skipped] = run(collection, folder).skipped
    assert skipped.detail == "the store kept 0 of its 1 chunks"
    fake.faults.lose = set()
    assert run(collection, folder).exit_code == 0
    assert sorted(held(collection)) == sorted(NAMES)


def test_a_new_version_that_is_refused_leaves_the_old_one(
    fake: FakeWeaviate, opened: Callable[..., Collection], folder: Path
) -> None:
    collection = opened()
    (folder / "boats.md").write_text(text_of("ships"))
    later = id_of(opened, folder, "boats")
    (folder / "boats.md").write_text(text_of("boats"))
    run(collection, folder)
    (folder / "boats.md").write_text(text_of("ships"))
    fake.faults.refuse[later] = (99, "shard is busy")
    assert run(collection, folder).exit_code == 1
    assert "desk for boats" in held(collection)["boats"]
    fake.faults.refuse.clear()
    run(collection, folder)
    assert "desk for ships" in held(collection)["boats"]
    assert collection.store.count() == 3


def test_a_connection_that_drops_in_the_middle_ends_the_run_and_the_next_goes_on(
    fake: FakeWeaviate, opened: Callable[..., Collection], folder: Path
) -> None:
    collection = opened(timeout_s=0.5)
    events = ingest.pipeline.ingest([folder], collection=collection)
    for event in events:
        if isinstance(event, Parsed):
            fake.faults.unavailable = 10**6
            break
    with pytest.raises(StoreUnreachableError):
        list(events)
    fake.faults.unavailable = 0
    again = opened()
    assert run(again, folder).exit_code == 0
    assert sorted(held(again)) == sorted(NAMES)
    assert {record.state for record in peek(again.store.place).values()} == {"verified"}


def test_a_server_that_is_full_ends_the_run_and_the_next_goes_on(
    fake: FakeWeaviate, opened: Callable[..., Collection], folder: Path
) -> None:
    reason = "store is read-only due to: disk usage too high"
    fake.faults.refuse = {id_of(opened, folder, "trains"): (2, reason)}
    collection = opened()
    with pytest.raises(StoreFullError, match="free disk space on the server"):
        run(collection, folder)
    assert run(collection, folder).exit_code == 0
    assert sorted(held(collection)) == sorted(NAMES)


def test_another_machine_takes_over_what_is_there_without_embedding(
    opened: Callable[..., Collection], folder: Path
) -> None:
    run(opened("one"), folder)
    report = run(opened("two"), folder)
    assert (report.documents, report.embedded, report.total_documents) == (3, 0, 3)
    assert run(opened("two"), folder).unchanged == 3
    assert run(opened("one"), folder).unchanged == 3
