"""The card: what a collection is about, in few words."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from ingest.card import CollectionCard, build_card, refresh_card
from ingest.documents import Chunk
from ingest.stores.base import StoredDocument


class ListStore:
    """As much of a store as a card needs."""

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self._chunks = chunks

    def chunks(self) -> Iterator[Chunk]:
        return iter(self._chunks)


def chunk(title: str, heading: str, text: str, page: int = 1) -> Chunk:
    source = f"{title}.pdf"
    return Chunk(f"{title}{page}{text}", text, title, source, title, page, 0, 9, heading, "words")


TRAVEL = [
    chunk("Travel Handbook", "1 Hotels", "Hotel rooms in Northhaven. Hotel rooms elsewhere."),
    chunk("Travel Handbook", "2 Meals", "Meals on the ferry. Meals at sea.", page=2),
    chunk("Travel Handbook", "2 Meals", "Meals at home are not paid.", page=3),
]
SAFETY = [
    chunk("Safety Manual", "A. Fire doors", "Fire doors stay shut. Fire doors are checked."),
    chunk("Safety Manual", "B. Cranes", "Cranes lift crates. Cranes need a licence."),
]


def card(*chunks: Chunk) -> CollectionCard:
    return build_card(ListStore(chunks))  # type: ignore[arg-type]


def test_the_card_counts_documents_pages_and_chunks() -> None:
    made = card(*TRAVEL, *SAFETY)
    assert (made.documents, made.pages, made.chunks) == (2, 4, 5)
    assert made.titles == ("Safety Manual", "Travel Handbook")
    assert made.sections == ("Fire doors", "Cranes", "Hotels", "Meals")


def test_the_line_names_each_document_with_its_topics() -> None:
    line = card(*TRAVEL, *SAFETY).line()
    assert line.startswith("2 documents: Safety Manual (fire doors, cranes")
    assert "; Travel Handbook (hotels, meals" in line


def test_phrases_are_what_one_document_has_and_the_others_lack() -> None:
    common = "The staff reads this manual. The staff signs this manual."
    made = card(
        chunk("One", "", f"Cargo nets are folded. Cargo nets are dried. {common}"),
        chunk("Two", "", f"Tide tables are printed. Tide tables hang here. {common}"),
    )
    assert made.entries[0].phrases[0] == "cargo nets"
    assert made.entries[1].phrases[0] == "tide tables"


def test_the_line_keeps_to_its_words_however_many_documents() -> None:
    for count in (1, 5, 20, 300):
        made = card(
            *(chunk(f"Manual {n} of the yard", "Cranes", f"Word{n} x") for n in range(count))
        )
        for words in (10, 30, 60, 200):
            line = made.line(words)
            assert len(line.split()) <= words
            assert line.startswith(f"{count} document")


def test_many_documents_are_told_by_their_first_titles_and_phrases() -> None:
    made = card(
        *(chunk(f"Manual {n}", "", "Harbour cranes lift. Harbour cranes.") for n in range(90))
    )
    assert made.line(30).startswith("90 documents on harbour cranes, lift, among them Manual 0; ")


def test_a_single_document_is_singular_and_an_empty_store_says_so() -> None:
    assert card(*SAFETY).line().startswith("1 document: Safety Manual (")
    assert card().line() == "no documents"


def test_a_card_survives_json() -> None:
    made = card(*TRAVEL, *SAFETY)
    assert CollectionCard.from_dict(json.loads(json.dumps(made.to_dict()))) == made


class NotedStore(ListStore):
    """A store that counts how often all of it is read."""

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        super().__init__(chunks)
        self.notes: dict[str, Any] = {}
        self.whole = 0

    def note(self, name: str) -> Any:
        return self.notes.get(name)

    def put_note(self, name: str, value: Any) -> None:
        self.notes[name] = json.loads(json.dumps(value))

    def chunks(self) -> Iterator[Chunk]:
        self.whole += 1
        return super().chunks()

    def rows(self, source: str) -> list[tuple[Chunk, None]]:
        return [(each, None) for each in self._chunks if each.source == source]

    def holds(self, chunks: Sequence[Chunk]) -> CollectionCard:
        """Hold other chunks, and bring the card up to date."""
        self._chunks = chunks
        counts = Counter((each.source, each.document, each.title) for each in chunks)
        documents = [
            StoredDocument(document, source, title, pages=1, chunks=count)
            for (source, document, title), count in counts.items()
        ]
        made = refresh_card(self, documents)  # type: ignore[arg-type]
        assert made == CollectionCard.from_dict(self.notes["card"])
        return made


def many(count: int) -> list[Chunk]:
    return [
        chunk(f"Manual {n:03}", "Cranes", f"Harbour rules. Crane{n} lifts. Crane{n} turns.")
        for n in range(count)
    ]


def test_of_a_large_collection_only_what_is_new_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.card.SAMPLE", 50)
    store = NotedStore([])
    assert store.holds(many(100)) == build_card(store)  # type: ignore[arg-type]
    store.whole = 0
    changed = [*many(100)[2:], chunk("New", "Boats", "Harbour rules. Ferry bells. Ferry bells.")]
    made = store.holds(changed)
    assert store.whole == 0
    whole = build_card(store)  # type: ignore[arg-type]
    assert (made.documents, made.pages, made.chunks) == (99, 99, 99)
    assert made.titles == whole.titles
    assert made.entries[-1] == whole.entries[-1]
    assert made.entries[-1].phrases[0] == "ferry bells"


def test_a_large_collection_is_read_whole_again_when_a_tenth_has_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ingest.card.SAMPLE", 50)
    store = NotedStore([])
    store.holds(many(100))
    for gone in range(1, 10):
        store.holds(many(100)[gone:])
        assert store.whole == 1
    store.holds(many(100)[10:])
    assert store.whole == 2
    store.holds(many(100)[11:])
    assert store.whole == 2


def test_a_small_collection_is_read_whole_each_time() -> None:
    store = NotedStore([])
    for count in (3, 4, 5):
        assert store.holds(many(count)) == build_card(store)  # type: ignore[arg-type]
