"""What tuning alpha on made questions is worth on the questions that people asked.

    OMP_NUM_THREADS=2 python tests/bench/alpha_tuning.py MODEL_FOLDER QUESTIONS_FOLDER

QUESTIONS_FOLDER holds sets in SQuAD's form, and Google's QED. Passages of each become a collection,
which is tuned; then real questions are searched with the tuned alpha, 0.5, 0 and 1, which gives
hit@1, hit@3 and mean reciprocal rank. The same is done with vectors that have noise added, as of an
embedder that does not know the subject.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from ingest.documents import Chunk
from ingest.embedding import Embedder
from ingest.embedding.pytorch import TorchEmbedder
from ingest.stores.embedded import LanceStore
from ingest.tuning import EVEN, tune

PIECE = 1100  # characters of a passage
NOISE = 1.5  # length of the noise, the vector's being 1
DEPTH = 50

Asked = list[tuple[str, str]]  # a question, and the passage that answers it


def squad_like(path: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Give title, text and questions of each passage; long ones are cut at a sentence's end."""
    for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            text, start = paragraph["context"], 0
            while start < len(text):
                stop = text.rfind(". ", start + PIECE // 2, start + PIECE)
                end = stop + 2 if stop > 0 and len(text) - start > PIECE else start + PIECE
                asked = [
                    each["question"]
                    for each in paragraph["qas"]
                    if each["answers"] and start <= each["answers"][0]["answer_start"] < end
                ]
                yield article.get("title", "").replace("_", " ")[:60], text[start:end], asked
                start = end


def qed(path: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Give title, text and the question of each passage of QED."""
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        yield row["title_text"], row["paragraph_text"][:1300], [f"{row['question_text']}?"]


SETS: dict[str, tuple[str, Callable[[Path], Iterator[tuple[str, str, list[str]]]]]] = {
    "SQuAD": ("squad_v1_part.json", squad_like),
    "SQuADShifts wiki": ("squadshifts_new_wiki.json", squad_like),
    "COVID-QA": ("covid_qa.json", squad_like),
    "QED (search engine)": ("qed_dev.jsonl", qed),
}


class Noisy:
    """An embedder whose vectors have noise added, each its own."""

    def __init__(self, embedder: Embedder, noise: float) -> None:
        self.name, self.dimension, self.max_tokens = "noisy", embedder.dimension, 256
        self._embedder, self._noise = embedder, noise
        self._dice = np.random.default_rng(0)

    def encode(
        self, texts: Sequence[str], progress: Callable[[int], None] | None = None
    ) -> np.ndarray:
        """Embed texts."""
        return self.muddle(self._embedder.encode(texts, progress))

    def muddle(self, vectors: np.ndarray) -> np.ndarray:
        """Add the noise to vectors."""
        noise = self._dice.normal(size=vectors.shape) * self._noise / np.sqrt(vectors.shape[1])
        moved = vectors + noise
        muddled: np.ndarray = moved / np.linalg.norm(moved, axis=1, keepdims=True)
        return muddled.astype(np.float32)

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        """Give the character span of each token of the text."""
        return self._embedder.token_spans(text)

    def count_tokens(self, text: str) -> int:
        """Count the tokens of a text."""
        return self._embedder.count_tokens(text)


def measure(store: LanceStore, asked: Asked, vectors: np.ndarray, alpha: float) -> str:
    """Write hit@1, hit@3 and mean reciprocal rank of the passage that answers."""
    places = []
    for (question, right), vector in zip(asked, vectors, strict=True):
        hits = store.hybrid(question, vector, alpha=alpha, limit=DEPTH)
        places.append(next((n for n, hit in enumerate(hits, 1) if hit.chunk.text == right), 0))
    found = np.array(places)
    ranks = np.where(found > 0, 1 / np.maximum(found, 1), 0.0)
    near = ((found > 0) & (found <= 3)).mean()
    return f"{(found == 1).mean():.3f} {near:.3f} {ranks.mean():.3f}"


def main() -> None:
    """Measure all sets and print one row for each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("questions", type=Path)
    parser.add_argument("--passages", type=int, default=600)
    parser.add_argument("--asked", type=int, default=200)
    given = parser.parse_args()
    embedder = TorchEmbedder(given.model, name=given.model.name)
    print("| questions | alpha | tuned | 0.5 | 0 | 1 |\n|---|---|---|---|---|---|")
    for name, (file, read) in SETS.items():
        rows = list(islice(read(given.questions / file), given.passages))
        chunks = [
            Chunk(f"{n:05d}", text, title, title, title, n, 0, len(text), "", "bench")
            for n, (title, text, _) in enumerate(rows)
        ]
        every = [(question, text) for _, text, questions in rows for question in questions]
        order = np.random.default_rng(0).permutation(len(every))[: given.asked]
        asked: Asked = [every[place] for place in order]
        vectors = embedder.encode([chunk.embedded for chunk in chunks])
        queries = embedder.encode([question for question, _ in asked])
        noisy = Noisy(embedder, NOISE)
        ways: dict[str, tuple[Embedder, np.ndarray, np.ndarray]] = {
            name: (embedder, vectors, queries),
            f"{name} + noise": (noisy, noisy.muddle(vectors), noisy.muddle(queries)),
        }
        for way, (used, stored, put) in ways.items():
            with tempfile.TemporaryDirectory() as folder:
                store = LanceStore(Path(folder), collection="bench")
                store.write(chunks, stored)
                store.finish()
                alpha = tune(store, used).alpha
                cells = [measure(store, asked, put, each) for each in (alpha, EVEN, 0.0, 1.0)]
            print(f"| {way} | {alpha} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
