"""A collection: a store searched with one embedder, that knows how well it matches a question."""

from collections.abc import Sequence

from ingest.card import CollectionCard
from ingest.embedding import Embedder
from ingest.evidence import TOP, Calibration, Evidence, background_questions, calibrate
from ingest.reading import AnswerReader, Passage, Rater, Reading, mark
from ingest.stores.base import Hit, Store, Where

# The reader's probability below which a weak match is taken for chance.
_DOUBTFUL = 0.1


class Collection:
    """What the agent searches: hybrid search, evidence and the card of one store.

    `alpha` weighs the vector arm: 1 is vectors only, 0 words only. Without a `reader`, passages are
    read by their likeness to the question alone; a `rater` has a say in the passages' order.
    """

    def __init__(
        self,
        store: Store,
        embedder: Embedder,
        *,
        alpha: float = 0.5,
        reader: AnswerReader | None = None,
        rater: Rater | None = None,
    ) -> None:
        self.store = store
        self.embedder = embedder
        self.alpha = alpha
        self.reader = reader
        self.rater = rater
        self._calibration: Calibration | None = None

    def search(self, query: str, *, limit: int = 5, where: Where = Where()) -> list[Hit]:
        """Find the best passages by words and meaning, best first."""
        vector = self.embedder.encode([query])[0]
        return self.store.hybrid(query, vector, alpha=self.alpha, limit=limit, where=where)

    def read(
        self,
        question: str,
        passages: Sequence[Passage],
        *,
        also: Sequence[str] = (),
        limit: int,
        words: int,
    ) -> Reading:
        """Mark the sentences that answer, in any wording, and keep the best `limit` passages."""
        return mark(
            question,
            passages,
            self.embedder,
            self.reader,
            rater=self.rater,
            also=also,
            limit=limit,
            words=words,
        )

    def probe(self, question: str) -> Evidence:
        """Tell how well the collection matches a question; "none" for an empty collection."""
        return self.grade(question, self.search(question, limit=TOP))

    def grade(self, question: str, hits: Sequence[Hit]) -> Evidence:
        """Tell how well the hits of a search match; a weak match must convince the reader too."""
        calibration = self._calibrated()
        if calibration is None:
            return Evidence(strength="none", score=0.0)
        evidence = calibration.evidence(question, hits)
        if evidence.strength == "weak" and self.reader:
            passages = [Passage(hit.chunk.header, hit.chunk.text) for hit in hits[:TOP]]
            reading = mark(question, passages, self.embedder, self.reader, limit=1, words=1)
            if reading.score < _DOUBTFUL:
                return Evidence(strength="none", score=evidence.score)
        return evidence

    def calibrate(self) -> None:
        """Measure the collection against the background questions and keep the result."""
        questions = background_questions()
        vectors = dict(zip(questions, self.embedder.encode(questions), strict=True))

        def search(question: str) -> list[Hit]:
            return self.store.hybrid(question, vectors[question], alpha=self.alpha, limit=TOP)

        calibration = calibrate((chunk.embedded for chunk in self.store.chunks()), search)
        self.store.put_note("calibration", calibration.to_dict())
        self._calibration = calibration

    @property
    def card(self) -> CollectionCard | None:
        """Read the card that the last ingest wrote, or None before any ingest."""
        value = self.store.note("card")
        return CollectionCard.from_dict(value) if value else None

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    def _calibrated(self) -> Calibration | None:
        if self._calibration is None:
            value = self.store.note("calibration")
            self._calibration = Calibration.from_dict(value) if value else None
        return self._calibration
