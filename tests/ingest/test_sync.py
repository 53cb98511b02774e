"""Keeping in step: folders that change between runs, and what the manifest makes of it."""

import os
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ingest_fakes import WordEmbedder, hurry

import ingest.pipeline
from ingest.catalog import find_document, list_documents, remove_document
from ingest.collection import Collection
from ingest.config import IngestConfig
from ingest.documents import kind_of
from ingest.errors import (
    CollectionBusyError,
    PathMissingError,
    RemovalsHeldError,
    StoreMismatchError,
    UnknownDocumentError,
)
from ingest.events import Finished, Report, StillFailing, Waiting
from ingest.lock import Lock
from ingest.manifest import Manifest, manifest_path
from ingest.pipeline import preview
from ingest.plan import Plan
from ingest.profiles import Only
from ingest.stores.embedded import LanceStore

LONG_AGO_NS = 1_700_000_000_000_000_000
NAMES = ("boats", "trains", "bikes", "meals", "hotels", "sauna")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


@pytest.fixture
def embedder() -> WordEmbedder:
    return WordEmbedder()


@pytest.fixture
def collection(tmp_path: Path, embedder: WordEmbedder) -> Iterator[Collection]:
    opened = Collection(LanceStore(tmp_path / "library", collection="t"), embedder)  # type: ignore[arg-type]
    yield opened
    opened.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in NAMES:
        write(tmp_path / "files" / f"{name}.md", text_of(name))
    return tmp_path / "files"


def text_of(name: str) -> str:
    return f"# Rules of {name}\n\nThe desk for {name} opens at nine.\n"


def write(path: Path, text: str) -> Path:
    """Write a file that seems old: one changed just now is always looked into."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    then = LONG_AGO_NS + zlib.crc32(text.encode())
    os.utime(path, ns=(then, then))
    return path


def run(collection: Collection, *paths: Path, **options: Any) -> Report:
    *_, last = ingest.pipeline.ingest(paths, collection=collection, **options)
    assert isinstance(last, Finished)
    return last.report


def names(collection: Collection) -> list[str]:
    return sorted(Path(each.source).stem for each in collection.store.documents())


def texts(collection: Collection) -> str:
    return " ".join(chunk.text for chunk in collection.store.chunks())


def kinds(plan: Plan) -> dict[str, str]:
    return {step.path.stem: step.kind for step in plan.steps}


@pytest.fixture
def opened_files(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are looked into."""
    seen: list[str] = []
    digest = ingest.plan.file_digest

    def look(path: Path) -> str:
        seen.append(path.stem)
        return digest(path)

    monkeypatch.setattr("ingest.plan.file_digest", look)
    return seen


def test_a_second_run_opens_no_file_and_embeds_nothing(
    collection: Collection, folder: Path, embedder: WordEmbedder, opened_files: list[str]
) -> None:
    assert run(collection, folder).embedded == 6
    opened_files.clear()
    embedder.encoded.clear()
    again = run(collection, folder, sync=True)
    assert (again.unchanged, again.embedded, again.exit_code) == (6, 0, 0)
    assert (opened_files, embedder.encoded) == ([], [])


def test_a_settled_collection_is_not_read_through(
    collection: Collection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(collection, folder)

    def unwanted() -> Any:
        raise AssertionError("the store was read through")

    monkeypatch.setattr(collection.store, "documents", unwanted)
    monkeypatch.setattr(collection.store, "chunks", unwanted)
    report = run(collection, folder, sync=True)
    assert (report.unchanged, report.total_documents) == (6, 6)
    assert len(list_documents(collection.store)) == 6


def test_a_file_that_was_only_touched_is_looked_into_once(
    collection: Collection, folder: Path, opened_files: list[str]
) -> None:
    run(collection, folder)
    opened_files.clear()
    os.utime(folder / "boats.md", ns=(LONG_AGO_NS, LONG_AGO_NS))
    assert run(collection, folder).unchanged == 6
    assert run(collection, folder).unchanged == 6
    assert opened_files == ["boats"]


def test_a_file_changed_just_now_is_looked_into_though_it_seems_the_same(
    collection: Collection, folder: Path
) -> None:
    path = folder / "boats.md"
    path.write_text("The old pier.")
    status = path.stat()
    run(collection, folder)
    path.write_text("The new pier.")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert run(collection, folder).documents == 1
    assert "new pier" in texts(collection)


def test_a_sync_removes_what_is_gone_and_a_plain_run_does_not(
    collection: Collection, folder: Path
) -> None:
    run(collection, folder)
    (folder / "boats.md").unlink()
    assert run(collection, folder).removed == ()
    assert "boats" in names(collection)
    report = run(collection, folder, sync=True)
    assert [Path(each.source).stem for each in report.removed] == ["boats"]
    assert (report.total_documents, report.exit_code) == (5, 0)
    assert "boats" not in names(collection)
    assert "boats" not in str(collection.store.note("card"))


def test_only_what_lies_in_the_given_folders_is_removed(
    collection: Collection, folder: Path, tmp_path: Path
) -> None:
    other = write(tmp_path / "others" / "other.md", text_of("other"))
    run(collection, folder, tmp_path / "others")
    other.unlink()
    assert run(collection, folder, sync=True).removed == ()
    assert "other" in names(collection)


def test_a_missing_folder_is_an_error_and_nothing_is_removed(
    collection: Collection, folder: Path
) -> None:
    run(collection, folder)
    folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(PathMissingError, match="files does not exist"):
        run(collection, folder, sync=True, allow_removals=True)
    assert len(names(collection)) == 6


def test_a_sync_that_would_remove_more_than_a_fifth_changes_nothing(
    collection: Collection, folder: Path
) -> None:
    run(collection, folder)
    for name in ("boats", "trains"):
        (folder / f"{name}.md").unlink()
    write(folder / "pets.md", text_of("pets"))
    with pytest.raises(RemovalsHeldError, match=r"remove 2 of 6 .*more than 20%.*--allow-removals"):
        run(collection, folder, sync=True)
    assert (len(names(collection)), "pets" in names(collection)) == (6, False)
    report = run(collection, folder, sync=True, allow_removals=True)
    assert (len(report.removed), report.documents) == (2, 1)


def test_a_folder_that_was_emptied_can_be_followed(collection: Collection, folder: Path) -> None:
    run(collection, folder)
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(RemovalsHeldError, match="remove 6 of 6"):
        run(collection, folder, sync=True)
    report = run(collection, folder, sync=True, allow_removals=True)
    assert (report.total_chunks, report.exit_code) == (0, 0)
    assert collection.card is None
    assert collection.probe("boats").strength == "none"


def test_renamed_files_keep_their_vectors_and_do_not_count_as_removed(
    collection: Collection, folder: Path, embedder: WordEmbedder
) -> None:
    run(collection, folder)
    folder.rename(folder.with_name("renamed"))
    embedder.encoded.clear()
    report = run(collection, folder.with_name("renamed"), sync=True)
    assert (len(report.moved), report.embedded, report.documents) == (6, 0, 0)
    assert (names(collection), report.total_chunks) == (sorted(NAMES), 6)
    assert all("renamed" in each.source for each in collection.store.documents())
    assert run(collection, folder.with_name("renamed"), sync=True).unchanged == 6


def test_of_a_changed_file_only_the_passages_that_are_new_are_embedded(
    collection: Collection, folder: Path
) -> None:
    rules = "".join(f"## Rule {number}\n\n{'Mind the gap. ' * 40}\n\n" for number in range(9))
    run(collection, write(folder / "long.md", rules))
    write(folder / "long.md", rules.replace("## Rule 8\n\nMind", "## Rule 8\n\nKeep"))
    report = run(collection, folder / "long.md")
    assert report.chunks >= 9
    assert report.embedded == 1


def test_a_file_that_came_to_be_like_another_is_stored_no_more(
    collection: Collection, folder: Path
) -> None:
    run(collection, folder)
    write(folder / "trains.md", text_of("boats"))
    report = run(collection, folder)
    assert (len(report.duplicates), report.total_documents) == (1, 5)
    (folder / "boats.md").unlink()
    assert len(run(collection, folder, sync=True).moved) == 1
    assert (len(names(collection)), "trains" in names(collection)) == (5, True)


def test_files_that_swapped_their_names_are_stored_under_their_new_ones(
    collection: Collection, folder: Path
) -> None:
    run(collection, folder)
    (folder / "boats.md").rename(folder / "aside")
    (folder / "trains.md").rename(folder / "boats.md")
    (folder / "aside").rename(folder / "trains.md")
    run(collection, folder, sync=True)
    held = {Path(chunk.source).stem: chunk.text for chunk in collection.store.chunks()}
    assert "desk for trains" in held["boats"]
    assert "desk for boats" in held["trains"]
    assert len(held) == collection.store.count() == 6


def test_two_files_of_one_relative_name_do_not_replace_each_other(
    collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        monkeypatch.chdir(write(tmp_path / name / "docs" / "rules.md", text_of(name)).parents[1])
        run(collection, Path("docs"))
    assert "desk for one" in texts(collection)
    assert "desk for two" in texts(collection)


def test_a_bad_file_is_tried_once_until_it_changes(
    collection: Collection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    reader = ingest.pipeline.read_documents

    def counted(paths: Any, config: IngestConfig) -> Any:
        for path, outcome in reader(paths, config):
            read.append(path.stem)
            yield path, outcome

    monkeypatch.setattr("ingest.pipeline.read_documents", counted)
    bad = folder / "bad.pdf"
    bad.write_text("no PDF at all")
    (folder / "copy.pdf").write_text("no PDF at all")
    first = run(collection, folder)
    assert {each.reason for each in first.skipped} == {"unsupported"}
    assert (len(first.skipped), read.count("bad"), read.count("copy")) == (2, 1, 0)

    events = list(ingest.pipeline.ingest([folder], collection=collection))
    assert sum(isinstance(event, StillFailing) for event in events) == 2
    again = run(collection, folder)
    assert ([each.reason for each in again.still_failing], again.skipped) == (
        ["unsupported"] * 2,
        (),
    )
    assert (again.exit_code, read.count("bad"), read.count("copy")) == (1, 1, 0)

    run(collection, folder, retry_failed=True)
    assert read.count("bad") == 2
    run(collection, folder, config=IngestConfig(max_pages=9))
    assert read.count("bad") == 3
    bad.write_text("no PDF at all, still")
    run(collection, folder, config=IngestConfig(max_pages=9))
    assert read.count("bad") == 4
    entry = find_document(list_documents(collection.store), "bad.pdf")
    assert (entry.record.state, entry.record.attempts) == ("quarantined", 4)


def test_a_locked_file_is_tried_again_when_a_password_is_given(
    collection: Collection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ingest.errors import CorruptError, EncryptedError

    tried: list[tuple[str, tuple[str, ...]]] = []

    def failing(paths: Any, config: IngestConfig) -> Any:
        for path in paths:
            tried.append((path.stem, config.passwords))
            error = EncryptedError if path.stem == "locked" else CorruptError
            yield path, error(str(path), "cannot be read")

    monkeypatch.setattr("ingest.pipeline.read_documents", failing)
    places = [write(folder / f"{name}.pdf", name) for name in ("locked", "broken")]
    for passwords in ((), (), ("quillon",), ("quillon",), (), ("tarn",)):
        assert run(collection, *places, config=IngestConfig(passwords=passwords)).exit_code == 1
    assert tried == [
        ("locked", ()),
        ("broken", ()),
        ("locked", ("quillon",)),
        ("locked", ("quillon",)),
        ("locked", ("tarn",)),
    ]
    path = manifest_path(collection.store.place)
    assert path is not None
    assert b"quillon" not in path.read_bytes()


def test_a_version_that_fails_leaves_the_one_before_and_says_so(
    collection: Collection, folder: Path
) -> None:
    run(collection, folder)
    write(folder / "boats.md", "\0\1\2\3" * 99)
    assert run(collection, folder).exit_code == 1
    assert run(collection, folder, sync=True).exit_code == 1
    assert "desk for boats" in texts(collection)
    [entry] = [each for each in list_documents(collection.store) if each.record.reason]
    assert (entry.chunks, entry.record.state) == (1, "quarantined")
    write(folder / "boats.md", text_of("boats"))
    assert run(collection, folder).exit_code == 0


def test_a_plan_tells_all_and_changes_nothing(collection: Collection, folder: Path) -> None:
    (folder / "bad.pdf").write_text("no PDF at all")
    run(collection, folder)
    write(folder / "boats.md", "Changed.")
    write(folder / "pets.md", text_of("pets"))
    write(folder / "copy.md", text_of("trains"))
    (folder / "meals.md").rename(folder / "food.md")
    (folder / "bikes.md").unlink()
    place = collection.store.place
    assert place is not None
    before = sorted((path, path.stat().st_mtime_ns) for path in place.parent.rglob("*"))
    plan = preview([folder], collection=collection, sync=True)
    assert kinds(plan) == {
        "bad": "quarantined",
        "boats": "changed",
        "copy": "duplicate",
        "food": "moved",
        "hotels": "unchanged",
        "pets": "new",
        "sauna": "unchanged",
        "trains": "unchanged",
    }
    assert [Path(each.source).stem for each in plan.removals] == ["bikes"]
    told = plan.to_dict()
    assert told["remove"] == [str(folder / "bikes.md")]
    assert told["moved"] == [{"from": str(folder / "meals.md"), "to": str(folder / "food.md")}]
    assert told["quarantined"][0]["reason"] == "unsupported"
    after = sorted((path, path.stat().st_mtime_ns) for path in place.parent.rglob("*"))
    assert [path for path, _ in before if path.is_file()] == [
        path for path, _ in after if path.is_file()
    ]
    assert len(names(collection)) == 6
    report = run(collection, folder, sync=True)
    assert (report.documents, len(report.moved), len(report.removed)) == (2, 1, 1)


def test_a_plan_of_too_many_removals_says_so(collection: Collection, folder: Path) -> None:
    run(collection, folder)
    for name in NAMES[:3]:
        (folder / f"{name}.md").unlink()
    assert "--allow-removals" in preview([folder], collection=collection, sync=True).held_back


@pytest.mark.parametrize("harm", ["lost", "garbage"])
def test_without_its_manifest_a_collection_is_read_again_but_not_embedded(
    collection: Collection, folder: Path, embedder: WordEmbedder, harm: str
) -> None:
    run(collection, folder)
    before = sorted(chunk.id for chunk in collection.store.chunks())
    path = manifest_path(collection.store.place)
    assert path is not None
    for each in path.parent.glob(f"{path.name}*"):
        each.unlink()
    if harm == "garbage":
        path.write_bytes(b"no database at all" * 99)
    embedder.encoded.clear()
    report = run(collection, folder, sync=True)
    assert (report.documents, report.embedded, report.total_documents) == (6, 0, 6)
    assert sorted(chunk.id for chunk in collection.store.chunks()) == before
    assert run(collection, folder).unchanged == 6


def test_without_its_manifest_what_is_gone_is_still_removed_by_a_sync(
    collection: Collection, folder: Path
) -> None:
    run(collection, folder)
    path = manifest_path(collection.store.place)
    assert path is not None
    path.unlink()
    (folder / "boats.md").unlink()
    assert len(run(collection, folder, sync=True).removed) == 1


def test_the_ledger_of_an_older_version_is_taken_over(
    collection: Collection, folder: Path, opened_files: list[str]
) -> None:
    run(collection, folder)
    store = collection.store
    sources = {
        each.source: {
            "document": each.id,
            "chunks": each.chunks,
            "pipeline": IngestConfig().fingerprint("words", kind=kind_of(each.source)),
        }
        for each in store.documents()
    }
    store.put_note("ledger", {"embedder": "words", "finished": True, "sources": sources})
    store.put_note("state", {})
    path = manifest_path(store.place)
    assert path is not None
    path.unlink()
    opened_files.clear()
    report = run(collection, folder)
    assert (report.unchanged, len(opened_files)) == (6, 6)
    assert run(collection, folder).unchanged == 6
    assert len(opened_files) == 6


def test_a_manifest_of_a_newer_version_is_left_alone(collection: Collection, folder: Path) -> None:
    run(collection, folder)
    path = manifest_path(collection.store.place)
    assert path is not None
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StoreMismatchError, match="newer version of agentlab"):
        run(collection, folder)


def test_chunks_that_went_missing_or_came_on_top_are_set_right(
    collection: Collection, folder: Path
) -> None:
    run(collection, folder)
    [chunk, *_] = list(collection.store.chunks())
    [(_, vector)] = collection.store.rows(chunk.source)
    stray = replace(chunk, id="00000000-0000-0000-0000-000000000001", document="0" * 64)
    collection.store.write([stray], vector[None])
    assert run(collection, folder).documents == 1
    assert collection.store.count() == 6
    collection.store.delete([chunk.id])
    assert run(collection, folder).documents == 1
    assert collection.store.count() == 6


def test_who_holds_the_lock_is_said_and_then_waited_for(
    collection: Collection, folder: Path
) -> None:
    place = collection.store.place
    with Lock(place) as lock:
        assert lock.take()
        with pytest.raises(CollectionBusyError, match=f"process {os.getpid()} .*--no-wait"):
            run(collection, folder, wait=False)
        events = ingest.pipeline.ingest([folder], collection=collection)
        waiting = next(events)
        assert isinstance(waiting, Waiting)
        assert f"process {os.getpid()}" in waiting.holder
    *_, last = events
    assert isinstance(last, Finished)
    assert last.report.documents == 6


def test_the_lock_is_given_back_when_a_run_fails_or_is_left(
    collection: Collection, folder: Path
) -> None:
    events = ingest.pipeline.ingest([folder], collection=collection, wait=False)
    next(events)
    events.close()  # type: ignore[attr-defined]
    with pytest.raises(PathMissingError):
        run(collection, folder / "none", wait=False)
    assert run(collection, folder, wait=False).documents == 6


def test_the_state_of_a_file_can_be_seen_while_it_is_worked_on(
    collection: Collection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[str]] = []

    def watched(step: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            manifest = Manifest(manifest_path(collection.store.place))
            seen.append({record.state for record in manifest.records().values()})
            manifest.close()
            return step(*given, **named)

        return call

    for owner, name in (
        (collection.embedder, "encode"),
        (collection.store, "write"),
        (collection.store, "ids"),
        (collection.store, "finish"),
    ):
        monkeypatch.setattr(owner, name, watched(getattr(owner, name)))
    run(collection, folder)
    assert seen[:4] == [{"parsed"}, {"embedded"}, {"written"}, {"verified"}]


def test_documents_are_found_by_path_title_name_and_id(
    collection: Collection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(collection, folder)
    entries = list_documents(collection.store)
    [boats] = [each for each in entries if each.record.path.endswith("boats.md")]
    monkeypatch.chdir(folder)
    for name in (str(folder / "boats.md"), "boats.md", "Boats", "rules OF boats", boats.id[:8]):
        assert find_document(entries, name) == boats
    with pytest.raises(UnknownDocumentError, match="Did you mean 'Rules of boats'"):
        find_document(entries, "Rules of boots")
    write(folder / "sub" / "boats.md", text_of("other boats"))
    run(collection, folder)
    monkeypatch.chdir(folder.parent)
    with pytest.raises(UnknownDocumentError, match="names 2 documents"):
        find_document(list_documents(collection.store), "boats.md")


def test_a_removed_document_leaves_store_manifest_and_card(
    collection: Collection, folder: Path
) -> None:
    run(collection, folder)
    entry = find_document(list_documents(collection.store), "Rules of boats")
    assert list(remove_document(entry, collection=collection)) == []
    assert "boats" not in names(collection)
    assert "boats" not in str(collection.store.note("card"))
    assert len(list_documents(collection.store)) == 5
    assert run(collection, folder).documents == 1


def test_whoever_searches_meanwhile_sees_what_an_ingest_has_added(
    collection: Collection, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.collection.LOOK_EVERY_S", 0.0)
    only = Only(meta={"author": ("Weber",)})
    store = LanceStore(tmp_path / "library", collection="t")
    searching = Collection(store, WordEmbedder())  # type: ignore[arg-type]
    assert searching.probe("When does the desk for boats open?").strength == "none"
    run(collection, folder)
    assert searching.probe("When does the desk for boats open?").strength != "none"
    assert len(searching.profiles) == 6
    write(folder / "sleighs.md", f"---\nauthor: Weber\n---\n{text_of('sleighs')}")
    run(collection, folder)
    found = searching.search("desk", only=only)
    assert [Path(hit.chunk.source).stem for hit in found] == ["sleighs"]
    searching.close()


def test_what_another_thread_forgets_meanwhile_is_given_all_the_same(
    collection: Collection, folder: Path
) -> None:
    class Forgetful(Collection):
        def __setattr__(self, name: str, value: Any) -> None:
            forgotten = name in {"_tuning", "_calibration", "_profiles"}
            super().__setattr__(name, None if forgotten else value)

    run(collection, folder)
    searching = Forgetful(collection.store, WordEmbedder())  # type: ignore[arg-type]
    assert searching.probe("When does the desk for boats open?").strength != "none"
    assert len(searching.profiles) == 6
    assert searching.alpha_from == "default"


def test_whether_an_ingest_came_between_is_looked_at_once_a_second(
    collection: Collection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(collection, folder)
    read: list[str] = []
    note = collection.store.note
    monkeypatch.setattr(collection.store, "note", lambda name: read.append(name) or note(name))
    for _ in range(3):
        collection.search("desk")
        collection.probe("desk")
    assert read.count("state") == 1


def test_a_folder_that_cannot_be_looked_into_removes_nothing(
    collection: Collection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "sub" / "pets.md", text_of("pets"))
    run(collection, folder)
    walk = os.walk

    def locked(top: Any, onerror: Any = None) -> Any:
        for root, folders, files in walk(top, onerror=onerror):
            if Path(root).name == "sub":
                onerror(PermissionError(13, "Permission denied", root))
                continue
            yield root, folders, files

    monkeypatch.setattr(os, "walk", locked)
    report = run(collection, folder, sync=True)
    assert [(each.reason, each.detail) for each in report.skipped] == [
        ("unreadable", "the folder cannot be looked into (Permission denied)")
    ]
    assert report.removed == ()
    assert "pets" in names(collection)
