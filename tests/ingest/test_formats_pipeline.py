"""Files of every kind: into the embedded store, found again, and cited as what they are."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from formats_fakes import MEALS, write_word
from ingest_fakes import WordEmbedder, write_pdf

from ingest.collection import Collection
from ingest.config import PARSERS, IngestConfig
from ingest.documents import place
from ingest.events import Finished, Remark, Report
from ingest.pipeline import find_files, ingest
from ingest.stores.embedded import LanceStore

TRAINS = "A seat on the night train to Eastmoor is booked by the depot."
BOATS = "The ferry to Westisle leaves at noon from the old pier."
BIKES = "A bicycle is lent for a week by the workshop in the yard."


@pytest.fixture
def collection(tmp_path: Path) -> Iterator[Collection]:
    opened = Collection(LanceStore(tmp_path / "library", collection="t"), WordEmbedder())  # type: ignore[arg-type]
    yield opened
    opened.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    write_pdf(folder / "meals.pdf", [[("Meals on land", MEALS * 4)]], title="Meal Rules")
    write_word(folder / "travel.docx")
    (folder / "trains.MD").write_text(f"# Train Rules\n\n{MEALS}\n\n## Night trains\n\n{TRAINS}\n")
    (folder / "sub").mkdir()
    (folder / "sub" / "boats.html").write_text(
        f"<title>Boat Rules</title><nav>Home</nav><h2>Ferries</h2><p>{BOATS}"
    )
    (folder / "sub" / "bikes.txt").write_text(f"BIKE RULES\n\n1. Lending\n\n{BIKES}\n")
    (folder / "sub" / "picture.png").write_bytes(b"\x89PNG")
    return folder


def run(collection: Collection, *paths: Path) -> Report:
    events = list(ingest(paths, collection=collection, config=IngestConfig(chunk_tokens=24)))
    assert isinstance(events[-1], Finished)
    return events[-1].report


def test_a_passage_of_each_kind_is_found_under_its_heading(
    collection: Collection, folder: Path
) -> None:
    report = run(collection, folder)
    assert (report.documents, report.skipped, report.exit_code) == (5, (), 0)
    for words, title, heading, where in (
        ("meals on land crowns a day", "Meal Rules", "Meals on land", "p. 1"),
        ("a night in Northhaven crowns", "Travel Rules", "Hotels", "part 1"),
        ("seat on the night train to Eastmoor", "Train Rules", "Night trains", "part 1"),
        ("ferry to Westisle from the old pier", "Boat Rules", "Ferries", "part 1"),
        ("bicycle lent for a week by the workshop", "BIKE RULES", "1. Lending", "part 1"),
    ):
        chunk = collection.search(words)[0].chunk
        assert (chunk.title, chunk.heading) == (title, heading)
        assert place(chunk.source, chunk.page) == where


@pytest.mark.slow
def test_questions_find_a_passage_of_each_kind_with_the_real_embedder(
    tmp_path: Path, folder: Path, minilm: Any
) -> None:
    collection = Collection(LanceStore(tmp_path / "library", collection="t"), minilm)
    run(collection, folder)
    for question, name in (
        ("What do I get for food each day?", "meals.pdf"),
        ("How much may a hotel cost?", "travel.docx"),
        ("Who reserves my seat on the sleeper?", "trains.MD"),
        ("When does the ship depart?", "boats.html"),
        ("Where can I borrow a bike?", "bikes.txt"),
    ):
        assert Path(collection.search(question)[0].chunk.source).name == name
    collection.close()


def test_ingesting_twice_changes_nothing_and_a_change_replaces(
    collection: Collection, folder: Path
) -> None:
    run(collection, folder)
    before = sorted(chunk.id for chunk in collection.store.chunks())
    again = run(collection, folder)
    assert (again.documents, again.unchanged) == (0, 5)
    assert sorted(chunk.id for chunk in collection.store.chunks()) == before
    (folder / "trains.MD").write_text(TRAINS.replace("Eastmoor", "Southmoor"))
    changed = run(collection, folder)
    assert (changed.documents, changed.unchanged) == (1, 4)
    texts = " ".join(chunk.text for chunk in collection.store.chunks())
    assert "Southmoor" in texts
    assert "Eastmoor" not in texts


def test_a_new_reader_of_one_kind_reads_only_that_kind_again(
    collection: Collection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(collection, folder / "sub")
    monkeypatch.setitem(PARSERS, "html", "html-next")
    report = run(collection, folder / "sub")
    assert (report.documents, report.unchanged) == (1, 1)


def test_each_bad_file_is_named_and_the_rest_goes_on(collection: Collection, folder: Path) -> None:
    (folder / "empty.md").touch()
    (folder / "rubbish.txt").write_bytes(bytes(range(256)) * 20)
    (folder / "broken.docx").write_bytes(b"PK\x03\x04broken")
    (folder / "deep.html").write_text("<div>" * 30_000 + "text")
    (folder / "huge.txt").write_bytes(b"word " * 10_000_000)
    (folder / "bare.html").write_text("<script>draw()</script>")
    report = run(collection, folder, folder / "sub" / "picture.png")
    assert {Path(each.source).name: each.reason for each in report.skipped} == {
        "bare.html": "no_text",
        "broken.docx": "corrupt",
        "deep.html": "corrupt",
        "empty.md": "unsupported",
        "huge.txt": "too_large",
        "picture.png": "unsupported",
        "rubbish.txt": "unsupported",
    }
    assert all(each.detail and each.remedy for each in report.skipped)
    assert (report.documents, report.exit_code) == (5, 1)


def test_a_guessed_encoding_is_in_the_report(collection: Collection, tmp_path: Path) -> None:
    (tmp_path / "old.txt").write_bytes("Grüße aus Köln, wie früher".encode("windows-1252"))
    report = run(collection, tmp_path / "old.txt")
    [remark] = report.remarks
    assert remark == Remark(str(tmp_path / "old.txt"), remark.detail)
    assert "read as windows-1252" in remark.detail
    assert (report.to_dict()["remarks"][0]["detail"], report.exit_code) == (remark.detail, 0)
    assert "Grüße" in next(collection.store.chunks()).text


def test_folders_are_searched_for_every_known_suffix(folder: Path) -> None:
    files, empty = find_files([folder])
    names = ["meals.pdf", "trains.MD", "travel.docx", "bikes.txt", "boats.html"]
    assert ([file.name for file in files], empty) == (names, [])
