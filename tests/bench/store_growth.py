"""The embedded store as it grows by later ingests on new subjects: is its vector index still good?

    python tests/bench/store_growth.py

Made-up chunks as in `store_scale.py`, but each ingest brings other clusters than the ones before,
which an index trained once would not know. After each ingest 100 questions are asked, near to
vectors of all ages; recall is that of the ten nearest by exact search.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from store_scale import DIMENSION, TOP, Made, nearest, timed, unit

from ingest.stores.embedded import LanceStore

BATCH = 2000
QUESTIONS = 100


class Shifting(Made):
    """Chunks whose subjects change: a block has a tenth of them, around its own place."""

    def __init__(self, size: int, whole: int) -> None:
        super().__init__(whole, 12)
        self.whole, self.size = whole, size

    def vectors(self, first: int, count: int, *, spread: float = 0.7) -> np.ndarray:
        """Make vectors of length one, float32 of shape (count, 384)."""
        dice = np.random.default_rng([3, first])
        number = len(self._centres)
        place, around = first * number // self.whole, number // 20
        low, high = max(0, place - around), min(number, place + around + 1)
        centre = self._centres[dice.integers(low, high, size=count)]
        return unit(centre + spread * dice.standard_normal((count, DIMENSION), dtype=np.float32))


def questions(made: Made) -> np.ndarray:
    """Draw vectors near to those of chunks of all ages."""
    dice = np.random.default_rng(5)
    blocks = dice.choice(made.size // BATCH, size=min(20, made.size // BATCH), replace=False)
    each = QUESTIONS // len(blocks)
    near = [made.vectors(block * BATCH, BATCH)[dice.choice(BATCH, each)] for block in blocks]
    stacked = np.concatenate(near)
    return unit(stacked + 0.02 * dice.standard_normal(stacked.shape, dtype=np.float32))


def not_indexed(store: LanceStore) -> str:
    """Count the vectors that the index lacks, or tell that there is none yet."""
    indices = store._open().list_indices()
    found = [each.num_unindexed_rows for each in indices if each.columns == ["vector"]]
    return f"{found[0]:,}" if found else "no index"


def main(sizes: Sequence[int]) -> None:
    """Grow a table to each size by one ingest, and print a row for each."""
    print("| chunks | recall@10 | p50 / p95 | not in the index |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        store = LanceStore(Path(folder), collection="bench")
        written = 0
        for size in sizes:
            made = Shifting(size, max(sizes))
            for first in range(written, size, BATCH):
                store.write(made.chunks(first, BATCH), made.vectors(first, BATCH))
            written = size
            store.finish()
            asked = questions(made)
            right = nearest(made, asked, BATCH)
            found, spent = timed(
                lambda row, asked=asked: store.hybrid("", asked[row], alpha=1.0, limit=TOP),
                len(asked),
            )
            recall = np.mean(
                [
                    len({hit.chunk.id for hit in hits} & ids) / TOP
                    for hits, ids in zip(found, right, strict=True)
                ]
            )
            p50, p95 = np.quantile(spent, [0.5, 0.95])
            print(
                f"| {size:,} | {recall:.3f} | {p50:.0f} / {p95:.0f} ms | {not_indexed(store)} |",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    steps = [20_000, 48_000, 56_000, 60_000, 80_000, 120_000, 160_000, 200_000]
    parser.add_argument("--sizes", type=int, nargs="+", default=steps)
    main(parser.parse_args().sizes)
