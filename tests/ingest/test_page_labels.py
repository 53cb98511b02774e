"""Page labels: read from a PDF, kept with its chunks, searched by, and cited."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lancedb
import pypdf
import pytest
from ingest_fakes import WordEmbedder, hurry, write_pdf
from pypdf.constants import PageLabelStyle
from pypdf.generic import IndirectObject
from weaviate_fake import FakeWeaviate, running

from ingest.collection import Collection
from ingest.config import IngestConfig, StoreConfig
from ingest.documents import place
from ingest.events import Finished, Report
from ingest.page_labels import page_labels
from ingest.pdf import read_pdf
from ingest.pipeline import ingest
from ingest.stores import Store, Where, open_store

WORDS = ("preface", "contents", "ferries", "trains", "tables", "glossary")
LABELS = ["i", "ii", "1", "2", "A-3", "A-4"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """Make a book of a preface in roman numbers, two pages in Arabic ones, and an appendix."""
    pages = [[("", f"The desk for {word} opens at nine on every day.")] for word in WORDS]
    plain = write_pdf(tmp_path / "plain.pdf", pages, title="Handbook")
    writer = pypdf.PdfWriter(plain)
    writer.set_page_label(0, 1, PageLabelStyle.LOWERCASE_ROMAN)
    writer.set_page_label(2, 3, PageLabelStyle.DECIMAL)
    writer.set_page_label(4, 5, PageLabelStyle.DECIMAL, prefix="A-", start=3)
    path = tmp_path / "files" / "book.pdf"
    path.parent.mkdir()
    writer.write(path)
    return path


@pytest.fixture
def fake() -> Iterator[FakeWeaviate]:
    with running() as started:
        yield started


def take_in(path: Path, store: Store, embedder: WordEmbedder | None = None) -> Report:
    collection = Collection(store, embedder or WordEmbedder())  # type: ignore[arg-type]
    *_, last = ingest([path], collection=collection)
    assert isinstance(last, Finished)
    return last.report


def labels_of(store: Store) -> list[str]:
    return [each.page_label for each in sorted(store.chunks(), key=lambda each: each.page)]


def numbering(*ranges: tuple[int, dict[str, Any]]) -> dict[str, Any]:
    return {"/PageLabels": {"/Nums": [each for found in ranges for each in found]}}


class Objects:
    """The objects of a file, by number."""

    def __init__(self, **kept: Any) -> None:
        self._kept = kept

    def get_object(self, reference: IndirectObject) -> Any:
        return self._kept[f"n{reference.idnum}"]


def test_the_labels_of_a_book_with_a_roman_preface_are_read(book: Path) -> None:
    assert [page.label for page in read_pdf(book).pages] == LABELS


def test_a_label_that_is_the_pages_own_number_is_none(tmp_path: Path) -> None:
    plain = write_pdf(tmp_path / "plain.pdf", [[("", "One page of words.")]] * 3)
    assert [page.label for page in read_pdf(plain).pages] == ["", "", ""]
    writer = pypdf.PdfWriter(plain)
    writer.set_page_label(0, 0, PageLabelStyle.UPPERCASE_LETTER)
    writer.set_page_label(1, 2, PageLabelStyle.DECIMAL, start=2)
    writer.write(tmp_path / "labelled.pdf")
    assert [page.label for page in read_pdf(tmp_path / "labelled.pdf").pages] == ["A", "", ""]


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ({"/S": "/R", "/St": 1999}, ["MCMXCIX", "MM"]),
        ({"/S": "/a", "/St": 26}, ["z", "aa"]),
        ({"/S": "/D", "/P": " Annex\n ", "/St": -4}, ["Annex 1", "Annex 2"]),
        ({"/P": "Cover"}, ["Cover", "Cover"]),
        ({}, ["", ""]),
        ({"/S": "/r", "/St": 10**12}, ["", ""]),
        ({"/S": "/A", "/St": 10**12}, ["", ""]),
        ({"/S": "/D", "/P": "very " * 9}, ["", ""]),
        ({"/S": 7, "/P": 8, "/St": "x"}, ["", ""]),
    ],
)
def test_numbers_are_written_as_a_label_says(style: dict[str, Any], expected: list[str]) -> None:
    assert page_labels(numbering((0, style)), 2) == expected


@pytest.mark.parametrize(
    "catalog",
    [{}, {"/PageLabels": None}, {"/PageLabels": 5}, numbering((-1, {"/S": "/r"}), (9, {}))],
)
def test_a_file_without_labels_has_none(catalog: dict[str, Any]) -> None:
    assert page_labels(catalog, 2) == ["", ""]


def test_a_tree_of_labels_is_followed_and_one_that_holds_itself_ends() -> None:
    tree: dict[str, Any] = {}
    objects = Objects(n1=tree, n2={"/Nums": [0, {"/S": "/r"}]})
    root, leaf = (IndirectObject(number, 0, objects) for number in (1, 2))
    tree["/Kids"] = [root, leaf, root, leaf]
    assert page_labels({"/PageLabels": root}, 2) == ["i", "ii"]


@pytest.mark.parametrize(
    ("number", "label", "said"),
    [
        (6, "", "p. 6"),
        (6, "iv", "p. iv (6th page)"),
        (1, "A-1", "p. A-1 (1st page)"),
        (22, "10", "p. 10 (22nd page)"),
        (113, "101", "p. 101 (113th page)"),
    ],
)
def test_a_page_is_cited_by_its_label_and_its_number(number: int, label: str, said: str) -> None:
    assert place("book.pdf", number, label) == said


def test_a_part_of_another_kind_of_file_has_no_label() -> None:
    assert place("notes.md", 6, "") == "part 6"


def test_labels_are_stored_found_and_searched_by(book: Path, tmp_path: Path) -> None:
    store = open_store(StoreConfig(folder=tmp_path / "store"))
    take_in(book, store)
    assert labels_of(store) == LABELS
    collection = Collection(store, WordEmbedder())  # type: ignore[arg-type]
    hit, *_ = collection.search("the desk for contents")
    assert hit.chunk.place == "p. ii (2nd page)"
    two = collection.search("the desk", where=Where(pages=(2,)))
    assert [each.chunk.page_label for each in two] == ["ii"]
    last = collection.search("the desk", where=Where(labels=("A-4",)))
    assert [each.chunk.page for each in last] == [6]
    store.close()


def strip_lance(folder: Path) -> None:
    """Make a table as it was before pages had labels."""
    lancedb.connect(str(folder)).open_table("library").drop_columns(["page_label"])


def strip_weaviate(fake: FakeWeaviate) -> None:
    """Make a class as it was before pages had labels."""
    schema = fake.schema["Library"]
    schema["properties"] = [x for x in schema["properties"] if x["name"] != "page_label"]
    for stored in fake.objects["Library"].values():
        stored.properties.pop("page_label", None)


@pytest.mark.parametrize("kind", ["lancedb", "weaviate"])
def test_a_collection_from_before_labels_goes_on_and_gets_them_without_embedding(
    kind: str, book: Path, tmp_path: Path, fake: FakeWeaviate, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = StoreConfig(folder=tmp_path / "store")
    if kind == "weaviate":
        config = StoreConfig(kind="weaviate", url=fake.url, folder=tmp_path / "store")
    monkeypatch.setitem(IngestConfig.fingerprint.__globals__["PARSERS"], "pdf", "pdf-3")
    first = open_store(config)
    take_in(book, first)
    first.close()
    monkeypatch.undo()
    hurry(monkeypatch)
    strip_lance(tmp_path / "store") if kind == "lancedb" else strip_weaviate(fake)

    store = open_store(config)
    collection = Collection(store, WordEmbedder())  # type: ignore[arg-type]
    assert labels_of(store) == [""] * 6
    assert [each.page_label for each, _ in store.rows(store.documents()[0].source)] == [""] * 6
    assert [each.page_label for each in store.sample(3)] == [""] * len(store.sample(3))
    assert collection.search("the desk for contents")[0].chunk.place == "p. 2"
    assert collection.search("the desk", where=Where(labels=("ii",))) == []
    both = collection.search("the desk", where=Where(pages=(3,), labels=("ii",)))
    assert [each.chunk.page for each in both] == [3]

    embedder = WordEmbedder()
    report = take_in(book, store, embedder)
    assert (report.documents, report.embedded) == (1, 0)
    assert not any("opens at nine" in text for text in embedder.encoded)
    assert labels_of(store) == LABELS
    found = collection.search("the desk", where=Where(labels=("ii",)))
    assert [each.chunk.place for each in found] == ["p. ii (2nd page)"]
    store.close()
