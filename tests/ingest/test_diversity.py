from pathlib import Path
from typing import Any

import pytest

from ingest.collection import Collection
from ingest.diversity import diverse
from ingest.documents import Chunk
from ingest.stores.base import Hit
from ingest.stores.embedded import LanceStore

OLD = "Up to three hotel nights are booked without asking the travel desk first."
NEW = "Up to four hotel nights are booked without asking the travel desk first."
OTHER = "Breakfast is paid by the company where the invoice names it."


def hits(*scored: tuple[str, float]) -> list[Hit]:
    return [
        Hit(Chunk(str(i), text, "d", "a.pdf", "A", 1, 0, len(text), "", "m"), score, score, 0.0)
        for i, (text, score) in enumerate(scored)
    ]


def texts(found: list[Hit]) -> list[str]:
    return [hit.chunk.text for hit in found]


def test_a_near_identical_passage_makes_room_for_another() -> None:
    found = hits((OLD, 1.0), (NEW, 0.95), (OTHER, 0.6))
    assert texts(diverse(found, relevance=0.5, limit=2)) == [OLD, OTHER]


def test_lambda_one_keeps_the_order_of_the_search() -> None:
    found = hits((OLD, 1.0), (NEW, 0.95), (OTHER, 0.6))
    assert diverse(found, relevance=1.0, limit=3) == found


def test_nothing_is_lost_or_shown_twice_where_all_is_asked_for() -> None:
    found = hits((OLD, 1.0), (OLD, 1.0), (OTHER, 0.2), ("...", 0.1), ("!", 0.0))
    chosen = diverse(found, relevance=0.3, limit=9)
    assert sorted(hit.chunk.id for hit in chosen) == ["0", "1", "2", "3", "4"]
    assert diverse([], relevance=0.3, limit=9) == []


@pytest.mark.slow
def test_two_versions_of_a_handbook_do_not_crowd_out_the_rest(tmp_path: Path, minilm: Any) -> None:
    rule = "Technicians may spend {} euros a day on meals while they travel for the company."
    told = [
        *((f"handbook-{year}.pdf", rule.format(30 + year % 10)) for year in range(2021, 2026)),
        ("receipts.pdf", "For each meal on a journey a receipt is handed in within two weeks."),
        ("crane.pdf", "The harbour crane lifts at most nine tonnes in a calm sea."),
    ]
    chunks = [
        Chunk(source, text, source, source, "Rules", 1, 0, len(text), "", minilm.name)
        for source, text in told
    ]
    store = LanceStore(tmp_path, collection="rules")
    store.write(chunks, minilm.encode([chunk.embedded for chunk in chunks]))
    store.finish()
    collection = Collection(store, minilm)
    asked = "How much may technicians spend on meals?"
    plain = [hit.chunk.source for hit in collection.search(asked, limit=3)]
    spread = [hit.chunk.source for hit in collection.search(asked, limit=3, mmr=0.5)]
    assert "receipts.pdf" not in plain
    assert spread[0] == plain[0]
    assert "receipts.pdf" in spread
