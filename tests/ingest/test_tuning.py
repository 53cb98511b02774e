"""The weight of meaning beside words is chosen on the collection itself, and only where it pays."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID
from zlib import crc32

import numpy as np
import pytest
from ingest_fakes import WordEmbedder, hurry
from weaviate_fake import running

from ingest.collection import Collection
from ingest.config import IngestConfig, StoreConfig
from ingest.documents import Chunk
from ingest.events import Finished, Report
from ingest.pipeline import ingest
from ingest.stores import Store, open_store
from ingest.stores.embedded import LanceStore
from ingest.tuning import EVEN, GRID, QUESTIONS, Tuning, choose, make_questions, tune

NOUNS = "pump valve crane dock ferry ledger permit badge locker furnace kiln rudder".split()
PLACES = "Tarn Oslo Quillon Brest Marek Lund Harrow Pell".split()


def id_of(number: int) -> str:
    return str(UUID(int=number))


def make_chunks(count: int) -> list[Chunk]:
    """Write chunks whose sentences share most of their words, and have a number of their own."""
    texts = [
        f"The {NOUNS[i % 12]} of {PLACES[i % 8]} is looked after by team{i} every {i % 9} weeks. "
        f"Nobody but team{i} opens the {NOUNS[(i + 5) % 12]} near the gate{i} in {PLACES[i % 8]}."
        for i in range(count)
    ]
    return [
        Chunk(id_of(i), text, "d", "a.pdf", "Manual", i + 1, 0, len(text), "", "words")
        for i, text in enumerate(texts)
    ]


class Muddled(WordEmbedder):
    """An embedder that has no idea of what it reads: every text gets a direction by chance."""

    def encode(self, texts: Any, progress: Any = None) -> np.ndarray:
        seeds = [crc32(text.encode()) for text in texts]
        rows = [np.random.default_rng(seed).normal(size=self.dimension) for seed in seeds]
        vectors = np.array(rows, dtype=np.float32)
        normalised: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return normalised


def fill(
    folder: Path, embedder: WordEmbedder, count: int, *, store: Store | None = None
) -> Collection:
    store = store or LanceStore(folder, collection="manual")
    chunks = make_chunks(count)
    store.write(chunks, embedder.encode([chunk.embedded for chunk in chunks]))
    store.finish()
    return Collection(store, embedder)


def ranks(**means: list[float]) -> np.ndarray:
    table = np.full((len(next(iter(means.values()))), len(GRID)), 0.5)
    for name, column in means.items():
        table[:, GRID.index(float(name.replace("at_", "0.")))] = column
    return table


def test_a_question_says_part_of_the_passage_and_words_of_others_too() -> None:
    chunks = make_chunks(300)
    questions = make_questions(chunks)
    assert len(questions) == QUESTIONS
    for question in questions:
        assert question.meaning in question.passage
        assert len(question.meaning) < len(question.passage) / 2
        assert question.words.split()[0] in question.passage
        assert len(question.words.split()) == 6


def test_the_same_chunks_make_the_same_questions_in_whatever_order() -> None:
    chunks = make_chunks(300)
    assert make_questions(chunks) == make_questions(reversed(chunks))


def test_fragments_make_no_question() -> None:
    text = "Annex B\n\n12 | 40\n\n- see above"
    assert make_questions([Chunk("1", text, "d", "a.pdf", "", 1, 0, len(text), "", "m")]) == []
    assert make_questions([]) == []


def test_a_clear_gain_moves_the_weight() -> None:
    assert choose(ranks(at_2=[1.0] * 40)) == 0.2


def test_a_small_or_doubtful_gain_leaves_equal_weights() -> None:
    assert choose(np.full((40, len(GRID)), 0.7)) == EVEN
    assert choose(ranks(at_2=[0.51] * 40)) == EVEN
    assert choose(ranks(at_2=[1.0, 0.0] * 18 + [1.0] * 4)) == EVEN


def test_of_weights_as_good_as_each_other_the_one_nearest_to_equal_is_chosen() -> None:
    assert choose(ranks(at_1=[0.9] * 40, at_3=[0.898] * 40)) == 0.3


def test_an_embedder_that_understands_nothing_leaves_the_search_to_the_words(
    tmp_path: Path,
) -> None:
    tuning = tune(fill(tmp_path, Muddled(), 520).store, Muddled())
    assert tuning.alpha < EVEN
    assert tuning.tuned > tuning.even + 0.02
    assert (tuning.questions, tuning.passages) == (QUESTIONS, 520)


def test_a_weaviate_is_tuned_in_the_same_way(tmp_path: Path) -> None:
    with running() as server:
        store = open_store(StoreConfig(kind="weaviate", url=server.url, folder=tmp_path))
        tuning = tune(fill(tmp_path, Muddled(), 60, store=store).store, Muddled())
        store.close()
    assert tuning.questions == 60
    assert tuning.alpha < EVEN


def test_a_collection_is_tuned_when_it_is_measured_and_stays_so_until_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.collection.background_questions", lambda: ["who sings"])
    monkeypatch.setattr("ingest.evidence.background_questions", lambda: ["who sings"])
    collection = fill(tmp_path, Muddled(), 520)
    assert (collection.alpha, collection.tuning) == (EVEN, None)
    collection.calibrate()
    first = collection.tuning
    assert first is not None
    assert collection.alpha == first.alpha < EVEN
    assert Collection(collection.store, Muddled()).alpha == first.alpha
    assert collection.alpha_from == "tuned"
    fixed = Collection(collection.store, Muddled(), alpha=0.7)
    assert (fixed.alpha, fixed.alpha_from) == (0.7, "setting")

    collection.store.delete([id_of(i) for i in range(15)])
    collection.calibrate()
    assert collection.tuning == first

    collection.store.delete([id_of(i) for i in range(15, 300)])
    collection.calibrate()
    assert (collection.alpha, collection.tuning) == (EVEN, None)


def test_a_small_collection_stays_at_equal_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.collection.background_questions", lambda: ["who sings"])
    monkeypatch.setattr("ingest.evidence.background_questions", lambda: ["who sings"])
    collection = fill(tmp_path, Muddled(), 60)
    collection.calibrate()
    assert (collection.alpha, collection.tuning) == (EVEN, None)
    assert collection.alpha_from == "default"


def test_a_weight_that_is_set_is_not_tuned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.collection.background_questions", lambda: ["who sings"])
    monkeypatch.setattr("ingest.evidence.background_questions", lambda: ["who sings"])
    store = fill(tmp_path, Muddled(), 520).store
    Collection(store, Muddled(), alpha=0.5).calibrate()
    assert store.note("tuning") is None


@pytest.mark.parametrize(
    ("passages", "embedder", "fits"),
    [(1000, "m", True), (1500, "m", True), (1501, "m", False), (499, "m", False),
     (1000, "other", False)],
)  # fmt: skip
def test_a_tuning_fits_until_half_has_come_or_gone(
    passages: int, embedder: str, fits: bool
) -> None:
    tuning = Tuning(0.3, 0.7, 0.8, 100, 1000, "m")
    assert tuning.fits(passages, embedder) is fits
    assert Tuning.from_dict(json.loads(json.dumps(tuning.to_dict()))) == tuning


@pytest.mark.slow
def test_a_tuned_weight_is_no_worse_on_the_questions_that_people_asked(
    tmp_path: Path, minilm: Any, shared_questions: Path
) -> None:
    articles = json.loads((shared_questions / "squad_v1_part.json").read_text())["data"]
    paragraphs = [each for article in articles for each in article["paragraphs"]][:520]
    chunks = [
        Chunk(f"{i:05d}", each["context"], "d", "a.pdf", "", i, 0, 1, "", "minilm")
        for i, each in enumerate(paragraphs)
    ]
    store = LanceStore(tmp_path, collection="squad")
    store.write(chunks, minilm.encode([chunk.embedded for chunk in chunks]))
    store.finish()
    tuning = tune(store, minilm)
    asked = {each["qas"][0]["question"]: i for i, each in enumerate(paragraphs[::3])}
    vectors = minilm.encode(list(asked))

    def found_first(alpha: float) -> int:
        hits = [
            store.hybrid(question, vector, alpha=alpha, limit=1)
            for question, vector in zip(asked, vectors, strict=True)
        ]
        rows = zip(hits, asked.values(), strict=True)
        return sum(int(hit.chunk.id) == 3 * number for (hit, *_), number in rows)

    assert tuning.questions == QUESTIONS
    assert found_first(tuning.alpha) >= found_first(EVEN) - 0.01 * len(asked)
    assert found_first(EVEN) > max(found_first(0.0), found_first(1.0))


def test_an_ingest_tells_of_a_tuning_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)
    paper = tmp_path / "manual.txt"
    paper.write_text("\n\n".join(chunk.text for chunk in make_chunks(560)))
    store = LanceStore(tmp_path / "library", collection="manual")
    collection = Collection(store, Muddled())
    config = IngestConfig(chunk_tokens=32)

    def report() -> Report:
        *_, last = ingest([tmp_path / "manual.txt"], collection=collection, config=config)
        assert isinstance(last, Finished)
        return last.report

    first = report()
    assert first.tuning == collection.tuning
    assert first.tuning is not None
    assert first.tuning.alpha < EVEN
    paper.write_text(f"{paper.read_text()}\n\nOne more line of text.")
    second = report()
    assert (second.documents, second.tuning) == (1, None)
    assert collection.alpha == first.tuning.alpha
