"""Calibration: what the reader's odds are worth, on articles that it was not trained on.

Each question is asked of a library that answers it and of the same library without the passage
that does: the reader should tell the two apart. A logistic curve turns odds into a probability;
the words for the evidence are cut where few of the answerable questions fall below. Beside it
stands what the reader is worth: the same questions, read with it and by likeness alone.
"""

import json
import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from agentlab.estimates import Estimate, area, share
from agentlab.starter.questions import Article, Question, calibration_articles
from agentlab.starter.texts import article_texts, collection_of
from finetune.run_folder import write
from ingest.collection import Collection
from ingest.embedding import Embedder
from ingest.embedding.cache import CachedEmbedder, MemoryVectors
from ingest.reader import CONFIG, Calibrated, Reply
from ingest.reading import Encoder, Passage, best_score, mark
from ingest.replies import AnswerReader
from ingest.sentences import one_line

_QUESTIONS_AN_ARTICLE = 60
_PASSAGES = 6
_FAIR = 0.25
"""The probability from which on evidence is fair. The curve takes an answer for as likely there as
missing; where it is there for three questions of four, odds of one to three become even."""
_NOT_STRONG = 0.25
_NEWTON_STEPS = 50
# Keeps the curve finite where no odds of the one kind lie among those of the other.
_RIDGE = 1e-4


@dataclass(frozen=True)
class Judged:
    """How one question was read: whether the best passage, and the sentence marked, are right.

    `answered` is the best score over the passages found, `missing` without those that answer.
    """

    passage: bool
    sentence: bool
    answered: float
    missing: float


class Worth(NamedTuple):
    """How often a way of reading is right, and how well its score tells answered from missing."""

    passage: Estimate
    sentence: Estimate
    area: Estimate

    def to_dict(self) -> dict[str, float]:
        """Give the values without their intervals."""
        return {name: round(estimate.value, 4) for name, estimate in self._asdict().items()}


@dataclass(frozen=True)
class Calibration:
    """The fitted curve, and what reading is worth with the reader and by likeness alone."""

    fitted: Calibrated
    reader: Worth
    likeness: Worth


def calibrate_reader(
    folder: Path, reader: AnswerReader, embedder: Embedder, questions: Path, *, seed: int = 3
) -> Calibration:
    """Fit the reader in `folder`, and keep the curve and its worth in its configuration."""
    pairs = judge_articles(reader, embedder, calibration_articles(questions), seed=seed)
    read, alike = [one for one, _ in pairs], [other for _, other in pairs]
    fitted = fit(
        np.array([each.answered for each in read]), np.array([each.missing for each in read])
    )
    result = Calibration(fitted, worth_of(read), worth_of(alike))
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    config["calibration"] = vars(fitted)
    config["worth"] = {
        "questions": len(pairs),
        "reader": result.reader.to_dict(),
        "likeness": result.likeness.to_dict(),
    }
    write(folder / CONFIG, json.dumps(config, indent=2) + "\n")
    return result


def worth_of(judged: Sequence[Judged]) -> Worth:
    """Sum up questions that were read in one way."""
    return Worth(
        passage=share(sum(each.passage for each in judged), len(judged)),
        sentence=share(sum(each.sentence for each in judged), len(judged)),
        area=area([each.missing for each in judged], [each.answered for each in judged]),
    )


def fit(answered: np.ndarray, missing: np.ndarray) -> Calibrated:
    """Fit probabilities to the best odds where an answer is there, and where it is missing.

    Logistic regression by Newton's method (Hastie et al. 2009, section 4.4.1), both sides weighed
    alike; `strong` lies where a quarter of the answerable questions fall below.
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
    strong = plain.probability(float(np.quantile(answered, _NOT_STRONG)))
    return Calibrated(scale=scale, offset=offset, fair=_FAIR, strong=strong)


def judge_articles(
    reader: AnswerReader, embedder: Embedder, articles: Sequence[Article], *, seed: int
) -> list[tuple[Judged, Judged]]:
    """Ask each article's questions of all of them together, with and without what answers.

    Returns how each question whose passage was found is read with the reader, and by likeness.
    """
    rng = random.Random(seed)
    asked = [
        (article.passages[question.passage], question)
        for article in articles
        for question in rng.sample(
            article.questions, min(_QUESTIONS_AN_ARTICLE, len(article.questions))
        )
    ]
    # Each sentence is compared several times.
    encoder, reads = CachedEmbedder(embedder, MemoryVectors()), _ReadsOnce(reader)
    pairs = []
    with tempfile.TemporaryDirectory() as scratch:
        collection = collection_of(article_texts(articles), Path(scratch), embedder)
        for passage, question in asked:
            if some := _found(collection, passage, question):
                pairs.append(
                    (
                        judge(question, passage, *some, encoder=encoder, reader=reads),
                        judge(question, passage, *some, encoder=encoder, reader=None),
                    )
                )
        collection.close()
    return pairs


def judge(
    question: Question,
    passage: str,
    found: Sequence[Passage],
    without: Sequence[Passage],
    *,
    encoder: Encoder,
    reader: AnswerReader | None,
) -> Judged:
    """Read the passages found; `passage` is the right one, `without` leaves out what answers."""
    reading = mark(question.text, found, encoder, reader)
    best = next(each for each in reading.passages if each.best_sentence is not None)
    right = found[best.index].text == passage
    return Judged(
        passage=right,
        sentence=right and best.best_sentence == one_line(" ".join(question.sentence.split())),
        answered=_score(question, found, encoder, reader),
        missing=_score(question, without, encoder, reader),
    )


def _score(
    question: Question, passages: Sequence[Passage], encoder: Encoder, reader: AnswerReader | None
) -> float:
    if reader is None:
        return mark(question.text, passages, encoder).score
    return float(best_score(question.text, passages, encoder, reader))


def _found(
    collection: Collection, passage: str, question: Question
) -> tuple[list[Passage], list[Passage]] | None:
    """Search with and without what answers; None where the passage is not among the first."""
    hits = collection.search(question.text, limit=_PASSAGES + 1)
    if all(hit.chunk.text != passage for hit in hits[:_PASSAGES]):
        return None
    without = [hit for hit in hits if question.sentence not in hit.chunk.text]
    found, left = (
        [Passage(hit.chunk.header, hit.chunk.text) for hit in some[:_PASSAGES]]
        for some in (hits, without)
    )
    return found, left


class _ReadsOnce:
    """A reader that keeps its replies: most passages are read with and without what answers."""

    def __init__(self, reader: AnswerReader) -> None:
        self.calibration = reader.calibration
        self._reader = reader
        self._known: dict[tuple[str, str, str], Reply] = {}

    def read(
        self,
        question: str,
        titles: Sequence[str],
        passages: Sequence[str],
        sentences: Sequence[Sequence[tuple[int, int]]],
    ) -> list[Reply]:
        """Read each passage under its title, each once for a question."""
        keys = [(question, *both) for both in zip(titles, passages, strict=True)]
        new = [at for at, key in enumerate(keys) if key not in self._known]
        replies = self._reader.read(
            question,
            [titles[at] for at in new],
            [passages[at] for at in new],
            [sentences[at] for at in new],
        )
        self._known.update(zip((keys[at] for at in new), replies, strict=True))
        return [self._known[key] for key in keys]
