"""Another embedder for a collection: made beside it, in force in one step, and resumable."""

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ingest_fakes import WordEmbedder, hurry
from weaviate_fake import running

from ingest.collection import Collection, made_by
from ingest.config import StoreConfig
from ingest.embedding import Embedder
from ingest.embedding.cache import CachedEmbedder, MemoryVectors
from ingest.errors import CollectionBusyError, StoreError, StoreMismatchError, StoreWriteError
from ingest.events import Finished
from ingest.lock import Lock
from ingest.manifest import manifest_path, peek
from ingest.pipeline import ingest
from ingest.profiles import Only, Profiles
from ingest.reembedding import ReembedReport, plan_reembedding, reembed
from ingest.stores import Store
from ingest.stores import open_store as open_one

QUESTION = "When is the ferry painted?"


class ShortEmbedder(WordEmbedder):
    """Another model: vectors of another length, from other hashes."""

    dimension = 32

    def __init__(self, name: str = "short") -> None:
        super().__init__(name)

    def encode(
        self, texts: Sequence[str], progress: Callable[[int], None] | None = None
    ) -> np.ndarray:
        return super().encode([f"{text} {text[::-1]}" for text in texts])


EMBEDDERS: dict[str, Callable[[], Any]] = {"words": WordEmbedder, "short": ShortEmbedder}


def embedder_of(name: str) -> Embedder:
    opened: Embedder = EMBEDDERS[name]()
    return opened


OPENED: list[Store] = []


def open_store(config: StoreConfig) -> Store:
    OPENED.append(open_one(config))
    return OPENED[-1]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    hurry(monkeypatch)
    yield
    while OPENED:
        OPENED.pop().close()


@pytest.fixture(params=["lancedb", "weaviate", "weaviate-tenant"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StoreConfig]:
    if request.param == "lancedb":
        yield StoreConfig(folder=tmp_path / "store")
        return
    tenant = "north" if request.param.endswith("tenant") else None
    with running() as fake:
        yield StoreConfig(
            kind="weaviate", url=fake.url, folder=tmp_path / "notes", tenant=tenant, timeout_s=60
        )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "rules"
    path.mkdir()
    for name in ("pier", "ferry", "crane"):
        sections = "".join(
            f"\n## Part {part}\n\nThe {name} is painted in year {part}. {f'{name} rope ' * 60}\n"
            for part in range(4)
        )
        (path / f"{name}.md").write_text(f"# Rules of the {name}\n{sections}")
    return path


def opened(config: StoreConfig, embedder: Any, **more: Any) -> Collection:
    return Collection(open_store(config), embedder, **more)


def fill(config: StoreConfig, folder: Path, embedder: Any) -> Any:
    collection = opened(config, embedder)
    *_, last = ingest([folder], collection=collection, sync=True, allow_removals=True)
    assert isinstance(last, Finished)
    return last.report


def report_of(collection: Collection) -> ReembedReport:
    *_, last = reembed(collection)
    assert isinstance(last, ReembedReport)
    return last


def content(config: StoreConfig) -> list[tuple[str, str, tuple[float, ...]]]:
    store = open_store(config)
    return sorted(
        (chunk.id, chunk.embedder, tuple(round(float(each), 5) for each in vector))
        for document in store.documents()
        for chunk, vector in store.rows(document.source)
    )


def test_a_collection_embedded_anew_is_the_one_that_the_new_embedder_makes_of_the_files(
    config: StoreConfig, folder: Path
) -> None:
    fill(config, folder, WordEmbedder())
    new = opened(config, ShortEmbedder())
    plan = plan_reembedding(new)
    assert (plan.before, plan.embedder, plan.needed, plan.there) == ("words", "short", True, 0)
    report = report_of(new)
    assert (report.before, report.embedder, report.cut_anew) == ("words", "short", ())
    assert report.written == report.chunks == plan.chunks > 8
    fresh = config.model_copy(update={"collection": "fresh"})
    fill(fresh, folder, ShortEmbedder())
    assert content(config) == content(fresh)
    for name in ("calibration", "card"):
        assert open_store(config).note(name) == open_store(fresh).note(name)
    again = fill(config, folder, ShortEmbedder())
    assert (again.unchanged, again.documents, again.embedded) == (3, 0, 0)
    assert plan_reembedding(new).needed is False


def test_what_a_machine_knows_only_from_the_library_is_kept(
    config: StoreConfig, folder: Path
) -> None:
    (folder / "ferry.md").write_text("---\nauthor: Weber\n---\n# Ferry\n\nIt is painted blue.\n")
    fill(config, folder, WordEmbedder())
    before = Profiles.of(open_store(config)).facts_of(str(folder / "ferry.md"))
    manifest = manifest_path(open_store(config).place)
    assert manifest
    manifest.unlink()
    new = opened(config, ShortEmbedder())
    report_of(new)
    profiles = Profiles.of(new.store)
    assert profiles.facts_of(str(folder / "ferry.md")) == before
    assert {len(each.vector) for each in profiles.all} == {ShortEmbedder.dimension}
    (hit,) = new.search(QUESTION, only=Only(meta={"author": ("Weber",)}))
    assert "blue" in hit.chunk.text


def test_the_old_generation_leaves_nothing_behind(config: StoreConfig, folder: Path) -> None:
    fill(config, folder, WordEmbedder())
    notes = open_store(config).notes()
    for name in ("short", "words", "short"):
        report_of(opened(config, embedder_of(name)))
    store = open_store(config)
    assert store.generation == 4
    assert set(store.notes()) == {*notes, "cut_anew"}
    for number in (1, 2, 3, 5):
        assert store.beside(number).count() == 0
        assert store.beside(number).notes() == []


def test_a_search_goes_on_all_the_while_and_takes_the_new_embedder_at_the_switch(
    config: StoreConfig, folder: Path
) -> None:
    fill(config, folder, WordEmbedder())
    searching = opened(config, WordEmbedder(), reopen=embedder_of)
    strength = searching.probe(QUESTION).strength
    found: list[str] = []
    for _ in reembed(opened(config, ShortEmbedder())):
        hits = searching.search(QUESTION)
        assert "ferry" in hits[0].chunk.text
        found.append(hits[0].chunk.embedder)
    assert found[:-1] == ["words"] * (len(found) - 1)
    assert found[-1] == searching.embedder.name == "short"
    assert searching.probe(QUESTION).strength == strength == "strong"


def test_a_search_in_another_thread_never_fails(config: StoreConfig, folder: Path) -> None:
    fill(config, folder, WordEmbedder())
    searching = opened(config, WordEmbedder(), reopen=embedder_of)
    errors: list[Exception] = []
    done = threading.Event()

    def search() -> None:
        while not done.is_set():
            try:
                assert searching.search(QUESTION)
            except Exception as error:
                errors.append(error)

    thread = threading.Thread(target=search)
    thread.start()
    for name in ("short", "words"):
        report_of(opened(config, embedder_of(name)))
    done.set()
    thread.join()
    assert errors == []


def test_without_a_way_to_open_the_new_embedder_a_search_says_so(
    config: StoreConfig, folder: Path
) -> None:
    fill(config, folder, WordEmbedder())
    report_of(opened(config, WordEmbedder("other")))
    with pytest.raises(StoreMismatchError, match="embedded with other, the question with words"):
        opened(config, WordEmbedder()).search(QUESTION)


def test_an_ingest_with_another_embedder_names_the_command(
    config: StoreConfig, folder: Path
) -> None:
    fill(config, folder, WordEmbedder())
    with pytest.raises(StoreMismatchError, match="agentlab store reembed"):
        fill(config, folder, ShortEmbedder())


def test_what_broke_off_goes_on_and_the_embeddings_are_kept(
    config: StoreConfig, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(config, folder, WordEmbedder())
    monkeypatch.setattr("ingest.reembedding.BATCH", 2)
    short, vectors = ShortEmbedder(), MemoryVectors()
    events = reembed(opened(config, CachedEmbedder(short, vectors)))  # type: ignore[arg-type]
    for _ in range(4):
        next(events)
    events.close()
    embedded = len(short.encoded)
    plan = plan_reembedding(opened(config, ShortEmbedder()))
    assert plan.there == embedded > 0
    (folder / "ferry.md").unlink()  # and meanwhile the folder was kept in step
    (folder / "pier.md").write_text("# Rules of the pier\n\nIt was sold.\n")
    fill(config, folder, WordEmbedder())
    report = report_of(opened(config, CachedEmbedder(short, vectors)))  # type: ignore[arg-type]
    assert report.written < report.chunks
    assert {each.source for each in open_store(config).documents()} == {
        str(folder / "crane.md"),
        str(folder / "pier.md"),
    }
    assert fill(config, folder, ShortEmbedder()).unchanged == 2


def test_what_an_earlier_run_began_for_a_third_embedder_goes(
    config: StoreConfig, folder: Path
) -> None:
    fill(config, folder, WordEmbedder())
    events = reembed(opened(config, WordEmbedder("third")))
    next(events)
    events.close()
    report = report_of(opened(config, ShortEmbedder()))
    assert report.written == report.chunks
    assert made_by(open_store(config)) == "short"


def test_a_run_that_broke_off_after_the_switch_is_finished_by_the_next(
    config: StoreConfig, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(config, folder, WordEmbedder())

    def die(_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("ingest.reembedding._settle", die)
        with pytest.raises(KeyboardInterrupt):
            report_of(opened(config, ShortEmbedder()))
    store = open_store(config)
    assert made_by(store) == "short"
    assert store.beside(1).count() > 0
    assert fill(config, folder, ShortEmbedder()).unchanged == 3
    assert report_of(opened(config, ShortEmbedder())).written == 0
    assert open_store(config).beside(1).count() == 0


def test_documents_with_passages_that_the_new_embedder_cuts_off_are_read_again(
    config: StoreConfig, folder: Path
) -> None:
    (folder / "pier.md").write_text("# Pier\n\nThe pier is closed.\n")
    fill(config, folder, WordEmbedder())
    small = ShortEmbedder()
    small.max_tokens = 64
    report = report_of(opened(config, small))
    assert len(report.cut_anew) == 2
    again = fill(config, folder, small)
    assert (again.documents, again.unchanged) == (2, 1)
    store = open_store(config)
    longest = max(small.count_tokens(chunk.embedded) for chunk in store.chunks())
    assert longest <= small.max_tokens
    assert fill(config, folder, small).unchanged == 3


def test_a_store_that_loses_chunks_is_told_and_searched_as_before(
    folder: Path, tmp_path: Path
) -> None:
    with running() as fake:
        config = StoreConfig(kind="weaviate", url=fake.url, folder=tmp_path / "notes")
        fill(config, folder, WordEmbedder())
        lost = next(iter(_ids_to_come(config)))
        fake.faults.lose.add(lost)
        with pytest.raises(StoreWriteError, match="it goes on"):
            report_of(opened(config, ShortEmbedder()))
        assert opened(config, WordEmbedder()).search(QUESTION)
        fake.faults.lose.clear()
        assert report_of(opened(config, ShortEmbedder())).written >= 1


def _ids_to_come(config: StoreConfig) -> Iterator[str]:
    from ingest.reembedding import _Filling

    collection = opened(config, ShortEmbedder())
    filling = _Filling(collection.store, collection.beside(2))
    for chunk in collection.store.chunks():
        yield filling._renewed(chunk).id


def test_one_at_a_time_and_not_without_a_collection(config: StoreConfig, folder: Path) -> None:
    with pytest.raises(StoreError, match="empty"):
        report_of(opened(config, ShortEmbedder()))
    fill(config, folder, WordEmbedder())
    with Lock(open_store(config).place) as lock:
        assert lock.take()
        with pytest.raises(CollectionBusyError):
            list(reembed(opened(config, ShortEmbedder()), wait=False))


def test_the_generation_in_force_cannot_be_deleted(config: StoreConfig, folder: Path) -> None:
    fill(config, folder, WordEmbedder())
    with pytest.raises(StoreError, match="in force"):
        open_store(config).drop(1)
    assert all(each.state == "verified" for each in peek(open_store(config).place).values())
