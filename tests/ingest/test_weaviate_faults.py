"""What the Weaviate store does when the server refuses, stalls, dies or comes back."""

import pickle
import socket
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from weaviate_fake import FakeWeaviate, fill_defaults, running

from ingest.documents import Chunk, chunk_id
from ingest.errors import (
    StoreAccessError,
    StoreError,
    StoreFullError,
    StoreMismatchError,
    StoreUnreachableError,
    StoreWriteError,
)
from ingest.stores.weaviate import WeaviateStore
from ingest.stores.weaviate_schema import class_name
from ingest.stores.weaviate_server import Address

QUERY = np.array([1.0, 0.0, 0.0, 0.0], dtype=np.float32)
PATIENCE = 60.0


def passages(count: int, source: str = "rules.pdf") -> list[Chunk]:
    return [
        Chunk(
            id=chunk_id(source, "d" * 64, number, 0, 9, "test"),
            text=f"rule {number}",
            document="d" * 64,
            source=source,
            title="Rules",
            page=number,
            start=0,
            end=9,
            heading="",
            embedder="test",
        )
        for number in range(1, count + 1)
    ]


def vectors(count: int) -> np.ndarray:
    return np.tile(QUERY, (count, 1))


@pytest.fixture
def fake() -> Iterator[FakeWeaviate]:
    with running() as server:
        yield server


def opened(fake: FakeWeaviate, api_key: str | None = None) -> WeaviateStore:
    return WeaviateStore(fake.url, collection="library", api_key=api_key, timeout_s=PATIENCE)


@pytest.fixture
def store(fake: FakeWeaviate) -> Iterator[WeaviateStore]:
    opened_store = opened(fake)
    yield opened_store
    opened_store.close()


def test_one_refused_object_is_an_error_that_names_it(
    fake: FakeWeaviate, store: WeaviateStore
) -> None:
    chunks = passages(10)
    fake.faults.refuse[chunks[6].id] = (99, "invalid object: broken shard")
    with pytest.raises(StoreWriteError, match=r"refused 1 of 10 .*rules.pdf page 7.*broken shard"):
        store.write(chunks, vectors(10))
    assert store.count() == 9


def test_an_object_that_is_refused_once_is_written_at_the_second_try(
    fake: FakeWeaviate, store: WeaviateStore
) -> None:
    chunks = passages(10)
    fake.faults.refuse[chunks[6].id] = (1, "shard is busy")
    store.write(chunks, vectors(10))
    store.finish()
    assert store.count() == 10
    assert fake.calls["write"] == 2


def test_a_batch_that_is_refused_whole_tells_its_reasons(
    fake: FakeWeaviate, store: WeaviateStore
) -> None:
    chunks = passages(3)
    fake.faults.refuse = {chunk.id: (99, "tenant not found") for chunk in chunks}
    with pytest.raises(StoreWriteError, match=r"refused 3 of 3 objects.*tenant not found"):
        store.write(chunks, vectors(3))


def test_a_refusal_in_a_later_batch_is_not_lost(fake: FakeWeaviate, store: WeaviateStore) -> None:
    chunks = passages(450)
    fake.faults.refuse[chunks[449].id] = (99, "out of memory")
    with pytest.raises(StoreWriteError, match="page 450: out of memory"):
        store.write(chunks, vectors(450))


def test_a_chunk_that_was_acknowledged_but_lost_is_not_read_back(
    fake: FakeWeaviate, store: WeaviateStore
) -> None:
    chunks = passages(10)
    fake.faults.lose = {chunks[3].id}
    store.write(chunks, vectors(10))
    wanted = {chunk.id for chunk in chunks}
    assert wanted - store.ids(["rules.pdf"]) == {chunks[3].id}
    fake.faults.lose = set()
    store.write(chunks, vectors(10))
    assert store.ids(["rules.pdf"]) == wanted


def test_a_source_beyond_the_reach_of_a_query_is_read_back_by_cursor(
    fake: FakeWeaviate, store: WeaviateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.stores.weaviate_objects._REACH", 5)
    monkeypatch.setattr("weaviate_fake.REACH", 1000)
    chunks = passages(10)
    store.write([*chunks, *passages(3, source="other.pdf")], vectors(13))
    assert store.ids(["rules.pdf"]) == {chunk.id for chunk in chunks}


def test_a_server_whose_disk_is_full_says_so(fake: FakeWeaviate, store: WeaviateStore) -> None:
    chunks = passages(2)
    reason = "store is read-only due to: disk usage too high"
    fake.faults.refuse = {chunk.id: (99, reason) for chunk in chunks}
    with pytest.raises(StoreFullError, match="free disk space on the server"):
        store.write(chunks, vectors(2))


def test_a_refused_deletion_is_an_error(fake: FakeWeaviate, store: WeaviateStore) -> None:
    chunks = passages(3)
    store.write(chunks, vectors(3))
    fake.faults.keep_on_delete = {chunks[0].id}
    with pytest.raises(StoreWriteError, match="could not delete 1 of 3"):
        store.delete([chunk.id for chunk in chunks])


def test_more_chunks_than_one_deletion_takes_are_all_deleted() -> None:
    with running(delete_limit=4) as fake:
        store = opened(fake)
        store.write(passages(10), vectors(10))
        store.delete(sorted(store.ids(["rules.pdf"])))
        assert store.count() == 0
        store.close()


def test_a_short_outage_is_waited_out(fake: FakeWeaviate, store: WeaviateStore) -> None:
    fake.faults.unavailable = 1
    store.write(passages(5), vectors(5))
    assert store.count() == 5
    fake.faults.unavailable = 1
    assert len(store.hybrid("rule", QUERY, alpha=0.5, limit=3)) == 3


def test_a_server_that_stays_unavailable_is_given_up_at_the_deadline(fake: FakeWeaviate) -> None:
    store = opened(fake)
    store.write(passages(2), vectors(2))
    store._server.timeout_s = 1
    fake.faults.unavailable = 10_000
    for call in (
        store.count,
        lambda: store.hybrid("rule", QUERY, alpha=0.5, limit=3),
        lambda: store.write(passages(2), vectors(2)),
        lambda: list(store.chunks()),
    ):
        begun = time.monotonic()
        with pytest.raises(StoreUnreachableError):
            call()
        assert time.monotonic() - begun < 5
    store.close()


def test_a_slow_server_is_given_up_at_the_deadline(fake: FakeWeaviate) -> None:
    store = opened(fake)
    store.write(passages(2), vectors(2))
    store._server.timeout_s = 1
    fake.faults.slow_s = 5
    begun = time.monotonic()
    with pytest.raises(StoreUnreachableError, match=r"http://127.0.0.1:\d+"):
        store.hybrid("rule", QUERY, alpha=0.5, limit=3)
    assert time.monotonic() - begun < 4.5
    store.close()


def test_after_a_restart_the_same_store_goes_on(fake: FakeWeaviate, store: WeaviateStore) -> None:
    store.write(passages(5), vectors(5))
    fake.stop()
    fake.start()
    assert store.count() == 5
    assert len(store.hybrid("rule", QUERY, alpha=0.5, limit=3)) == 3
    store.put_note("card", {"n": 1})
    assert store.note("card") == {"n": 1}


def test_a_restart_in_the_middle_of_a_search_is_waited_out(
    fake: FakeWeaviate, store: WeaviateStore
) -> None:
    store.write(passages(5), vectors(5))
    fake.faults.slow_s = 2
    hits: list[object] = []
    search = threading.Thread(
        target=lambda: hits.extend(store.hybrid("rule", QUERY, alpha=0.5, limit=3))
    )
    calls = fake.calls["search"]
    search.start()
    while fake.calls["search"] == calls:
        time.sleep(0.01)
    fake.stop()
    fake.faults.slow_s = 0
    fake.start()
    search.join()
    assert len(hits) == 3


def test_a_batch_that_breaks_off_in_the_middle_is_written_whole_by_the_repetition(
    fake: FakeWeaviate, store: WeaviateStore
) -> None:
    fake.faults.stop_after = 4
    store.write(passages(10), vectors(10))
    assert fake.calls["write"] == 2
    assert store.count() == 10
    assert store.ids(["rules.pdf"]) == {chunk.id for chunk in passages(10)}


def test_a_restart_in_the_middle_of_a_batch_is_waited_out(
    fake: FakeWeaviate, store: WeaviateStore
) -> None:
    store.write(passages(1), vectors(1))
    fake.faults.slow_s = 2
    calls = fake.calls["write"]
    writing = threading.Thread(target=lambda: store.write(passages(20), vectors(20)))
    writing.start()
    while fake.calls["write"] == calls:
        time.sleep(0.01)
    fake.stop()
    fake.faults.slow_s = 0
    fake.start()
    writing.join()
    assert store.ids(["rules.pdf"]) == {chunk.id for chunk in passages(20)}


@pytest.fixture
def newer() -> Iterator[FakeWeaviate]:
    with running(version="1.36.9") as server:
        yield server


def test_many_chunks_go_as_one_stream_where_the_server_can(newer: FakeWeaviate) -> None:
    store = opened(newer)
    store.write(passages(1100), vectors(1100))
    assert (newer.calls["stream"], newer.calls["write"], store.count()) == (1, 0, 1100)
    store.write(passages(20, "other.pdf"), vectors(20))
    assert (newer.calls["stream"], newer.calls["write"], store.count()) == (1, 1, 1120)
    store.close()


def test_an_older_server_gets_batches_however_many_chunks_there_are(
    fake: FakeWeaviate, store: WeaviateStore
) -> None:
    store.write(passages(1100), vectors(1100))
    assert (fake.calls["stream"], fake.calls["write"], store.count()) == (0, 6, 1100)


def test_what_a_stream_refuses_is_written_at_the_second_try_or_told(newer: FakeWeaviate) -> None:
    store, chunks = opened(newer), passages(1100)
    newer.faults.refuse = {chunks[6].id: (1, "shard is busy"), chunks[8].id: (99, "broken shard")}
    with pytest.raises(StoreWriteError, match=r"rules.pdf page 9: broken shard"):
        store.write(chunks, vectors(1100))
    assert store.ids(["rules.pdf"]) == {chunk.id for chunk in chunks} - {chunks[8].id}
    store.close()


def test_a_stream_that_breaks_off_is_followed_by_batches(newer: FakeWeaviate) -> None:
    store, chunks = opened(newer), passages(1100)
    newer.faults.stop_after = 340
    store.write(chunks, vectors(1100))
    assert newer.calls["stream"] == 1
    assert newer.calls["write"] > 0
    assert store.ids(["rules.pdf"]) == {chunk.id for chunk in chunks}
    store.close()


def test_a_stream_that_a_server_does_not_take_is_followed_by_batches(newer: FakeWeaviate) -> None:
    store = opened(newer)
    store.write(passages(1), vectors(1))
    newer.faults.unavailable = 1
    store.write(passages(1100), vectors(1100))
    assert store.count() == 1100
    store.close()


def test_writing_may_take_longer_than_a_search(fake: FakeWeaviate) -> None:
    store = WeaviateStore(
        fake.url, collection="library", timeout_s=PATIENCE, insert_timeout_s=PATIENCE
    )
    store.write(passages(2), vectors(2))
    store._server.timeout_s = 1
    fake.faults.slow_s = 2
    store.write(passages(4), vectors(4))
    with pytest.raises(StoreUnreachableError, match=r"within 1 s.*weaviate_query_s"):
        store.hybrid("rule", QUERY, alpha=0.5, limit=3)
    fake.faults.slow_s = 0
    store._server.timeout_s = PATIENCE
    assert store.count() == 4
    store.close()


def test_a_new_collection_is_kept_on_as_many_nodes_as_asked() -> None:
    with running(nodes=3) as fake:
        store = WeaviateStore(fake.url, collection="library", timeout_s=PATIENCE, replicas=3)
        store.write(passages(1), vectors(1))
        store.put_note("card", {"n": 1})
        store.close()
        factors = {name: each["replicationConfig"]["factor"] for name, each in fake.schema.items()}
    assert factors == {"Library": 3, "LibraryNotes": 3}


def test_more_replicas_than_nodes_are_refused_with_what_to_do(fake: FakeWeaviate) -> None:
    store = WeaviateStore(fake.url, collection="library", timeout_s=PATIENCE, replicas=3)
    with pytest.raises(StoreMismatchError, match=r"found 1 want 3.*weaviate_replicas"):
        store.write(passages(1), vectors(1))
    store.close()


def test_a_tenant_comes_into_being_with_the_first_write(fake: FakeWeaviate) -> None:
    store = WeaviateStore(fake.url, collection="library", timeout_s=PATIENCE, tenant="north")
    store.write(passages(2), vectors(2))
    tenancy = fake.schema["Library"]["multiTenancyConfig"]
    assert (tenancy["enabled"], tenancy["autoTenantCreation"]) == (True, True)
    assert set(fake.objects) == {"Library", "Library/north"}
    assert (len(fake.objects["Library"]), len(fake.objects["Library/north"])) == (0, 2)
    store.close()


def test_grpc_may_be_named_apart_from_the_address(fake: FakeWeaviate) -> None:
    url = fake.url.partition("?")[0]
    for place in (f"{fake.grpc_port}", f"127.0.0.1:{fake.grpc_port}"):
        store = WeaviateStore(url, collection="library", timeout_s=PATIENCE, grpc=place)
        assert store.count() == 0
        store.close()


def test_a_server_that_dies_while_it_is_used_is_reported_with_what_to_do() -> None:
    with running() as fake:
        store = opened(fake)
        store.write(passages(2), vectors(2))
        store._server.timeout_s = 2
        fake.stop()
        with pytest.raises(StoreUnreachableError):
            store.hybrid("rule", QUERY, alpha=0.5, limit=3)
        store.close()
        fake.start()


def test_a_missing_server_is_reported_with_what_to_do() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    begun = time.monotonic()
    with pytest.raises(StoreUnreachableError, match=rf"{url} .*docker run"):
        WeaviateStore(url, collection="library", timeout_s=PATIENCE)
    assert time.monotonic() - begun < PATIENCE


def test_a_missing_grpc_port_is_named(fake: FakeWeaviate) -> None:
    fake.stop_grpc()
    with pytest.raises(StoreUnreachableError, match=rf"not by gRPC at 127.0.0.1:{fake.grpc_port}"):
        opened(fake)


def test_a_connection_that_is_hung_up_is_reported(fake: FakeWeaviate) -> None:
    fake.faults.hang_up = True
    with pytest.raises(StoreUnreachableError, match="cannot connect"):
        opened(fake)


def test_a_gateway_that_answers_with_a_page_is_reported(fake: FakeWeaviate) -> None:
    fake.faults.http_status = 502
    with pytest.raises(StoreUnreachableError, match="cannot connect"):
        opened(fake)


@pytest.mark.parametrize("key", [None, "wrong"])
def test_a_missing_or_wrong_key_is_told_apart_from_a_missing_server(key: str | None) -> None:
    with (
        running(api_key="right") as fake,
        pytest.raises(StoreAccessError, match="WEAVIATE_API_KEY") as caught,
    ):
        WeaviateStore(fake.url, collection="library", api_key=key, timeout_s=PATIENCE).count()
    assert "right" not in str(caught.value)


def test_the_right_key_opens_the_store() -> None:
    with running(api_key="right") as fake:
        store = opened(fake, api_key="right")
        store.write(passages(1), vectors(1))
        assert store.count() == 1
        fake.api_key = "changed"
        with pytest.raises(StoreAccessError, match="WEAVIATE_API_KEY"):
            store.hybrid("rule", QUERY, alpha=0.5, limit=1)
        store.close()


def test_a_foreign_collection_of_the_same_name_is_left_alone(
    fake: FakeWeaviate, store: WeaviateStore
) -> None:
    books = {"class": "Library", "description": "somebody's books", "vectorConfig": {}}
    fill_defaults(books)
    fake.schema["Library"] = books
    fake.objects["Library"] = {}
    for call in (
        store.count,
        lambda: store.write(passages(1), vectors(1)),
        lambda: store.delete(["d" * 64]),
    ):
        with pytest.raises(StoreMismatchError, match="choose another collection name"):
            call()
    assert fake.objects["Library"] == {}


def test_two_names_that_weaviate_cannot_tell_apart_do_not_share_a_collection(
    fake: FakeWeaviate,
) -> None:
    one = WeaviateStore(fake.url, collection="my-books", timeout_s=PATIENCE)
    two = WeaviateStore(fake.url, collection="my_books", timeout_s=PATIENCE)
    one.write(passages(1), vectors(1))
    with pytest.raises(StoreMismatchError, match="my_books"):
        two.write(passages(1), vectors(1))
    one.close()
    two.close()


def test_two_writers_may_create_the_collection_at_the_same_time(fake: FakeWeaviate) -> None:
    stores = [opened(fake) for _ in range(4)]
    errors: list[Exception] = []
    together = threading.Barrier(4)

    def write(number: int) -> None:
        try:
            together.wait()
            stores[number].write(passages(20, f"{number}.pdf"), vectors(20))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert errors == []
    assert stores[0].count() == 80
    for each in stores:
        each.close()


def test_a_server_that_explains_nothing_gives_no_bm25_score(
    fake: FakeWeaviate, store: WeaviateStore
) -> None:
    store.write(passages(3), vectors(3))
    assert store.hybrid("rule", QUERY, alpha=0.5, limit=1)[0].keyword > 0
    fake.faults.explain = False
    assert store.hybrid("rule", QUERY, alpha=0.5, limit=1)[0].keyword == 0


@pytest.mark.parametrize(("version", "compressed"), [("1.31.9", False), ("1.32.0", True)])
def test_vectors_are_compressed_where_the_server_can(version: str, compressed: bool) -> None:
    with running(version=version) as fake:
        store = opened(fake)
        store.write(passages(1), vectors(1))
        store.close()
        config = fake.schema["Library"]["vectorConfig"]["default"]["vectorIndexConfig"]
    assert config["distance"] == "cosine"
    assert config.get("rq") == ({"enabled": True, "bits": 8} if compressed else None)


def test_only_what_is_searched_or_filtered_is_indexed(
    fake: FakeWeaviate, store: WeaviateStore
) -> None:
    store.write(passages(1), vectors(1))
    properties = {each["name"]: each for each in fake.schema["Library"]["properties"]}
    assert {name for name, each in properties.items() if each["indexSearchable"]} == {"embedded"}
    assert {name for name, each in properties.items() if each["indexFilterable"]} == {
        "document",
        "source",
        "page",
        "page_label",
    }
    assert properties["embedded"]["tokenization"] == "word"
    assert properties["source"]["tokenization"] == "field"


def test_a_closed_store_says_that_it_is_closed(fake: FakeWeaviate) -> None:
    store = opened(fake)
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.count()


def test_the_errors_of_a_store_survive_pickling(fake: FakeWeaviate) -> None:
    fake.stop_grpc()
    with pytest.raises(StoreUnreachableError) as caught:
        opened(fake)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (type(copy), str(copy)) == (StoreUnreachableError, str(caught.value))


@pytest.mark.parametrize(
    ("collection", "expected"),
    [("library", "Library"), ("Library", "Library"), ("my-pdfs", "My_pdfs"), ("x", "X")],
)
def test_a_collection_gets_a_class_name_that_weaviate_takes(collection: str, expected: str) -> None:
    assert class_name(collection) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost:8080", Address("localhost", 8080, False, "localhost", 50051)),
        ("localhost:8081", Address("localhost", 8081, False, "localhost", 50051)),
        ("http://db:80?grpc=9", Address("db", 80, False, "db", 9)),
        ("http://db?grpc=rpc.db:9", Address("db", 8080, False, "rpc.db", 9)),
        ("https://db.example", Address("db.example", 443, True, "db.example", 50051)),
        (
            "https://abc.c0.weaviate.cloud",
            Address("abc.c0.weaviate.cloud", 443, True, "grpc-abc.c0.weaviate.cloud", 443),
        ),
    ],
)
def test_an_address_names_both_places(url: str, expected: Address) -> None:
    assert Address.parse(url) == expected


@pytest.mark.parametrize("url", ["", "http://", "ftp://db", "http://db:port", "db?grpc=x:y"])
def test_what_is_no_address_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(StoreUnreachableError, match="http://localhost:8080"):
        Address.parse(url)
