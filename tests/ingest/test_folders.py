"""Folders: names that are no text, circles of links, pipes, and files that vanish."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from ingest_fakes import WordEmbedder, hurry

import ingest.pipeline
import ingest.plan
from ingest.collection import Collection
from ingest.errors import GoneError, NothingToIngestError, PathMissingError
from ingest.events import Finished, Report
from ingest.folders import find_files
from ingest.stores.embedded import LanceStore


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "boats.md").write_text("# Boats\n\nThe desk for boats opens at nine.\n")
    return tmp_path / "files"


@pytest.fixture
def collection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Collection]:
    hurry(monkeypatch)
    embedder = WordEmbedder()
    opened = Collection(LanceStore(tmp_path / "library", collection="t"), embedder)  # type: ignore[arg-type]
    yield opened
    opened.close()


def write_badly_named(folder: Path) -> Path:
    """Write a file whose name holds a byte of Latin-1; some file systems refuse it."""
    path = Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9 notes.txt"))
    try:
        path.write_text("The cafe opens at eight.")
    except OSError:
        pytest.skip("this file system takes only names in UTF-8")
    return path


def run(collection: Collection, *paths: Path, sync: bool = False) -> Report:
    *_, last = ingest.pipeline.ingest(paths, collection=collection, sync=sync)
    assert isinstance(last, Finished)
    return last.report


def sources(collection: Collection) -> list[str]:
    return [each.source for each in collection.store.documents()]


def test_a_name_that_is_not_utf8_is_left_out_and_the_others_go_on(
    collection: Collection, folder: Path
) -> None:
    bad = write_badly_named(folder)
    for sync in (False, True):
        report = run(collection, folder, sync=sync)
        assert [(each.source, each.reason) for each in report.skipped] == [
            (f"{folder}/caf\\xe9 notes.txt", "bad_name")
        ]
        assert "rename it" in report.skipped[0].remedy
        assert report.total_documents == 1
    bad.rename(folder / "café notes.txt")
    assert run(collection, folder).documents == 1


def test_what_lies_in_a_folder_whose_name_is_not_utf8_is_left_out_with_it(folder: Path) -> None:
    write_badly_named(folder).unlink()
    inner = Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9"))
    inner.mkdir()
    (inner / "menu.md").write_text("Soup")
    files, left_out = find_files([folder])
    assert files == [folder / "boats.md"]
    assert [each.source for each in left_out] == [f"{folder}/caf\\xe9"]


def test_where_every_name_is_bad_the_remedy_is_told(folder: Path) -> None:
    bad = write_badly_named(folder)
    with pytest.raises(NothingToIngestError, match=r"caf\\xe9 notes\.txt: .*, rename it"):
        find_files([bad])
    bad.unlink()
    with pytest.raises(PathMissingError, match=r"caf\\xe9 notes\.txt does not exist"):
        find_files([bad])


def test_names_with_line_breaks_blanks_and_quotes_are_names(
    collection: Collection, folder: Path
) -> None:
    names = ["two\nlines.md", " blanks .md", 'it\'s "said".md', "100% {a}.md"]
    for name in names:
        (folder / name).write_text(f"# Rules\n\nThe desk of {name!r} opens at nine.\n")
    (folder / "folder ").mkdir()
    (folder / "folder " / "inner.md").write_text("# Inner\n\nThe desk inside opens at ten.\n")
    assert run(collection, folder).documents == 6
    assert run(collection, folder).unchanged == 6
    for name in names:
        (folder / name).write_text(f"# Rules\n\nThe office of {name!r} opens at eight.\n")
    assert run(collection, folder).documents == 4
    assert sorted(sources(collection)) == sorted(
        str(folder / name) for name in [*names, "boats.md", "folder /inner.md"]
    )
    assert "desk of" not in " ".join(chunk.text for chunk in collection.store.chunks())


def test_circles_of_links_pipes_and_dangling_links_are_left_out(
    collection: Collection, folder: Path
) -> None:
    (folder / "circle.md").symlink_to(folder / "circle.md")
    (folder / "around").symlink_to(folder)
    (folder / "dangling.md").symlink_to(folder / "nowhere.md")
    os.mkfifo(folder / "pipe.md")
    report = run(collection, folder, sync=True)
    assert {Path(each.source).name: each.reason for each in report.skipped} == {
        "circle.md": "unreadable",
        "dangling.md": "missing",
        "pipe.md": "unsupported",
    }
    assert report.total_documents == 1


@pytest.mark.parametrize("when", ["before it is looked into", "before it is read"])
def test_a_file_that_vanishes_meanwhile_costs_itself_alone(
    collection: Collection, folder: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    gone = folder / "trains.md"
    gone.write_text("# Trains\n\nTrains leave at ten.\n")
    if when == "before it is looked into":
        find = ingest.plan.find_files

        def find_then_lose(*args: object, **options: object) -> object:
            found = find(*args, **options)  # type: ignore[arg-type]
            gone.unlink()
            return found

        monkeypatch.setattr("ingest.plan.find_files", find_then_lose)
    else:

        def read_after_loss(paths: list[Path], config: object) -> Iterator[tuple[Path, object]]:
            gone.unlink()
            yield from read(paths, config)  # type: ignore[arg-type]

        read = ingest.pipeline.read_documents
        monkeypatch.setattr("ingest.pipeline.read_documents", read_after_loss)
    report = run(collection, folder, sync=True)
    monkeypatch.undo()
    assert [(Path(each.source).name, each.reason) for each in report.skipped] == [
        ("trains.md", GoneError.reason)
    ]
    assert sources(collection) == [str(folder / "boats.md")]
