"""The pipeline: files to a collection, twice, changed, moved, broken and interrupted."""

import errno
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ingest_fakes import WordEmbedder, hurry, write_pdf

import ingest.pipeline
from ingest.collection import Collection
from ingest.config import IngestConfig
from ingest.documents import Chunk, Document
from ingest.errors import (
    NothingToIngestError,
    PathMissingError,
    StoreFullError,
    StoreMismatchError,
)
from ingest.events import (
    Duplicate,
    Embedded,
    Event,
    Finished,
    Finishing,
    Parsed,
    Planned,
    Report,
    Skipped,
    Unchanged,
    Written,
)
from ingest.stores.embedded import LanceStore

HOTELS = "A night in Northhaven is paid up to 142 crowns. Ask the desk before you book."
MEALS = "Meals at sea are free. Meals on land are paid up to 31 crowns a day."


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "slow" not in request.keywords:
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
    write_pdf(tmp_path / "pdfs" / "travel.pdf", [[("Hotels", HOTELS)]], title="Travel Rules")
    write_pdf(tmp_path / "pdfs" / "sub" / "meals.pdf", [[("Meals", MEALS)]], title="Meal Rules")
    return tmp_path / "pdfs"


def run(collection: Collection, *paths: Path, **config: Any) -> tuple[list[Event], Report]:
    events = list(
        ingest.pipeline.ingest(paths, collection=collection, config=IngestConfig(**config))
    )
    assert isinstance(events[-1], Finished)
    return events, events[-1].report


def stored(collection: Collection) -> list[tuple[str, int]]:
    return [(Path(each.source).name, each.chunks) for each in collection.store.documents()]


def test_a_folder_is_ingested_step_by_step(collection: Collection, folder: Path) -> None:
    events, report = run(collection, folder)
    kinds = [Planned, Parsed, Parsed, Embedded, Embedded, Written, Written, Finishing, Finished]
    assert [type(event) for event in events] == kinds
    paths = [folder / "travel.pdf", folder / "sub" / "meals.pdf"]
    assert events[0] == Planned(2, {str(path): path.stat().st_size for path in paths})
    assert (report.documents, report.pages, report.chunks, report.exit_code) == (2, 2, 2, 0)
    assert (report.total_documents, report.total_chunks) == (2, 2)
    [hit, *_] = collection.search("What is paid for a night in Northhaven?")
    assert (hit.chunk.title, hit.chunk.page) == ("Travel Rules", 1)
    assert "142 crowns" in hit.chunk.text
    assert collection.card is not None
    assert collection.card.line().startswith("2 documents: ")
    assert collection.probe("What is paid for a night in Northhaven?").strength != "none"


def test_ingesting_twice_changes_nothing(
    collection: Collection, folder: Path, embedder: WordEmbedder
) -> None:
    run(collection, folder)
    before = sorted(chunk.id for chunk in collection.store.chunks())
    embedder.encoded.clear()
    events, report = run(collection, folder)
    assert [type(event) for event in events] == [Planned, Unchanged, Unchanged, Finished]
    assert (report.documents, report.chunks, report.unchanged, report.exit_code) == (0, 0, 2, 0)
    assert sorted(chunk.id for chunk in collection.store.chunks()) == before
    assert embedder.encoded == []


def test_a_changed_file_replaces_its_old_chunks(collection: Collection, folder: Path) -> None:
    run(collection, folder)
    write_pdf(folder / "travel.pdf", [[("Hotels", HOTELS.replace("142", "175"))]])
    _, report = run(collection, folder)
    assert (report.documents, report.unchanged) == (1, 1)
    texts = " ".join(chunk.text for chunk in collection.store.chunks())
    assert "175 crowns" in texts
    assert "142 crowns" not in texts


def test_another_chunk_size_cuts_all_files_anew(collection: Collection, folder: Path) -> None:
    write_pdf(folder / "long.pdf", [[("Meals", MEALS * 12)]])
    run(collection, folder)
    before = collection.store.count()
    _, report = run(collection, folder, chunk_tokens=40)
    assert report.documents == 3
    assert report.total_chunks == collection.store.count() > before
    _, again = run(collection, folder, chunk_tokens=40)
    assert again.unchanged == 3


def test_the_same_bytes_are_stored_once(collection: Collection, folder: Path) -> None:
    copy = folder / "copy of travel.pdf"
    copy.write_bytes((folder / "travel.pdf").read_bytes())
    events, report = run(collection, folder)
    duplicate = Duplicate(str(folder / "travel.pdf"), str(copy))
    assert duplicate in events
    assert report.duplicates == (duplicate,)
    assert (report.documents, report.exit_code) == (2, 0)


def test_a_moved_file_is_found_under_its_new_name(collection: Collection, folder: Path) -> None:
    run(collection, folder)
    (folder / "travel.pdf").rename(folder / "journeys.pdf")
    _, report = run(collection, folder)
    moved = Written(str(folder / "journeys.pdf"), 1, moved_from=str(folder / "travel.pdf"))
    assert (report.documents, report.moved) == (0, (moved,))
    assert stored(collection) == [("journeys.pdf", 1), ("meals.pdf", 1)]
    _, again = run(collection, folder)
    assert again.unchanged == 2


def test_a_file_spelled_otherwise_is_the_same_file(
    collection: Collection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(collection, folder)
    monkeypatch.chdir(folder)
    events, report = run(collection, Path("travel.pdf"), folder / "travel.pdf")
    assert [type(event) for event in events] == [Planned, Unchanged, Finished]
    assert report.unchanged == 1


def test_files_that_cannot_be_read_are_named_and_the_rest_goes_on(
    collection: Collection, folder: Path
) -> None:
    write_pdf(folder / "locked.pdf", [[("", HOTELS)]], password="quillon")
    write_pdf(folder / "scan.pdf", [[("", "")]])
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7\nbroken")
    (folder / "text.pdf").write_text("no PDF at all")
    (folder / "empty.pdf").touch()
    _, report = run(collection, folder)
    reasons = {Path(each.source).name: each.reason for each in report.skipped}
    assert reasons == {
        "locked.pdf": "encrypted",
        "scan.pdf": "no_text",
        "broken.pdf": "corrupt",
        "text.pdf": "unsupported",
        "empty.pdf": "unsupported",
    }
    assert all(each.detail and each.remedy for each in report.skipped)
    assert (report.documents, report.exit_code) == (2, 1)
    assert report.to_dict()["skipped"][0]["reason"] == "corrupt"


def test_a_file_that_makes_the_splitter_crash_does_not_end_the_run(
    collection: Collection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = ingest.cutting.chunk_document

    def hostile(document: Document, **dials: Any) -> list[Chunk]:
        if document.source.endswith("travel.pdf"):
            raise RecursionError("maximum recursion depth exceeded")
        return cut(document, **dials)

    monkeypatch.setattr(ingest.cutting, "chunk_document", hostile)
    _, report = run(collection, folder)
    [skipped] = report.skipped
    assert (skipped.reason, report.documents) == ("unreadable", 1)
    assert "RecursionError: maximum recursion" in skipped.detail


def test_half_a_character_in_what_a_file_says_of_itself_does_not_end_the_run(
    collection: Collection, folder: Path
) -> None:
    front = '---\ntitle: "Crane \\ud800 Rules"\nauthor: "A \\udfff"\n---\n'
    (folder / "cranes.md").write_text(f"{front}Cranes are looked at once a year by an engineer.\n")
    _, report = run(collection, folder)
    assert (report.documents, report.skipped) == (3, ())
    assert "Crane Rules" in collection.card.titles


def test_a_version_that_cannot_be_read_leaves_the_stored_one(
    collection: Collection, folder: Path
) -> None:
    run(collection, folder)
    (folder / "travel.pdf").write_bytes(b"%PDF-1.7\nbroken")
    run(collection, folder)
    assert "142 crowns" in " ".join(chunk.text for chunk in collection.store.chunks())


def test_nothing_readable_at_all_ends_with_a_report(collection: Collection, tmp_path: Path) -> None:
    (tmp_path / "a.pdf").touch()
    events, report = run(collection, tmp_path / "a.pdf")
    assert [type(event) for event in events] == [Planned, Skipped, Finished]
    assert (report.total_documents, report.exit_code) == (0, 1)


def test_a_path_that_does_not_exist_is_named(collection: Collection, tmp_path: Path) -> None:
    with pytest.raises(PathMissingError, match="nowhere does not exist"):
        run(collection, tmp_path / "nowhere")


def test_an_empty_folder_is_named(collection: Collection, folder: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    (empty / ".hidden").mkdir(parents=True)
    write_pdf(empty / ".hidden" / "a.pdf", [[("", HOTELS)]])
    (empty / "notes.xyz").write_text("of no known kind")
    (empty / "~$notes.docx").write_text("what Word keeps beside an open file")
    with pytest.raises(NothingToIngestError, match=r"no file that can be read in .*empty\. Give"):
        run(collection, empty)
    _, report = run(collection, empty, folder)
    assert [each.reason for each in report.skipped] == ["empty"]
    assert report.documents == 2


class FullStore(LanceStore):
    """A store on a full disk."""

    def write(self, chunks: Sequence[Chunk], vectors: np.ndarray) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_said_clearly_and_leaves_what_was_there(
    collection: Collection, folder: Path, tmp_path: Path, embedder: WordEmbedder
) -> None:
    run(collection, folder)
    write_pdf(folder / "travel.pdf", [[("Hotels", HOTELS.replace("142", "175"))]])
    full = Collection(FullStore(tmp_path / "library", collection="t"), embedder)  # type: ignore[arg-type]
    with pytest.raises(StoreFullError, match="free some space and run the same command again"):
        run(full, folder)
    assert stored(collection) == [("meals.pdf", 1), ("travel.pdf", 1)]
    assert "142 crowns" in collection.search("night in Northhaven")[0].chunk.text
    assert collection.card is not None
    _, report = run(collection, folder)
    assert (report.documents, report.unchanged) == (1, 1)


def test_an_interrupted_run_goes_on_where_it_stopped(
    collection: Collection,
    folder: Path,
    embedder: WordEmbedder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ingest.pipeline, "GROUP_CHUNKS", 1)
    events = ingest.pipeline.ingest([folder], collection=collection)
    for event in events:
        if isinstance(event, Written):
            break
    events.close()  # type: ignore[attr-defined]
    assert collection.card is None
    _, report = run(collection, folder)
    assert (report.documents, report.unchanged) == (1, 1)
    assert collection.card is not None
    assert collection.card.documents == 2


def test_a_document_of_which_chunks_were_lost_is_written_again(
    collection: Collection, folder: Path
) -> None:
    write_pdf(folder / "travel.pdf", [[("Hotels", HOTELS)], [("Meals", MEALS)]])
    run(collection, folder)
    lost = next(chunk for chunk in collection.store.chunks() if chunk.page == 2)
    collection.store._open().delete(f"id = '{lost.id}'")  # type: ignore[attr-defined]
    _, report = run(collection, folder)
    assert (report.documents, report.unchanged) == (1, 1)
    assert ("travel.pdf", 2) in stored(collection)


def test_a_store_that_keeps_less_than_it_was_given_is_caught(
    tmp_path: Path, folder: Path, embedder: WordEmbedder
) -> None:
    class Forgetful(LanceStore):
        def write(self, chunks: Sequence[Chunk], vectors: np.ndarray) -> None:
            kept = [row for row, chunk in enumerate(chunks) if chunk.page == 1]
            super().write([chunks[row] for row in kept], vectors[kept])

    write_pdf(folder / "travel.pdf", [[("Hotels", HOTELS)], [("Meals", MEALS)]])
    opened = Collection(Forgetful(tmp_path / "f", collection="t"), embedder)  # type: ignore[arg-type]
    _, report = run(opened, folder)
    [skipped] = report.skipped
    assert (skipped.reason, report.documents, report.exit_code) == ("not_stored", 1, 1)
    assert skipped.detail == "the store kept 1 of its 2 chunks"


def test_another_embedder_is_refused_for_the_same_collection(
    collection: Collection, folder: Path
) -> None:
    run(collection, folder)
    other = Collection(collection.store, WordEmbedder("other"))  # type: ignore[arg-type]
    with pytest.raises(StoreMismatchError, match="embedded with words, the embedder now is other"):
        run(other, folder)


@pytest.mark.slow
def test_real_pdfs_are_found_again_with_the_real_embedder(
    tmp_path: Path, shared_pdfs: Path, minilm: Any
) -> None:
    opened = Collection(LanceStore(tmp_path / "library", collection="t"), minilm)
    names = ("discount-rates-memo.pdf", "blcc-faqs.pdf", "grayscale-image.pdf")
    _, report = run(opened, *(shared_pdfs / name for name in names))
    assert (report.documents, report.exit_code) == (2, 1)
    [hit, *_] = opened.search("What is the real discount rate for 2024?")
    assert (hit.chunk.title, hit.chunk.page) == ("discount rates memo", 1)
    assert opened.probe("What is the real discount rate for 2024?").strength in {"good", "strong"}
    _, again = run(opened, *(shared_pdfs / name for name in names))
    assert (again.documents, again.unchanged) == (0, 2)
