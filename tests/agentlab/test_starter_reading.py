"""What the reader is trained on, and what its odds are worth."""

import json
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from agentlab.starter.calibration import fit
from agentlab.starter.passages import LONGEST_PASSAGE, write_rows
from agentlab.starter.questions import calibration_articles, held_out_articles


class WordCounts:
    """An embedder whose vectors count the words of a text."""

    def encode(
        self, texts: Sequence[str], progress: Callable[[int], None] | None = None
    ) -> np.ndarray:
        del progress
        vectors = np.zeros((len(texts), 64), dtype=np.float32)
        for row, text in zip(vectors, texts, strict=True):
            for word in text.lower().split():
                row[zlib.crc32(word.encode()) % 64] += 1
        return vectors


@pytest.mark.slow
def test_rows_hold_their_answer_or_none_and_nothing_held_out(
    shared_questions: Path, tmp_path: Path
) -> None:
    out = tmp_path / "passages.jsonl"
    count = write_rows(shared_questions, WordCounts(), out, seed=3)  # type: ignore[arg-type]
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == count
    answered = [row for row in rows if row["answer"]]
    assert 0.4 < len(answered) / count < 0.8
    assert all(row["passage"][slice(*row["answer"])].strip() for row in answered)
    # A passage may be longer only where one sentence is.
    long = [row for row in rows if len(row["passage"].split()) > 2 * LONGEST_PASSAGE]
    assert len(long) < 0.001 * count
    unseen = held_out_articles(shared_questions) + calibration_articles(shared_questions)
    assert not {row["title"] for row in rows} & {article.title for article in unseen}


def test_few_answerable_questions_count_as_weak_and_most_missing_ones_do() -> None:
    random = np.random.default_rng(1)
    answered, missing = random.normal(8, 4, 4000), random.normal(-6, 4, 4000)
    fitted = fit(answered, missing)
    chance = np.array([fitted.probability(score) for score in answered])
    absent = np.array([fitted.probability(score) for score in missing])
    assert np.mean(chance < fitted.fair) == pytest.approx(0.07, abs=0.01)
    assert np.mean(chance < fitted.strong) == pytest.approx(0.25, abs=0.01)
    assert np.mean(absent < fitted.fair) > 0.95
    # Where as many are answered as not, the probability is a half.
    assert fitted.probability(1.0) == pytest.approx(0.5, abs=0.05)


def test_scores_that_never_mix_still_give_a_finite_curve() -> None:
    fitted = fit(np.array([5.0, 6.0, 7.0]), np.array([-5.0, -6.0, -7.0]))
    assert np.isfinite([fitted.scale, fitted.offset]).all()
    assert fitted.probability(6.0) > 0.9 > 0.1 > fitted.probability(-6.0)
