"""How well the evidence tells what a library of 2, 20, 200 and 2,000 documents holds.

    OMP_NUM_THREADS=2 python tests/bench/evidence_scale.py MODEL_FOLDER QUESTIONS_FOLDER

Documents are pieces of articles from sets in SQuAD's form and from Google's QED; a fifth of the
articles is held out. Half of the questions belong to the library, half to those articles. For each
size: balanced accuracy where a match from "weak" or from "good" on counts as belonging, without the
reader, which in the agent decides where the match says little; the area under the curve; how many
seconds the calibration took, and of how many passages the words were counted.
"""

import argparse
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from alpha_tuning import SETS

from ingest.collection import Collection
from ingest.documents import Chunk
from ingest.embedding.cache import CachedEmbedder, DiskVectors
from ingest.embedding.pytorch import TorchEmbedder
from ingest.stores.embedded import LanceStore

PASSAGES = {2: 10, 20: 10, 200: 5, 2000: 1}  # of a document, by the number of documents
ASKED = 150
Row = tuple[str, str, list[str]]  # title, passage, its questions


def read_rows(folder: Path) -> tuple[list[Row], list[Row]]:
    """Read all passages of the articles that may be in a library, and of those held out."""
    names = ("SQuADShifts wiki", "SQuAD", "QED (search engine)")
    rows = [row for name in names for row in SETS[name][1](folder / SETS[name][0])]
    titles = sorted({title for title, _, _ in rows})
    out = {title for title in titles if uuid.uuid5(uuid.NAMESPACE_URL, title).int % 5 == 0}
    kept = [row for row in rows if row[0] not in out]
    return kept, [row for row in rows if row[0] in out]


def group(
    rows: Sequence[Row], documents: int, passages: int, dice: np.random.Generator
) -> list[Row]:
    """Draw documents of up to so many passages of one article each; give all their passages."""
    articles: dict[str, list[Row]] = {}
    for row in rows:
        articles.setdefault(row[0], []).append(row)
    pieces = [
        found[start : start + passages]
        for found in articles.values()
        for start in range(0, len(found), passages)
    ]
    long_first = sorted(pieces, key=len, reverse=True)[: max(documents, len(pieces) // 2)]
    chosen = dice.permutation(len(long_first))[:documents]
    return [row for place in chosen for row in long_first[place]]


def draw(rows: Sequence[Row], dice: np.random.Generator) -> list[str]:
    """Draw questions."""
    every = [question for _, _, questions in rows for question in questions]
    return [every[place] for place in dice.permutation(len(every))[:ASKED]]


def area(inside: np.ndarray, outside: np.ndarray) -> float:
    """Give the chance that a question that belongs scores above one that does not."""
    above = (inside[:, None] > outside[None, :]).mean()
    return float(above + 0.5 * (inside[:, None] == outside[None, :]).mean())


def main() -> None:
    """Measure each size and print a row for it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("questions", type=Path)
    default = Path(tempfile.gettempdir()) / "agentlab-retrieval-quality.sqlite"
    parser.add_argument("--cache", type=Path, default=default)
    given = parser.parse_args()
    model = TorchEmbedder(given.model, name="bench")
    embedder = CachedEmbedder(model, DiskVectors(given.cache, limit_bytes=2**31), space="bench")
    kept, held_out = read_rows(given.questions)
    print("| documents | passages | from weak | from good | area | seconds | counted |")
    print("|---|---|---|---|---|---|---|")
    for documents, passages in PASSAGES.items():
        dice = np.random.default_rng(documents)
        rows = group(kept, documents, passages, dice)
        chunks = [
            Chunk(str(uuid.uuid5(uuid.NAMESPACE_URL, f"{n}")), text, title, title, title, n, 0,
                  len(text), "", "bench") for n, (title, text, _) in enumerate(rows)
        ]  # fmt: skip
        with tempfile.TemporaryDirectory() as place:
            store = LanceStore(Path(place), collection="bench")
            store.write(chunks, embedder.encode([chunk.embedded for chunk in chunks]))
            store.finish()
            collection = Collection(store, embedder, alpha=0.5)
            started = time.perf_counter()
            collection.calibrate()
            seconds = time.perf_counter() - started
            inside, outside = (
                [collection.probe(question) for question in draw(each, dice)]
                for each in (rows, held_out)
            )
            counted = (store.note("calibration") or {})["passages"]
        cells = []
        for taken in (("weak", "good", "strong"), ("good", "strong")):
            right = np.mean([each.strength in taken for each in inside])
            wrong = np.mean([each.strength in taken for each in outside])
            cells.append(f"{(right + 1 - wrong) / 2:.3f}")
        curve = area(*(np.array([each.score for each in some]) for some in (inside, outside)))
        print(
            f"| {documents:,} | {len(rows):,} | {' | '.join(cells)} | {curve:.3f} | {seconds:.1f} "
            f"| {counted:,} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
