"""Duplicates: files with the bytes of another, whose chunks serve for both, and when they go."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ingest_fakes import WordEmbedder, hurry

import ingest.pipeline
from ingest.catalog import find_document, list_documents
from ingest.collection import Collection
from ingest.config import IngestConfig
from ingest.events import Finished, Parsed, Report
from ingest.manifest import Record
from ingest.pipeline import preview
from ingest.stores.embedded import LanceStore

BOATS = "The desk for boats opens at nine.\n"
TRAINS = "The desk for trains opens at ten.\n"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


@pytest.fixture
def collection(tmp_path: Path) -> Iterator[Collection]:
    opened = Collection(LanceStore(tmp_path / "library", collection="t"), WordEmbedder())
    yield opened
    opened.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose first file has a twin in a folder beside it."""
    for number in range(6):
        write(tmp_path / "here" / f"other{number}.txt", f"Rule number {number}.\n")
    write(tmp_path / "here" / "first.txt", BOATS)
    write(tmp_path / "there" / "twin.txt", BOATS)
    return tmp_path / "here"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def run(collection: Collection, *paths: Path, **options: Any) -> Report:
    *_, last = ingest.pipeline.ingest(paths, collection=collection, **options)
    assert isinstance(last, Finished)
    return last.report


def sources_of(collection: Collection, text: str) -> list[str]:
    return [
        Path(each.source).name for each in collection.store.chunks() if text.strip() in each.text
    ]


def record_of(collection: Collection, name: str) -> Record:
    return find_document(list_documents(collection.store), name).record


def test_a_twin_elsewhere_takes_over_from_a_file_that_a_sync_removes(
    collection: Collection, folder: Path
) -> None:
    run(collection, folder, folder.with_name("there"))
    (folder / "first.txt").unlink()
    assert preview([folder], collection=collection, sync=True).removals == ()
    report = run(collection, folder, sync=True)
    assert [Path(each.source).name for each in report.moved] == ["twin.txt"]
    assert report.removed == ()
    assert sources_of(collection, BOATS) == ["twin.txt"]
    assert run(collection, folder, folder.with_name("there"), sync=True).unchanged == 7


def test_a_twin_elsewhere_is_read_when_the_file_that_served_for_it_changes(
    collection: Collection, folder: Path
) -> None:
    run(collection, folder, folder.with_name("there"))
    write(folder / "first.txt", TRAINS)
    assert run(collection, folder).documents == 2
    assert sources_of(collection, BOATS) == ["twin.txt"]
    assert sources_of(collection, TRAINS) == ["first.txt"]


def test_a_twin_elsewhere_follows_a_file_that_moves(collection: Collection, folder: Path) -> None:
    run(collection, folder, folder.with_name("there"))
    (folder / "first.txt").rename(folder / "renamed.txt")
    run(collection, folder)
    assert record_of(collection, "twin.txt").same_as == str(folder / "renamed.txt")


def test_of_several_twins_one_takes_over_and_serves_for_the_others(
    collection: Collection, folder: Path
) -> None:
    write(folder.with_name("there") / "twin2.txt", BOATS)
    run(collection, folder, folder.with_name("there"))
    (folder / "first.txt").unlink()
    run(collection, folder, sync=True)
    assert sources_of(collection, BOATS) == ["twin.txt"]
    there = str(folder.with_name("there") / "twin.txt")
    assert record_of(collection, "twin2.txt").same_as == there


def test_a_twin_that_is_gone_or_has_changed_does_not_take_over(
    collection: Collection, folder: Path
) -> None:
    gone = write(folder.with_name("there") / "gone.txt", BOATS)
    run(collection, folder, folder.with_name("there"))
    gone.unlink()
    write(folder.with_name("there") / "twin.txt", TRAINS)
    (folder / "first.txt").unlink()
    report = run(collection, folder, sync=True)
    assert [Path(each.source).name for each in report.removed] == ["first.txt"]
    assert (report.moved, report.documents, report.skipped) == ((), 0, ())


def test_a_twin_elsewhere_is_left_alone_while_the_file_that_serves_for_it_stays(
    collection: Collection, folder: Path
) -> None:
    run(collection, folder, folder.with_name("there"))
    write(folder / "other0.txt", TRAINS)
    config = IngestConfig(chunk_tokens=100)  # all are read again
    plan = preview([folder], collection=collection, config=config, sync=True)
    assert "first.txt" in {step.path.name for step in plan.todo}
    assert "twin.txt" not in {step.path.name for step in plan.steps}


@pytest.mark.parametrize("sync", [True, False])
def test_a_twin_that_an_interrupted_run_was_to_read_is_read_by_the_next(
    collection: Collection, folder: Path, *, sync: bool
) -> None:
    run(collection, folder, folder.with_name("there"))
    if sync:
        (folder / "first.txt").unlink()
    else:
        write(folder / "first.txt", TRAINS)
    events = ingest.pipeline.ingest([folder], collection=collection, sync=sync)
    assert any(isinstance(event, Parsed) for event in events)
    events.close()  # type: ignore[attr-defined]
    run(collection, folder, sync=sync)
    assert sources_of(collection, BOATS) == ["twin.txt"]
    assert run(collection, folder, folder.with_name("there"), sync=sync).unchanged == 8 - sync


def test_a_duplicate_notes_the_source_that_is_stored_not_the_path_as_typed(
    collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in (("one", TRAINS), ("two", BOATS)):
        monkeypatch.chdir(write(tmp_path / name / "docs" / "rules.txt", text).parents[1])
        if name == "two":
            write(Path("docs/twin.txt"), BOATS)
        run(collection, Path("docs"))
    assert record_of(collection, "twin.txt").same_as == str(tmp_path / "two/docs/rules.txt")
    assert str(tmp_path / "two/docs/rules.txt") in {e.source for e in collection.store.chunks()}


def test_a_duplicate_of_a_failed_file_fails_too_whatever_name_that_is_stored_under(
    collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in (("one", TRAINS), ("two", "\0\1\2\3" * 99)):
        monkeypatch.chdir(write(tmp_path / name / "docs" / "rules.txt", text).parents[1])
        if name == "two":
            write(Path("docs/twin.txt"), text)
        report = run(collection, Path("docs"))
    assert [each.source for each in report.skipped] == ["docs/rules.txt", "docs/twin.txt"]
    assert report.duplicates == ()


def test_files_of_two_kinds_with_the_same_bytes_are_read_each_in_its_own_way(
    collection: Collection, tmp_path: Path
) -> None:
    for suffix in ("pdf", "txt"):
        write(tmp_path / "files" / f"rules.{suffix}", BOATS)
    report = run(collection, tmp_path / "files")
    assert [Path(each.source).name for each in report.skipped] == ["rules.pdf"]
    assert sources_of(collection, BOATS) == ["rules.txt"]


def test_a_stored_file_does_not_serve_for_one_of_another_kind(
    collection: Collection, tmp_path: Path
) -> None:
    run(collection, write(tmp_path / "rules.txt", BOATS))
    assert run(collection, write(tmp_path / "rules.md", BOATS)).duplicates == ()
    assert sorted(sources_of(collection, BOATS)) == ["rules.md", "rules.txt"]
