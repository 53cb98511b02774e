"""A collection: a store searched with one embedder, that knows how well it matches a question."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Literal

from ingest.card import CollectionCard
from ingest.diversity import CANDIDATES, diverse
from ingest.embedding import Embedder
from ingest.embedding.cache import CachedEmbedder, MemoryVectors
from ingest.errors import StoreMismatchError
from ingest.evidence import (
    SAMPLE,
    TOP,
    Calibration,
    Evidence,
    background_questions,
    calibrate,
    titles_of,
)
from ingest.parents import Parents, widen
from ingest.profiles import Only, Profiles
from ingest.reading import Encoder, Passage, Rater, Reading, mark
from ingest.replies import AnswerReader
from ingest.reranking import RERANKED, Reranker
from ingest.stores.base import Hit, Store, Where
from ingest.tuning import EVEN, LEAST_PASSAGES, Tuning, tune
from ingest.two_step import LARGE, LEAST_DOCUMENTS, TwoStep, search_in_steps

Alpha = float | Literal["auto"]
NOTE = "state"
LOOK_EVERY_S = 1.0
LEDGER = "ledger"  # what versions before the manifest kept: embedder, finished, sources
# The reader's probability below which a weak match is taken for chance, and from which on a match
# that says little is taken for a good one.
_DOUBTFUL, _CONVINCED = 0.1, 0.4
_SENTENCES = 20_000
"""How many sentences' vectors are kept in memory, some 30 MB: the same passages are read again."""


class Collection:
    """What the agent searches: hybrid search, evidence and the card of one store.

    `alpha` weighs the vector arm: 1 is vectors only, 0 words only, "auto" what the collection was
    tuned to, else 0.5. Without a `reader`, passages are read by their likeness to the question
    alone; a `rater` has a say in the passages' order. `two_step` "auto" searches for documents
    first where there are many, a `reranker` orders what was found anew, and `parents` widens it to
    its neighbours on the page or to the whole page.
    `reopen` gives the embedder of a name, where another process has the collection embedded anew
    while it is searched here.
    """

    def __init__(
        self,
        store: Store,
        embedder: Embedder,
        *,
        alpha: Alpha = "auto",
        reader: AnswerReader | None = None,
        rater: Rater | None = None,
        reopen: Callable[[str], Embedder] | None = None,
        two_step: TwoStep = "auto",
        reranker: Reranker | None = None,
        parents: Parents = "none",
    ) -> None:
        self.store = store
        self.embedder = embedder
        self._alpha = alpha
        self.reader = reader
        self.rater = rater
        self._reopen = reopen
        self.reranker = reranker
        self._two_step = two_step
        self._parents = parents
        self._profiles: Profiles | None = None
        self._calibration: Calibration | None = None
        self._tuning: tuple[Tuning | None] | None = None
        self._stamp: str | None = None
        self._look_again = 0.0
        self._sentences = MemoryVectors(_SENTENCES)

    @property
    def alpha(self) -> float:
        """Tell the weight of the vector arm in use."""
        if self._alpha != "auto":
            return self._alpha
        tuning = self.tuning
        return tuning.alpha if tuning else EVEN

    @property
    def alpha_from(self) -> Literal["setting", "tuned", "default"]:
        """Tell where the weight in use comes from."""
        if self._alpha != "auto":
            return "setting"
        return "tuned" if self.tuning else "default"

    @property
    def tuning(self) -> Tuning | None:
        """Read what the last tuning found, or None; it is read once after an ingest."""
        read = self._tuning  # another thread may forget it meanwhile
        if read is None:
            value = self.store.note("tuning")
            self._tuning = read = (Tuning.from_dict(value) if value else None,)
        return read[0]

    def search(
        self,
        query: str,
        *,
        limit: int = 5,
        where: Where = Where(),
        only: Only = Only(),
        mmr: float | None = None,
    ) -> list[Hit]:
        """Find the best passages by words and meaning, best first.

        `only` narrows the search to documents by date and metadata. With `mmr`, the lambda of
        maximal marginal relevance (0..1), passages that repeat better ones make room for others.
        Raises UnknownFilterError, and StoreMismatchError where the collection is of another
        embedder that cannot be reopened.
        """
        self._keep_up()
        if only:
            fitting = self.profiles.select(only)
            named = where.sources
            where = replace(where, sources=tuple(x for x in fitting if x in named or not named))
            if not where.sources:
                return []
        depth = limit if mmr is None else max(limit, CANDIDATES)
        if self.reranker:
            depth = max(depth, RERANKED)
        hits = self._reopened(lambda: self._find(query, depth, where))
        if self.reranker:
            hits = self.reranker.rerank(query, hits)
        hits = hits[:limit] if mmr is None else diverse(hits, relevance=mmr, limit=limit)
        return hits if self._parents == "none" else widen(hits, self.store, self._parents)

    @property
    def steps(self) -> Literal[1, 2]:
        """Tell whether a search takes one step, or two: documents first."""
        if self._two_step == "auto":
            return 2 if self._large and len(self.profiles) >= LEAST_DOCUMENTS else 1
        return 2 if self._two_step == "always" else 1

    @property
    def profiles(self) -> Profiles:
        """Read what is known of the documents as a whole; it is read once after an ingest."""
        read = self._profiles
        if read is None:
            self._profiles = read = Profiles.of(self.store)
        return read

    def beside(self, generation: int) -> "Collection":
        """Give another generation of the collection, under this one's embedder."""
        store = self.store.beside(generation)
        return Collection(
            store, self.embedder, alpha=self._alpha, reader=self.reader, rater=self.rater
        )

    def forget(self) -> None:
        """Have all that was read once read again: the collection has changed."""
        self._calibration = self._tuning = self._profiles = None
        vars(self).pop("_large", None)

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
            self._encoder,
            self.reader,
            rater=self.rater,
            also=also,
            limit=limit,
            words=words,
        )

    def probe(self, question: str) -> Evidence:
        """Tell how well the collection matches a question; "none" for an empty collection."""
        return self.grade(question, self._best(question))

    def grade(self, question: str, hits: Sequence[Hit]) -> Evidence:
        """Tell how well the hits of a search match.

        Where the match says little the reader decides: a weak one must convince it, and what it
        sees an answer in is good, though hardly a word be shared.
        """
        calibration = self._calibrated()
        if calibration is None:
            return Evidence(strength="none", score=0.0)
        evidence = calibration.evidence(question, hits)
        if evidence.strength in ("good", "strong") or not (hits and self.reader):
            return evidence
        sure = self._sureness(question, hits)
        if sure >= _CONVINCED:
            return replace(evidence, strength="good", titles=titles_of(hits))
        if sure < _DOUBTFUL:
            return Evidence(strength="none", score=evidence.score)
        return evidence

    def answers(self, question: str, least: float = 0.0) -> bool:
        """Tell whether the reader finds strong evidence that a passage answers.

        It must be sure of that with a probability of at least `least`, too.
        """
        if not self.reader:
            return False
        needed = max(least, self.reader.calibration.strong)
        return self._sureness(question, self._best(question)) >= needed

    def _sureness(self, question: str, hits: Sequence[Hit]) -> float:
        passages = [Passage(hit.chunk.header, hit.chunk.text) for hit in hits[:TOP]]
        return mark(question, passages, self._encoder, self.reader, limit=1, words=1).score

    @property
    def _encoder(self) -> Encoder:
        """Give the embedder, with the vectors kept of sentences that were read before."""
        return CachedEmbedder(self.embedder, self._sentences, space=self.embedder.name)

    def calibrate(self) -> None:
        """Tune the search where that is due, then measure it against the background questions.

        A large collection is measured anew when a tenth of it has come or gone.
        """
        before = self.alpha
        self._tune()
        size, name = self.store.count(), self.embedder.name
        known = self._calibrated()
        if known and known.fits(size, name) and self.alpha == before:
            return
        questions = background_questions()
        vectors = self.embedder.encode(questions)
        hits = self.store.hybrid_many(questions, vectors, alpha=self.alpha, limit=TOP)
        passages = (chunk.embedded for chunk in self.store.sample(SAMPLE))
        asked = dict(zip(questions, hits, strict=True))
        calibration = calibrate(passages, asked, size=size, embedder=name)
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

    @cached_property
    def _large(self) -> bool:
        return self.store.count() >= LARGE

    def _best(self, question: str) -> list[Hit]:
        """Find what the evidence is graded by: the search that it was calibrated on."""
        self._keep_up()
        return self._reopened(lambda: self._direct(question, TOP, Where()))

    def _keep_up(self) -> None:
        """Forget what was read before the last ingest; it is looked for once a second at most."""
        now = time.monotonic()
        if now < self._look_again:
            return
        self._look_again = now + LOOK_EVERY_S
        stamp = state_of(self.store).get("stamp")
        if stamp != self._stamp:
            self.forget()
            self._stamp = stamp

    def _reopened(self, find: Callable[[], list[Hit]]) -> list[Hit]:
        try:
            return find()
        except StoreMismatchError:
            if not self._follow():
                raise
            return find()

    def _find(self, query: str, limit: int, where: Where) -> list[Hit]:
        if self.steps == 1:
            return self._direct(query, limit, where)
        return self._checked(
            search_in_steps(
                self.store,
                self.embedder,
                query,
                alpha=self.alpha,
                limit=limit,
                where=where,
                profiles=self.profiles,
            )
        )

    def _direct(self, query: str, limit: int, where: Where) -> list[Hit]:
        vector = self.embedder.encode([query])[0]
        return self._checked(
            self.store.hybrid(query, vector, alpha=self.alpha, limit=limit, where=where)
        )

    def _checked(self, hits: list[Hit]) -> list[Hit]:
        made = hits[0].chunk.embedder if hits else self.embedder.name
        if made != self.embedder.name:
            raise StoreMismatchError(
                f"This collection is embedded with {made}, the question with {self.embedder.name}: "
                "vectors of two models cannot be compared. Open it with that embedder."
            )
        return hits

    def _follow(self) -> bool:
        """Take the embedder of the generation that is in force now, where it can be had."""
        embedder = made_by(self.store)
        if self._reopen is None or embedder in {None, self.embedder.name}:
            return False
        self.embedder = self._reopen(str(embedder))
        self.forget()
        return True

    def _tune(self) -> None:
        """Choose the weight of the vector arm anew where the collection is no longer what it was.

        A small collection is left at equal weights, and so is one whose weight is set.
        """
        if self._alpha != "auto":
            return
        passages = self.store.count()
        before = self.tuning
        if passages < LEAST_PASSAGES:
            if before:
                self._keep(None)
        elif before is None or not before.fits(passages, self.embedder.name):
            self._keep(tune(self.store, self.embedder))

    def _keep(self, tuning: Tuning | None) -> None:
        self.store.put_note("tuning", tuning.to_dict() if tuning else {})
        self._tuning = (tuning,)

    def _calibrated(self) -> Calibration | None:
        read = self._calibration
        if read is None:
            value = self.store.note("calibration")
            self._calibration = read = Calibration.from_dict(value) if value else None
        return read


def state_of(store: Store) -> dict[str, Any]:
    """Read what is noted of a collection's state: its embedder, and whether it is finished."""
    return store.note(NOTE) or store.note(LEDGER) or {}


def made_by(store: Store) -> str | None:
    """Tell by which embedder a collection was made; None where nothing says so."""
    return state_of(store).get("embedder")
