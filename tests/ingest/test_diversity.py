from ingest.diversity import diverse
from ingest.documents import Chunk
from ingest.stores.base import Hit

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
