"""Re-ranking and parents: found passages are compared once more, and widened on their page."""

from pathlib import Path

import pytest
from ingest_fakes import WordEmbedder

from ingest.collection import Collection
from ingest.documents import Chunk
from ingest.errors import RerankerError
from ingest.parents import widen
from ingest.reranking import CrossEncoder, LateReranker
from ingest.stores.base import Hit
from ingest.stores.embedded import LanceStore

EMBEDDER = WordEmbedder()
PAGE = (
    "Hotels are booked early. Trains are better than planes. Nobody flies to the harbour.\n\n"
    "Meals are paid up to 46 euros. Receipts are kept for a year. Tips are not paid.\n"
    "Dogs stay at home. Cats stay at home as well. Fish travel free of charge."
)


def cut(page: int, *spans: tuple[int, int]) -> list[Chunk]:
    return [
        Chunk(f"{page}-{a}", PAGE[a:b], "d", "rules.pdf", "Rules", page, a, b, "", "words")
        for a, b in spans
    ]


def hit(text: str, *, score: float) -> Hit:
    return Hit(Chunk(text, text, "d", "a.pdf", "A", 1, 0, len(text), "", "words"), score, 0.5, 0.0)


FIRST, SECOND = PAGE.index("Meals"), PAGE.index("Dogs")
CHUNKS = [
    *cut(1, (0, FIRST - 2), (FIRST, SECOND - 1), (SECOND, len(PAGE))),
    *cut(2, (0, FIRST - 2), (FIRST, SECOND - 1)),
]


@pytest.fixture
def store(tmp_path: Path) -> LanceStore:
    store = LanceStore(tmp_path, collection="rules")
    store.write(CHUNKS, EMBEDDER.encode([chunk.embedded for chunk in CHUNKS]))
    store.finish()
    return store


def found(chunk: Chunk) -> Hit:
    return Hit(chunk, 1.0, 0.5, 1.0)


@pytest.mark.parametrize(
    ("parents", "start", "end"), [("neighbours", 0, SECOND - 1), ("page", 0, len(PAGE))]
)
def test_a_widened_passage_has_the_offsets_of_its_text(
    store: LanceStore, parents: str, start: int, end: int
) -> None:
    (wide,) = widen([found(CHUNKS[0])], store, parents)  # type: ignore[arg-type]
    chunk = wide.chunk
    assert (chunk.start, chunk.end, chunk.id) == (start, end, CHUNKS[0].id)
    assert len(chunk.text) == end - start
    for piece in CHUNKS[:2]:
        assert chunk.text[piece.start : piece.end] == PAGE[piece.start : piece.end]
    assert chunk.text.split() == PAGE[start:end].split()


def test_hits_of_one_page_become_one_and_pages_never_mix(store: LanceStore) -> None:
    wide = widen([found(CHUNKS[1]), found(CHUNKS[3]), found(CHUNKS[2])], store, "page")
    assert [(each.chunk.page, each.chunk.end) for each in wide] == [(1, len(PAGE)), (2, SECOND - 1)]


def test_a_collection_widens_what_it_finds_and_without_it_nothing_changes(
    store: LanceStore,
) -> None:
    plain = Collection(store, EMBEDDER).search("meals 46 euros", limit=1)
    wide = Collection(store, EMBEDDER, parents="page").search("meals 46 euros", limit=1)
    assert plain[0].chunk in CHUNKS
    assert wide[0].chunk.text.split() == PAGE[: wide[0].chunk.end].split()


def test_the_late_re_ranker_prefers_the_passage_with_the_closer_sentence() -> None:
    padding = " ".join(f"Word{n} here says nothing." for n in range(30))
    buried = hit(f"{padding} Tips are never paid. {padding}", score=0.5)
    vague = hit(f"{padding} Paid work. {padding}", score=0.52)
    order = LateReranker(EMBEDDER).rerank("are tips paid", [vague, buried, hit("x", score=0.0)])
    assert order[0].chunk == buried.chunk
    assert order[0].why[-1].startswith("its best sentences: ")
    assert order[0].why[-1].endswith("was place 2")
    assert all(0 <= each.score <= 1 for each in order)
    assert LateReranker(EMBEDDER).rerank("x", []) == []


def test_a_collection_re_ranks_more_than_it_gives(store: LanceStore) -> None:
    seen: list[int] = []

    class Backwards:
        def rerank(self, query: str, hits: list[Hit]) -> list[Hit]:
            seen.append(len(hits))
            return hits[::-1]

    collection = Collection(store, EMBEDDER, reranker=Backwards())  # type: ignore[arg-type]
    assert len(collection.search("meals", limit=1)) == 1
    assert seen == [len(CHUNKS)]


def test_a_folder_that_holds_no_cross_encoder_says_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(RerankerError, match="holds no cross-encoder"):
        CrossEncoder(tmp_path)


def tiny_cross_encoder(folder: Path, labels: int) -> Path:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *dict.fromkeys(PAGE.lower().split())]
    vocabulary = {word: place for place, word in enumerate(words)}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", model_max_length=64
    ).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=64, num_labels=labels,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_a_cross_encoder_scores_question_and_passage_together(tmp_path: Path) -> None:
    encoder = CrossEncoder(tiny_cross_encoder(tmp_path / "one", 1))
    hits = [
        hit(f"{word} are paid", score=0.1 * n) for n, word in enumerate("meals tips dogs".split())
    ]
    order = encoder.rerank("who pays for meals", hits)
    assert {each.chunk.id for each in order} == {each.chunk.id for each in hits}
    assert [each.score for each in order] == sorted((each.score for each in order), reverse=True)
    assert "the re-ranker: " in order[0].why[-1]
    with pytest.raises(RerankerError, match="tells 3 classes apart"):
        CrossEncoder(tiny_cross_encoder(tmp_path / "three", 3))
