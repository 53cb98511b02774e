"""Calibration: what the reader's odds are worth, on articles that it was not trained on.

Each question is asked of a library that answers it and of the same library without the passage
that does: the reader should tell the two apart. A logistic curve turns odds into a probability;
the words for the evidence are cut where few of the answerable questions fall below.
"""

import json
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agentlab.starter.questions import Article, Question, calibration_articles
from agentlab.starter.texts import article_texts, collection_of
from ingest.collection import Collection
from ingest.embedding import Embedder
from ingest.reader import CONFIG, Calibrated, Reader
from ingest.reading import Passage, best_score

_QUESTIONS_AN_ARTICLE = 60
_PASSAGES = 6
_FALSELY_WEAK, _NOT_STRONG = 0.07, 0.25
_NEWTON_STEPS = 50
# Keeps the curve finite where no odds of the one kind lie among those of the other.
_RIDGE = 1e-4


def calibrate_reader(
    folder: Path, reader: Reader, embedder: Embedder, questions: Path, *, seed: int = 3
) -> Calibrated:
    """Fit the reader in `folder` and keep the result in its configuration."""
    answered, missing = reader_scores(reader, embedder, calibration_articles(questions), seed=seed)
    fitted = fit(answered, missing)
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    config["calibration"] = vars(fitted)
    temporary = folder / f"{CONFIG}.tmp"
    temporary.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    temporary.replace(folder / CONFIG)
    return fitted


def fit(answered: np.ndarray, missing: np.ndarray) -> Calibrated:
    """Fit probabilities to the best odds where an answer is there, and where it is missing.

    Logistic regression by Newton's method (Hastie et al. 2009, section 4.4.1), both sides weighed
    alike; `fair` lies where 7 % of the answerable questions fall below, `strong` where 25 % do.
    """
    odds = np.concatenate([answered, missing])
    truth = np.repeat([1.0, 0.0], [len(answered), len(missing)])
    weights = np.repeat([0.5 / len(answered), 0.5 / len(missing)], [len(answered), len(missing)])
    inputs = np.stack([odds, np.ones_like(odds)], axis=1)
    curve = np.zeros(2)
    for _ in range(_NEWTON_STEPS):
        guess = 1 / (1 + np.exp(-(inputs @ curve)))
        slope = inputs.T @ (weights * (truth - guess)) - _RIDGE * curve
        bend = (inputs * (weights * guess * (1 - guess))[:, None]).T @ inputs
        curve += np.linalg.solve(bend + _RIDGE * np.eye(2), slope)
    scale, offset = map(float, curve)
    plain = Calibrated(scale=scale, offset=offset)
    fair, strong = (
        plain.probability(float(np.quantile(answered, share)))
        for share in (_FALSELY_WEAK, _NOT_STRONG)
    )
    return Calibrated(scale=scale, offset=offset, fair=fair, strong=strong)


def reader_scores(
    reader: Reader, embedder: Embedder, articles: Sequence[Article], *, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Ask each article's questions of all of them together, with and without what answers.

    Returns the best score over the passages found, of shape (questions found,) each.
    """
    rng = random.Random(seed)
    asked = [
        (article.passages[question.passage], question)
        for article in articles
        for question in rng.sample(
            article.questions, min(_QUESTIONS_AN_ARTICLE, len(article.questions))
        )
    ]
    with tempfile.TemporaryDirectory() as scratch:
        collection = collection_of(article_texts(articles), Path(scratch), embedder)
        pairs = [_scores(reader, collection, passage, question) for passage, question in asked]
        collection.close()
    found = np.array([pair for pair in pairs if pair is not None])
    return found[:, 0], found[:, 1]


def _scores(
    reader: Reader, collection: Collection, passage: str, question: Question
) -> tuple[float, float] | None:
    hits = collection.search(question.text, limit=_PASSAGES + 1)
    if all(hit.chunk.text != passage for hit in hits[:_PASSAGES]):
        return None
    without = [hit for hit in hits if question.sentence not in hit.chunk.text]
    found = [
        best_score(
            question.text,
            [Passage(hit.chunk.header, hit.chunk.text) for hit in some[:_PASSAGES]],
            collection.embedder,
            reader,
        )
        for some in (hits, without)
    ]
    return found[0], found[1]
