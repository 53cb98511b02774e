"""A shared store: documents from other folders and machines, whose files nobody here knows."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ingest_fakes import WordEmbedder, hurry
from weaviate_fake import FakeWeaviate, running

import ingest.pipeline
from ingest.catalog import find_document, list_documents, remove_document
from ingest.collection import Collection
from ingest.config import StoreConfig
from ingest.events import Finished, Report
from ingest.manifest import manifest_path
from ingest.reembedding import reembed
from ingest.stores import Store, open_store

DOCS = Path("docs")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


@pytest.fixture
def fake() -> Iterator[FakeWeaviate]:
    with running() as server:
        yield server


@pytest.fixture
def sit_down(
    fake: FakeWeaviate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Collection]]:
    """Open the store as one person does, in the folder above that person's docs."""
    stores: list[Store] = []

    def open_as(name: str, embedder: str = "words") -> Collection:
        monkeypatch.chdir(tmp_path / name)
        config = StoreConfig(kind="weaviate", url=fake.url, folder=tmp_path / f"notes of {name}")
        stores.append(open_store(config))
        return Collection(stores[-1], WordEmbedder(embedder))

    for name in ("ann", "bob"):
        for file in ("readme", name):
            path = tmp_path / name / DOCS / f"{file}.md"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"The {file} of {name}.\n")
    yield open_as
    for store in stores:
        store.close()


def run(collection: Collection, **options: Any) -> Report:
    *_, last = ingest.pipeline.ingest([DOCS], collection=collection, **options)
    assert isinstance(last, Finished)
    return last.report


def texts(collection: Collection) -> dict[str, str]:
    return {chunk.source: chunk.text for chunk in collection.store.chunks()}


def lose_notes(collection: Collection) -> None:
    path = manifest_path(collection.store.place)
    assert path is not None
    path.unlink()


ANNS = {"docs/readme.md": "The readme of ann.", "docs/ann.md": "The ann of ann."}


def test_two_people_with_files_of_the_same_relative_names_share_a_store(
    sit_down: Callable[..., Collection], tmp_path: Path
) -> None:
    run(sit_down("ann"))
    bob = sit_down("bob")
    own = str(tmp_path / "bob/docs/readme.md")
    report = run(bob)
    assert texts(bob) == {**ANNS, own: "The readme of bob.", "docs/bob.md": "The bob of bob."}
    [remark] = report.remarks
    assert remark.source == "docs/readme.md"
    assert f"stored as {own}" in remark.detail
    again = run(bob, sync=True, allow_removals=True)
    assert (again.removed, again.unchanged, again.remarks) == ((), 2, ())
    assert len(texts(bob)) == 4
    assert run(sit_down("ann"), sync=True).unchanged == 2


def test_a_store_that_was_embedded_anew_is_shared_no_less(
    sit_down: Callable[..., Collection],
) -> None:
    run(sit_down("ann"))
    list(reembed(sit_down("ann", "other words")))
    bob = sit_down("bob", "other words")
    run(bob)
    assert texts(bob).items() >= ANNS.items()


def test_what_others_stored_is_listed_by_its_name_and_can_be_removed(
    sit_down: Callable[..., Collection], tmp_path: Path
) -> None:
    run(sit_down("ann"))
    bob = sit_down("bob")
    run(bob)
    paths = {each.record.path for each in list_documents(bob.store)}
    own = {str(tmp_path / "bob/docs" / name) for name in ("readme.md", "bob.md")}
    assert paths == {*ANNS, *own}
    entry = find_document(list_documents(bob.store), "docs/ann.md")
    assert list(remove_document(entry, collection=bob)) == []
    assert "docs/ann.md" not in texts(bob)


def test_a_file_with_the_bytes_of_a_document_from_elsewhere_does_not_take_it_over(
    sit_down: Callable[..., Collection],
) -> None:
    run(sit_down("ann"))
    bob = sit_down("bob")
    (DOCS / "copy.md").write_text("The ann of ann.\n")
    assert run(bob).moved == ()
    assert texts(bob).items() >= {**ANNS, "docs/copy.md": "The ann of ann."}.items()


def test_ones_own_files_are_known_again_by_their_bytes_when_the_notes_are_lost(
    sit_down: Callable[..., Collection],
) -> None:
    ann = sit_down("ann")
    run(ann)
    lose_notes(ann)
    report = run(ann)
    assert (report.documents, report.embedded, report.total_documents) == (2, 0, 2)
    (DOCS / "ann.md").unlink()
    assert len(run(ann, sync=True, allow_removals=True).removed) == 1


def test_ones_own_files_are_known_again_though_the_store_was_first_used_from_another_folder(
    sit_down: Callable[..., Collection], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = sit_down("ann")
    run(ann)
    lose_notes(ann)
    monkeypatch.chdir(tmp_path / "bob")
    run(ann)
    monkeypatch.chdir(tmp_path / "ann")
    report = run(ann)
    assert (report.documents, report.total_documents, report.remarks) == (2, 4, ())


def test_an_edited_file_whose_notes_are_lost_is_kept_beside_its_older_version_and_that_is_told(
    sit_down: Callable[..., Collection], tmp_path: Path
) -> None:
    ann = sit_down("ann")
    run(ann)
    lose_notes(ann)
    (DOCS / "readme.md").write_text("The later readme of ann.\n")
    [remark] = run(ann).remarks
    assert "remove it: agentlab docs rm docs/readme.md, run in another folder" in remark.detail
    own = str(tmp_path / "ann/docs/readme.md")
    assert texts(ann) == {**ANNS, own: "The later readme of ann."}
    sit_down("bob")
    entry = find_document(list_documents(ann.store), "docs/readme.md")
    assert list(remove_document(entry, collection=ann)) == []
    assert sorted(texts(ann)) == sorted([own, "docs/ann.md"])
