"""What every store does, whichever it is: one suite for LanceDB and Weaviate."""

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from weaviate_fake import running

from ingest.card import build_card
from ingest.collection import Collection
from ingest.config import StoreConfig
from ingest.copying import CopyReport, copy_library
from ingest.documents import Chunk, chunk_id
from ingest.errors import StoreMismatchError
from ingest.profiles import Only, refresh_profiles
from ingest.stores import Hit, Store, StoredDocument, Where, open_store

ROOT = Path(__file__).resolve().parents[2]
LEAVE = np.array([1.0, 0.0, 0.0, 0.0], dtype=np.float32)
TRAVEL = np.array([0.0, 1.0, 0.0, 0.0], dtype=np.float32)
DOGS = np.array([0.0, 0.0, 1.0, 0.0], dtype=np.float32)

Opener = Callable[..., Store]


class Fixed:
    """An embedder to which all questions are one."""

    name = "test"

    def __init__(self, vector: np.ndarray) -> None:
        self._vector = vector

    def encode(self, texts: list[str], progress: object = None) -> np.ndarray:
        return np.tile(self._vector, (len(texts), 1))


def passage(text: str, *, source: str = "leave.pdf", page: int = 1, start: int = 0) -> Chunk:
    document = uuid.uuid5(uuid.NAMESPACE_URL, source).hex * 2
    return Chunk(
        id=chunk_id(source, document, page, start, start + len(text), "test"),
        text=text,
        document=document,
        source=source,
        title=source.removesuffix(".pdf").title(),
        page=page,
        start=start,
        end=start + len(text),
        heading="Rules",
        embedder="test",
    )


CHUNKS = [
    passage("Everyone gets twenty-five days of annual leave."),
    replace(passage("Unused vacation expires in March.", page=2), page_label="iv"),
    passage("Book the train before the aeroplane.", source="travel.pdf"),
    passage("Dogs are welcome on Fridays.", source="pets.pdf", page=3),
]
VECTORS = np.stack([LEAVE, 0.8 * LEAVE + 0.6 * TRAVEL, TRAVEL, DOGS])


@pytest.fixture(params=["lancedb", "weaviate-fake", "weaviate-fake-tenant", "weaviate"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StoreConfig]:
    if request.param == "lancedb":
        yield StoreConfig(folder=tmp_path / "store")
    elif request.param == "weaviate":
        yield from _real_server()
    else:
        tenant = "north" if request.param.endswith("tenant") else None
        with running() as fake:
            yield StoreConfig(kind="weaviate", url=fake.url, timeout_s=60, tenant=tenant)


@pytest.fixture(params=["weaviate-fake", "weaviate"])
def shared(request: pytest.FixtureRequest) -> Iterator[StoreConfig]:
    """A server, for what only a server has."""
    if request.param == "weaviate":
        yield from _real_server()
    else:
        with running() as fake:
            yield StoreConfig(kind="weaviate", url=fake.url, timeout_s=60)


def _real_server() -> Iterator[StoreConfig]:
    url = os.environ.get("WEAVIATE_URL")
    if not url:
        pytest.skip("WEAVIATE_URL is not set: no real Weaviate server to run against")
    from ingest.stores.weaviate_server import Server

    key = os.environ.get("WEAVIATE_API_KEY")
    name = f"conformance{uuid.uuid4().hex[:8]}"
    try:
        yield StoreConfig(kind="weaviate", url=url, api_key=key, collection=name)
    finally:
        server = Server(url, api_key=key, timeout_s=30)
        for each in server.client.collections.list_all():
            if each.lower().startswith(name):
                server.client.collections.delete(each)
        server.close()


@pytest.fixture
def opened(config: StoreConfig) -> Iterator[Opener]:
    stores: list[Store] = []

    def opener(**changes: str) -> Store:
        stores.append(open_store(config.model_copy(update=changes)))
        return stores[-1]

    yield opener
    for store in stores:
        store.close()


@pytest.fixture
def store(opened: Opener) -> Store:
    return opened()


@pytest.fixture
def filled(store: Store) -> Store:
    store.write(CHUNKS, VECTORS)
    store.finish()
    return store


def found(hits: list[Hit]) -> list[Chunk]:
    return [hit.chunk for hit in hits]


def by_id(chunks: list[Chunk]) -> list[Chunk]:
    return sorted(chunks, key=lambda chunk: chunk.id)


def test_an_empty_store_answers_every_question_with_nothing(store: Store) -> None:
    assert store.count() == 0
    assert store.documents() == []
    assert list(store.chunks()) == []
    assert store.note("card") is None
    assert store.hybrid("annual leave", LEAVE, alpha=0.5, limit=5) == []
    assert store.hybrid_many(["annual", "leave"], VECTORS[:2], alpha=0.5, limit=5) == [[], []]
    store.delete(["0" * 64])
    store.finish()
    assert store.count() == 0


def test_writing_nothing_changes_nothing(store: Store) -> None:
    store.write([], np.zeros((0, 4), dtype=np.float32))
    store.finish()
    assert store.count() == 0


def test_chunks_come_back_as_they_were_written(filled: Store) -> None:
    assert by_id(list(filled.chunks())) == by_id(CHUNKS)
    assert filled.count() == len(CHUNKS)


def test_writing_the_same_chunks_again_changes_nothing(filled: Store) -> None:
    filled.write(CHUNKS, VECTORS)
    filled.finish()
    assert by_id(list(filled.chunks())) == by_id(CHUNKS)
    assert len(filled.hybrid("annual leave", LEAVE, alpha=0.5, limit=10)) == len(CHUNKS)


def test_a_chunk_given_twice_in_one_write_is_kept_once(store: Store) -> None:
    store.write([CHUNKS[0], CHUNKS[0]], np.stack([LEAVE, LEAVE]))
    store.finish()
    assert list(store.chunks()) == [CHUNKS[0]]


def test_a_chunk_of_the_same_id_replaces_the_earlier_one(filled: Store) -> None:
    renamed = replace(CHUNKS[0], title="Leave of absence", heading="")
    filled.write([renamed], np.stack([DOGS]))
    filled.finish()
    assert by_id(list(filled.chunks())) == by_id([renamed, *CHUNKS[1:]])
    (first, *_) = filled.hybrid("absence", LEAVE, alpha=0.0, limit=5)
    assert first.chunk == renamed
    assert first.cosine == pytest.approx(0.0, abs=1e-6)


def test_documents_are_listed_by_source_with_their_pages_and_chunks(filled: Store) -> None:
    assert filled.documents() == [
        StoredDocument(CHUNKS[0].document, "leave.pdf", "Leave", pages=2, chunks=2),
        StoredDocument(CHUNKS[3].document, "pets.pdf", "Pets", pages=1, chunks=1),
        StoredDocument(CHUNKS[2].document, "travel.pdf", "Travel", pages=1, chunks=1),
    ]


def test_what_matches_in_words_and_meaning_comes_first(filled: Store) -> None:
    hits = filled.hybrid("annual leave", LEAVE, alpha=0.5, limit=10)
    assert found(hits)[:2] == CHUNKS[:2]
    assert hits[0].score == pytest.approx(1.0)
    assert all(0.0 <= hit.score <= 1.0 + 1e-6 for hit in hits)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_many_searches_at_once_find_what_each_finds_alone(filled: Store, alpha: float) -> None:
    queries = ["annual leave", "dogs fridays", "?", "train", "leave"]
    vectors = np.stack([LEAVE, DOGS, TRAVEL, TRAVEL, LEAVE])
    alone = [
        filled.hybrid(query, vector, alpha=alpha, limit=3)
        for query, vector in zip(queries, vectors, strict=True)
    ]
    assert filled.hybrid_many(queries, vectors, alpha=alpha, limit=3) == alone
    assert filled.hybrid_many(queries[:1], vectors[:1], alpha=alpha, limit=3) == alone[:1]
    assert filled.hybrid_many([], vectors[:0], alpha=alpha, limit=3) == []


def test_a_hit_carries_its_cosine_and_its_bm25_score(filled: Store) -> None:
    hits = {hit.chunk.id: hit for hit in filled.hybrid("train", LEAVE, alpha=0.5, limit=10)}
    cosines = [hits[chunk.id].cosine for chunk in CHUNKS]
    assert cosines == pytest.approx([1.0, 0.8, 0.0, 0.0], abs=1e-3)
    assert hits[CHUNKS[2].id].keyword > 0
    assert hits[CHUNKS[0].id].keyword == 0


def test_alpha_one_goes_by_the_vector_alone(filled: Store) -> None:
    hits = filled.hybrid("dogs fridays", LEAVE, alpha=1.0, limit=10)
    assert found(hits)[:2] == CHUNKS[:2]
    assert hits[0].score == pytest.approx(1.0)


def test_alpha_zero_goes_by_the_words_alone(filled: Store) -> None:
    hits = filled.hybrid("dogs fridays", LEAVE, alpha=0.0, limit=10)
    assert found(hits) == [CHUNKS[3]]
    assert hits[0].score == pytest.approx(1.0)
    assert hits[0].cosine == pytest.approx(0.0, abs=1e-6)


def test_words_that_occur_nowhere_leave_the_vector_to_decide(filled: Store) -> None:
    hits = filled.hybrid("zymurgy", TRAVEL, alpha=0.5, limit=1)
    assert found(hits) == [CHUNKS[2]]
    assert hits[0].keyword == 0
    assert filled.hybrid("zymurgy", TRAVEL, alpha=0.0, limit=1) == []


def test_the_title_and_the_heading_are_searched_with_the_text(filled: Store) -> None:
    assert found(filled.hybrid("pets", LEAVE, alpha=0.0, limit=5)) == [CHUNKS[3]]


@pytest.mark.parametrize("limit", [0, 1, 2])
def test_no_more_hits_than_the_limit_come_back(filled: Store, limit: int) -> None:
    assert len(filled.hybrid("leave", LEAVE, alpha=0.5, limit=limit)) == limit


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (Where(sources=("travel.pdf",)), {2}),
        (Where(sources=("travel.pdf", "pets.pdf")), {2, 3}),
        (Where(pages=(2, 3)), {1, 3}),
        (Where(sources=("leave.pdf",), pages=(2,)), {1}),
        (Where(sources=("leave.pdf",), pages=(9,)), set()),
        (Where(labels=("iv",)), {1}),
        (Where(pages=(3,), labels=("iv", "v")), {1, 3}),
        (Where(sources=("travel.pdf",), labels=("iv",)), set()),
        (Where(sources=("Leave.pdf",)), set()),
        (Where(sources=("leave",)), set()),
    ],
)
@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_filters_by_source_and_page_hold_for_both_arms(
    filled: Store, where: Where, expected: set[int], alpha: float
) -> None:
    words = "leave vacation train dogs"
    hits = filled.hybrid(words, LEAVE, alpha=alpha, limit=10, where=where)
    assert {CHUNKS.index(chunk) for chunk in found(hits)} == expected


def test_a_source_with_quotes_can_be_filtered_and_deleted(filled: Store) -> None:
    odd = passage("Odd rules.", source='o\'brien "final" (1) ü.pdf')
    filled.write([odd], np.stack([DOGS]))
    filled.finish()
    where = Where(sources=(odd.source,))
    assert found(filled.hybrid("odd", DOGS, alpha=0.5, limit=5, where=where)) == [odd]
    assert filled.ids([odd.source]) == {odd.id}
    filled.delete([odd.id])
    assert filled.hybrid("odd", DOGS, alpha=0.5, limit=5, where=where) == []


def test_deleting_chunks_removes_these_and_no_others(filled: Store) -> None:
    filled.delete([CHUNKS[0].id, CHUNKS[1].id, CHUNKS[3].id, str(uuid.uuid4())])
    assert list(filled.chunks()) == [CHUNKS[2]]
    assert filled.count() == 1
    assert found(filled.hybrid("leave train", LEAVE, alpha=0.5, limit=5)) == [CHUNKS[2]]
    filled.delete([])
    assert filled.count() == 1


def test_two_versions_of_a_document_can_be_told_apart_and_one_deleted(filled: Store) -> None:
    later = passage("Everyone gets thirty days of annual leave.")
    filled.write([later], np.stack([LEAVE]))
    assert filled.ids(["leave.pdf"]) == {CHUNKS[0].id, CHUNKS[1].id, later.id}
    filled.delete(sorted(filled.ids(["leave.pdf"]) - {later.id}))
    assert by_id(list(filled.chunks())) == by_id([later, *CHUNKS[2:]])


def test_the_ids_of_several_sources_are_read_back(filled: Store) -> None:
    assert filled.ids(["leave.pdf", "pets.pdf", "none.pdf"]) == {
        CHUNKS[0].id,
        CHUNKS[1].id,
        CHUNKS[3].id,
    }
    assert filled.ids([]) == set()


def test_an_empty_store_has_no_ids_and_no_rows(store: Store) -> None:
    assert (store.ids(["leave.pdf"]), store.rows("leave.pdf")) == (set(), [])
    store.delete([CHUNKS[0].id])
    assert store.count() == 0


def test_the_rows_of_a_source_come_with_their_vectors(filled: Store) -> None:
    rows = {chunk.page: (chunk, vector) for chunk, vector in filled.rows("leave.pdf")}
    assert [rows[page][0] for page in (1, 2)] == CHUNKS[:2]
    np.testing.assert_allclose(rows[2][1], VECTORS[1], atol=1e-2)


def test_the_rows_of_a_long_source_are_all_read(store: Store) -> None:
    chunks = [passage(f"Rule {page}.", source="o'long.pdf", page=page) for page in range(1, 2051)]
    store.write(chunks, np.tile(DOGS, (len(chunks), 1)))
    store.write(CHUNKS, VECTORS)
    assert store.ids(["o'long.pdf"]) == {chunk.id for chunk in chunks}
    assert by_id([chunk for chunk, _ in store.rows("o'long.pdf")]) == by_id(chunks)


def test_what_was_deleted_can_be_written_again(filled: Store) -> None:
    filled.delete([CHUNKS[0].id])
    filled.write(CHUNKS, VECTORS)
    filled.finish()
    assert by_id(list(filled.chunks())) == by_id(CHUNKS)


def test_a_sample_is_drawn_by_chance_and_is_all_where_little_is_there(store: Store) -> None:
    chunks = [passage(f"Rule {page}.", page=page) for page in range(1, 401)]
    store.write(chunks, np.tile(DOGS, (len(chunks), 1)))
    assert by_id(store.sample(400)) == by_id(chunks)
    drawn = store.sample(100)
    assert 60 <= len(drawn) <= 140
    assert 150 < np.mean([chunk.page for chunk in drawn]) < 250
    assert by_id(store.sample(100)) == by_id(drawn)


def test_documents_are_profiled_filtered_searched_first_and_widened(filled: Store) -> None:
    card = build_card(filled)
    refresh_profiles(filled, card, {"leave.pdf": {"author": "Weber", "date": "2021-03-01"}})
    collection = Collection(filled, Fixed(LEAVE), two_step="always", parents="page")  # type: ignore[arg-type]
    hit, *_ = collection.search("dogs fridays pets 2021", limit=5)
    assert hit.chunk == CHUNKS[3]
    assert hit.why == ("its document: name pets",)
    only = Only(since="2021", meta={"author": ("weber",)})
    hits = collection.search("leave", limit=5, only=only)
    assert [each.chunk.page for each in hits] == [1, 2]


def test_chunks_of_a_second_batch_are_found_by_their_words(filled: Store) -> None:
    late = passage("The sauna opens at six.", source="sauna.pdf")
    filled.write([late], np.stack([DOGS]))
    filled.finish()
    assert found(filled.hybrid("sauna", LEAVE, alpha=0.0, limit=5)) == [late]


def test_notes_come_back_and_are_replaced_whole(store: Store) -> None:
    value = {"titles": ["Größe", "日本語 🙂"], "mean": 0.25, "deep": {"a": [1, None, True]}}
    store.put_note("card", value)
    store.put_note("calibration", {"n": 1})
    assert store.note("card") == value
    store.put_note("card", {"other": "quote \" and ' and \\"})
    assert store.note("card") == {"other": "quote \" and ' and \\"}
    assert store.note("calibration") == {"n": 1}
    assert store.count() == 0


def test_a_long_note_comes_back_whole(store: Store) -> None:
    value = {"idf": {f"word{number}": number / 7 for number in range(20_000)}}
    store.put_note("calibration", value)
    assert store.note("calibration") == value


def test_the_names_of_the_notes_are_listed(store: Store) -> None:
    assert store.notes() == []
    for name in ("state", "card"):
        store.put_note(name, {"n": 1})
    assert store.notes() == ["card", "state"]


def test_a_store_that_is_opened_again_holds_what_was_written(filled: Store, opened: Opener) -> None:
    filled.put_note("card", {"documents": 3})
    filled.close()
    again = opened()
    assert by_id(list(again.chunks())) == by_id(CHUNKS)
    assert again.note("card") == {"documents": 3}
    assert found(again.hybrid("annual leave", LEAVE, alpha=0.5, limit=1)) == [CHUNKS[0]]


def test_a_second_opener_sees_what_the_first_writes(store: Store, opened: Opener) -> None:
    other = opened()
    assert other.count() == 0
    store.write(CHUNKS, VECTORS)
    store.finish()
    assert other.count() == len(CHUNKS)
    assert found(other.hybrid("dogs", DOGS, alpha=0.5, limit=1)) == [CHUNKS[3]]
    store.delete([CHUNKS[3].id])
    assert other.count() == len(CHUNKS) - 1


def test_collections_in_one_place_do_not_mix(
    filled: Store, opened: Opener, config: StoreConfig
) -> None:
    other = opened(collection=f"{config.collection}-two")
    assert other.count() == 0
    other.write(CHUNKS[:1], VECTORS[:1])
    other.put_note("card", {"of": "two"})
    assert other.count() == 1
    assert filled.count() == len(CHUNKS)
    assert filled.note("card") is None


@pytest.mark.parametrize(
    "text",
    [
        "Größe, naïve, Ωmega — “quoted”",
        "日本語のテキスト 🙂 👩‍👩‍👧",
        "مرحبا بالعالم שלום",
        "line one\nline two\ttab  two spaces ",
        "it's \"quoted\" \\ back\\slash; -- DROP TABLE 'x'",
        "e\u0301 combining, soft\u00adhyphen, zero\u200bwidth",
    ],
)
def test_any_text_comes_back_unchanged(store: Store, text: str) -> None:
    chunk = passage(text, source="Größe/日本 🙂.pdf")
    store.write([chunk], np.stack([LEAVE]))
    store.finish()
    assert list(store.chunks()) == [chunk]
    assert found(store.hybrid(text, LEAVE, alpha=0.5, limit=1)) == [chunk]


@pytest.mark.parametrize(
    "query",
    [
        "AND",
        "*",
        '"',
        "(",
        ":",
        "'",
        "\\",
        "",
        "   ",
        "🙂",
        "the of and",
        "leave AND (train",
        'title:"leave',
        "leave* ~2 ^3 [1 TO 5]",
        "-leave +train !dogs",
        "'; DROP TABLE library; --",
        "a/b?c=d&e%20",
        "leave " * 2000,
    ],
)
@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_no_query_is_taken_for_syntax(filled: Store, query: str, alpha: float) -> None:
    hits = filled.hybrid(query, LEAVE, alpha=alpha, limit=10)
    if "leave" in query or alpha == 1:
        assert CHUNKS[0] in found(hits)
    if alpha > 0:
        assert len(hits) == len(CHUNKS)


def test_a_word_in_quotes_or_brackets_is_still_found(filled: Store) -> None:
    for query in ('"dogs"', "(dogs)", "dogs:", "*dogs*", "DOGS?"):
        assert found(filled.hybrid(query, LEAVE, alpha=0.0, limit=5)) == [CHUNKS[3]]


def test_a_thousand_chunks_are_kept_and_found(store: Store) -> None:
    random = np.random.default_rng(7)
    vectors = random.normal(size=(1000, 32)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    chunks = [
        passage(f"Rule {number} speaks of item{number}.", source=f"{number // 50}.pdf", page=number)
        for number in range(1000)
    ]
    store.write(chunks, vectors)
    store.finish()
    assert store.count() == 1000
    assert {chunk.id for chunk in store.chunks()} == {chunk.id for chunk in chunks}
    assert [each.chunks for each in store.documents()] == [50] * 20
    for number in (0, 499, 999):
        by_vector = store.hybrid("none", vectors[number], alpha=1.0, limit=3)
        assert by_vector[0].chunk == chunks[number]
        by_words = store.hybrid(f"item{number}", vectors[0], alpha=0.0, limit=3)
        assert found(by_words) == [chunks[number]]
    store.delete([chunk.id for chunk in chunks[:600]])
    assert store.count() == 400


def test_vectors_of_another_length_are_refused_and_change_nothing(filled: Store) -> None:
    with pytest.raises(StoreMismatchError, match="embedder"):
        filled.write([passage("Longer.", source="long.pdf")], np.ones((1, 5), dtype=np.float32))
    with pytest.raises(StoreMismatchError, match="embedder"):
        filled.hybrid("leave", np.ones(5, dtype=np.float32), alpha=0.5, limit=3)
    assert by_id(list(filled.chunks())) == by_id(CHUNKS)


def test_a_library_that_is_copied_out_and_back_is_the_same(
    filled: Store, opened: Opener, config: StoreConfig, tmp_path: Path
) -> None:
    filled.put_note("card", {"n": 1})
    filled.put_note("state", {"embedder": "test", "finished": True})
    outside = open_store(StoreConfig(folder=tmp_path / "outside"))
    back = opened(collection=f"{config.collection}_back")
    for source, target in ((filled, outside), (outside, back)):
        *_, report = copy_library(source, target)
        assert isinstance(report, CopyReport)
        assert (report.written, report.compared, report.rounded) == (len(CHUNKS), len(CHUNKS), 0)
        assert by_id(list(target.chunks())) == by_id(CHUNKS)
        assert target.documents() == filled.documents()
        assert target.notes() == ["card", "state"]
        assert (target.note("card"), target.note("state")) == (
            {"n": 1},
            {"embedder": "test", "finished": True},
        )
    hits = back.hybrid("annual leave", LEAVE, alpha=0.5, limit=10)
    assert found(hits)[:2] == CHUNKS[:2]
    outside.close()


def test_tenants_of_one_collection_do_not_mix(shared: StoreConfig) -> None:
    north, south = (
        open_store(shared.model_copy(update={"tenant": name})) for name in ("north", "south")
    )
    assert (north.count(), north.documents(), north.note("card")) == (0, [], None)
    north.write(CHUNKS, VECTORS)
    north.put_note("card", {"of": "north"})
    assert south.count() == 0
    assert south.hybrid("annual leave", LEAVE, alpha=0.5, limit=5) == []
    south.write(CHUNKS[:1], VECTORS[:1])
    south.delete([CHUNKS[0].id])
    assert (south.count(), north.count()) == (0, len(CHUNKS))
    assert (south.note("card"), north.note("card")) == (None, {"of": "north"})
    north.close()
    south.close()


def test_each_tenant_has_its_own_place_on_this_machine(shared: StoreConfig, tmp_path: Path) -> None:
    places = set()
    for tenant in (None, "north", "south"):
        store = open_store(shared.model_copy(update={"tenant": tenant, "folder": tmp_path}))
        places.add(store.place)
        store.close()
    assert len(places) == 3


@pytest.mark.parametrize(
    ("made", "asked", "advice"),
    [(None, "north", "leave the tenant out"), ("north", None, "--tenant")],
)
def test_a_collection_is_with_tenants_or_without(
    shared: StoreConfig, made: str | None, asked: str | None, advice: str
) -> None:
    first = open_store(shared.model_copy(update={"tenant": made}))
    first.write(CHUNKS, VECTORS)
    other = open_store(shared.model_copy(update={"tenant": asked}))
    for call in (
        other.count,
        lambda: other.write(CHUNKS, VECTORS),
        lambda: other.hybrid("annual leave", LEAVE, alpha=0.5, limit=5),
    ):
        with pytest.raises(StoreMismatchError, match=advice):
            call()
    assert first.count() == len(CHUNKS)
    first.close()
    other.close()


_READER = """
import sys, time
import numpy as np
from ingest.config import StoreConfig
from ingest.stores import open_store

store = open_store(StoreConfig.model_validate_json(sys.stdin.read()))
seen, until = 0, time.monotonic() + 240
print("ready", flush=True)
while seen < 80:
    assert time.monotonic() < until, f"only {seen} chunks in time"
    count = store.count()
    assert count >= seen, f"{seen} chunks became {count}"
    seen = count
    hits = store.hybrid("rule", np.ones(4, dtype=np.float32), alpha=0.5, limit=5)
    assert len(hits) >= min(5, count), f"{len(hits)} hits among {count} chunks"
    assert store.note("card") is None or store.note("card")["batch"] >= 0
    time.sleep(0.02)
store.close()
print(seen, flush=True)
"""


def _reader(config: StoreConfig) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", _READER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdin is not None
    process.stdin.write(config.model_dump_json())
    process.stdin.close()
    process.stdin = None
    return process


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_processes_read_while_one_writes(store: Store, config: StoreConfig) -> None:
    readers = [_reader(config) for _ in range(2)]
    try:
        for each in readers:
            assert each.stdout is not None
            assert each.stdout.readline() == "ready\n", each.communicate()[1]
        for batch in range(8):
            chunks = [
                passage(f"Rule {batch}.{number}.", source=f"{batch}.pdf", page=number)
                for number in range(10)
            ]
            store.write(chunks, np.eye(10, 4, dtype=np.float32) + 0.1)
            store.finish()
            store.put_note("card", {"batch": batch})
        for each in readers:
            output, errors = each.communicate(timeout=240)
            assert (each.returncode, output) == (0, "80\n"), errors
    finally:
        for each in readers:
            each.kill()
            each.communicate()
