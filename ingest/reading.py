"""Reading: which sentences of the found passages answer a question, and whether any does.

With a reader, a sentence's score is the log-odds that the reader gives it, plus its likeness to the
question; how sure the reader is gives the word for the evidence. Without one, only the likeness
counts: its cosine with the question plus 0.04 for each content word they share. Which passage comes
first, a language model may have a say in. The best sentence is marked », the next two ›. Where a
reader is torn between two, the second is named as the rival of the best; where a question asks for
a whole list, that is named.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np

from ingest.answer_span import whole_span
from ingest.lists import FoundList, asked_list
from ingest.replies import AnswerReader, read_sentences
from ingest.sentences import one_line, sentence_spans
from ingest.words import content_words

ReadingStrength = Literal["weak", "fair", "strong"]
BEST, NEXT = "»", "›"
_SHARED_WORD = 0.04
_FAIR, _STRONG = 0.55, 0.75
_ASKED = 2.0
_TORN = 2.0
"""The log-odds within which a second sentence answers about as well as the best."""
_NEAR = 15.0
"""How far behind the first, in log-odds, a passage may still come first by what a rater says. All
answers of the exam are the same where the others are rated, too."""


class Encoder(Protocol):
    """What turns texts into normalised vectors."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Embed texts, float32 of shape (texts, dimension)."""


class Rater(Protocol):
    """What tells how likely a question is after a text: `ingest.likelihood.QueryLikelihood`."""

    def rate(self, question: str, texts: Sequence[str]) -> np.ndarray:
        """Give log-probabilities of the question, shape (texts,)."""


@dataclass(frozen=True)
class Passage:
    """What is read: a text under a header that tells what it is about."""

    header: str
    text: str


@dataclass(frozen=True)
class ScoredSentence:
    """A sentence of a passage: its span there and its score."""

    start: int
    end: int
    score: float


@dataclass(frozen=True)
class MarkedPassage:
    """A window of whole sentences of a passage, with marks before the best ones.

    `index` is the passage's place among those given; `score` how likely it answers, 0..1, where a
    reader told; `best_sentence` is set where the best sentence of all stands in this window, and
    `likely` beside it where a reader found the answer there and the evidence is not weak. `rival`
    is a sentence of the passage that a reader takes for the answer about as well as the best;
    `listed` is the list that a question asks for, where the best sentence is in one.
    """

    start: int
    end: int
    shown: str
    best: ScoredSentence | None
    sentences: tuple[str, ...] = ()
    best_sentence: str | None = None
    index: int = 0
    score: float | None = None
    likely: str | None = None
    rival: str | None = None
    listed: FoundList | None = None


@dataclass(frozen=True)
class Reading:
    """The passages to show, the best first, and how strong their evidence is."""

    strength: ReadingStrength
    score: float
    passages: tuple[MarkedPassage, ...]

    @property
    def likely(self) -> str | None:
        """Give the answer that a reader found, of a list that is asked for all items.

        None where the evidence is weak or nobody read.
        """
        first = next((each for each in self.passages if each.likely), None)
        if first and first.listed:
            return "; ".join(first.listed.items)
        return first.likely if first else None


@dataclass(frozen=True)
class _Read:
    """A passage, and the spans, scores and answers of its sentences.

    `top` tells how sure it is that the passage answers, `rank` orders the passages.
    """

    index: int
    text: str
    spans: list[tuple[int, int]]
    scores: np.ndarray
    top: float = -math.inf
    rank: float = -math.inf
    answers: Sequence[tuple[int, int]] = ()

    @property
    def best(self) -> int:
        """Give the place of the best sentence."""
        return int(np.argmax(self.scores))

    def quoted(self, place: int) -> str:
        """Write a sentence as it is quoted."""
        return one_line(self.text[slice(*self.spans[place])])


def mark(
    question: str,
    passages: Sequence[Passage],
    encoder: Encoder,
    reader: AnswerReader | None = None,
    *,
    rater: Rater | None = None,
    also: Sequence[str] = (),
    limit: int | None = None,
    words: int = 75,
) -> Reading:
    """Mark the best sentences and cut each passage to about `words` words around its own best.

    `also` are other wordings of the question, which count as much as it does.

    A reader puts the passages into its own order, of which the first `limit` are kept; without one
    the order stays. A `rater` has a say in that order. How sure the reader is of the first passage
    is how strong the evidence is.
    """
    wordings = (question, *also)
    read = _together([_scored(each, passages, encoder, reader) for each in wordings])
    if reader and rater:
        read = _rated(read, wordings, passages, rater, reader.calibration.asked)
    if reader:
        read.sort(key=lambda each: -each.rank)
    read = read[:limit]
    marks = _marks(read)
    probability = reader.calibration.probability if reader else None
    marked = tuple(_window(each, marks, words, probability) for each in read)
    if not marks:
        return Reading("weak", 0.0, marked)
    if reader is None:
        top = max(each.top for each in read)
        return Reading(_grade(top, _FAIR, _STRONG), round(top, 3), marked)
    sure = reader.calibration.probability(read[0].top)
    strength = _grade(sure, reader.calibration.fair, reader.calibration.strong)
    if strength != "weak":
        first = read[0]
        listed = asked_list(question, first.text, first.spans, first.scores, _TORN)
        shown = _window(first, marks, words, probability, listed.span) if listed else marked[0]
        marked = (replace(shown, likely=_likely(first), listed=listed), *marked[1:])
        marked = marked if listed else _with_rival(marked, read)
    return Reading(strength, round(sure, 3), marked)


def best_score(
    question: str, passages: Sequence[Passage], encoder: Encoder, reader: AnswerReader
) -> float:
    """Give the score of the best sentence of all passages, for whoever calibrates a reader."""
    read = _scored(question, passages, encoder, reader)
    return max((each.top for each in read), default=-math.inf)


def likeness(question: str, sentences: Sequence[str], encoder: Encoder) -> np.ndarray:
    """Compare sentences with a question, shape (sentences,)."""
    vectors = encoder.encode([question, *sentences])
    asked = content_words(question)
    shared = [len(asked & content_words(sentence)) for sentence in sentences]
    result: np.ndarray = vectors[1:] @ vectors[0] + _SHARED_WORD * np.array(shared)
    return result


def _scored(
    question: str, passages: Sequence[Passage], encoder: Encoder, reader: AnswerReader | None
) -> list[_Read]:
    texts = [passage.text for passage in passages]
    spans = [sentence_spans(text) for text in texts]
    if not any(spans):
        return [_Read(i, text, [], np.zeros(0)) for i, text in enumerate(texts)]
    flat = [text[a:b] for text, found in zip(texts, spans, strict=True) for a, b in found]
    bounds = np.cumsum([len(found) for found in spans])[:-1]
    heads = [_head(passage) for passage, found in zip(passages, spans, strict=True) for _ in found]
    # A question in a text, such as an FAQ's heading, is like the one asked and answers nothing;
    # nor does a heading that says what the passage is about.
    asks = [
        _ASKED * (each.rstrip().endswith("?") or one_line(each).casefold() == head)
        for each, head in zip(flat, heads, strict=True)
    ]
    alike = np.split(likeness(question, flat, encoder) - np.array(asks), bounds)
    if reader is None:
        return [
            _Read(i, text, found, own, top := max(own, default=-math.inf), top)
            for i, (text, found, own) in enumerate(zip(texts, spans, alike, strict=True))
        ]
    headers = [each.header for each in passages]
    replies = read_sentences(question, headers, texts, spans, reader)
    weights = reader.calibration
    read = []
    for i, (text, found, own, reply) in enumerate(zip(texts, spans, alike, replies, strict=True)):
        odds = np.array(reply.sentences)
        scores = odds + weights.within * own
        top, rank = (
            max(odds + weight * own, default=-math.inf)
            for weight in (weights.likeness, weights.order)
        )
        read.append(_Read(i, text, found, scores, top, rank, reply.answers))
    return read


def _head(passage: Passage) -> str:
    """Give the heading over a passage, as it would stand in its text."""
    return " ".join(passage.header.rsplit(" > ", 1)[-1].split()).casefold()


def _together(wordings: Sequence[Sequence[_Read]]) -> list[_Read]:
    """Average what each wording of a question makes of the same passages.

    The answer within a sentence is that of the wording which gives the sentence the best score.
    """
    return [
        _Read(
            own[0].index,
            own[0].text,
            own[0].spans,
            np.mean([each.scores for each in own], axis=0),
            float(np.mean([each.top for each in own])),
            float(np.mean([each.rank for each in own])),
            _best_answers(own),
        )
        for own in zip(*wordings, strict=True)
    ]


def _rated(
    read: Sequence[_Read],
    wordings: Sequence[str],
    passages: Sequence[Passage],
    rater: Rater,
    weight: float,
) -> list[_Read]:
    """Rate the passages by their best sentences: which sentence answers, the reader knows better.

    Those that lie too far behind to come first by it are not rated, since that takes its time.
    """
    first = max((each.rank for each in read), default=-math.inf)
    near = [each for each in read if each.spans and first - each.rank <= _NEAR]
    if len(near) < 2:  # nothing to choose
        return list(read)
    texts = [_best_as_told(each, passages[each.index].header) for each in near]
    likely = np.mean([rater.rate(wording, texts) for wording in wordings], axis=0)
    gains = {each.index: weight * float(gain) for each, gain in zip(near, likely, strict=True)}
    lowest = min(gains.values())  # so that who is far behind stays behind
    return [replace(each, rank=each.rank + gains.get(each.index, lowest)) for each in read]


def _best_as_told(read: _Read, header: str) -> str:
    """Write the best sentence under its header and behind the one before it."""
    start, end = read.spans[max(0, read.best - 1)][0], read.spans[read.best][1]
    return f"{header}\n{' '.join(read.text[start:end].split())}"


def _best_answers(wordings: Sequence[_Read]) -> Sequence[tuple[int, int]]:
    if not wordings[0].answers:
        return ()
    best = np.argmax([each.scores for each in wordings], axis=0)
    return [wordings[choice].answers[place] for place, choice in enumerate(best)]


def _marks(read: Sequence[_Read]) -> dict[tuple[int, int], str]:
    """Choose the best sentence of the best passage, and the next two of all."""
    first = max(read, key=lambda each: each.rank, default=None)
    if first is None or not first.spans:
        return {}
    chosen = (first.index, first.best)
    others = sorted(
        (-float(score), order, each.index, place)
        for order, each in enumerate(read)
        for place, score in enumerate(each.scores)
        if (each.index, place) != chosen
    )
    return {chosen: BEST} | {(index, place): NEXT for _, _, index, place in others[:2]}


def _grade(score: float, fair: float, strong: float) -> ReadingStrength:
    return "strong" if score >= strong else "fair" if score >= fair else "weak"


def _likely(read: _Read) -> str | None:
    """Give the reader's answer within the best sentence."""
    if not read.answers:
        return None
    span = whole_span(read.text, read.spans[read.best], read.answers[read.best])
    return one_line(read.text[slice(*span)]) or None


def _with_rival(
    marked: tuple[MarkedPassage, ...], read: Sequence[_Read]
) -> tuple[MarkedPassage, ...]:
    """Name the sentence between which and the best one the reader is torn, if there is one."""
    first = read[0]
    chosen = first.quoted(first.best)
    others = sorted(
        (first.rank - each.rank + float(each.scores.max() - score), at, each.quoted(place))
        for at, each in enumerate(read)
        for place, score in enumerate(each.scores)
    )
    near = ((at, other) for behind, at, other in others if behind < _TORN)
    found = next(((at, other) for at, other in near if not _says_the_same(chosen, other)), None)
    if found is None:
        return marked
    at, rival = found
    return (*marked[:at], replace(marked[at], rival=rival), *marked[at + 1 :])


def _says_the_same(one: str, other: str) -> bool:
    """Tell whether a sentence is in another, as where two pages share it."""
    one, other = one.casefold(), other.casefold()
    return one in other or other in one


def _window(
    read: _Read,
    marks: Mapping[tuple[int, int], str],
    words: int,
    probability: Callable[[float], float] | None,
    whole: tuple[int, int] | None = None,
) -> MarkedPassage:
    """Cut a passage to about `words` words around its best sentence; a span is kept whole."""
    text, spans = read.text, read.spans
    score = round(probability(read.top), 3) if probability else None
    if not spans:
        return MarkedPassage(0, len(text), text, None, index=read.index, score=score)
    centre = read.best
    kept = [at for at, (a, b) in enumerate(spans) if whole and a < whole[1] and b > whole[0]]
    lengths = [len(text[a:b].split()) for a, b in spans]
    first, last = _grow(lengths, min([centre, *kept]), max([centre, *kept]), words)
    inside = range(first, last + 1)
    own = {place: marks.get((read.index, place), "") for place in inside}
    lines = {place: " ".join(text[slice(*spans[place])].split()) for place in inside}
    sentences = {place: read.quoted(place) for place in inside}
    return MarkedPassage(
        start=spans[first][0],
        end=spans[last][1],
        shown=" ".join(own[place] + line for place, line in lines.items()),
        best=ScoredSentence(*spans[centre], float(read.scores[centre])),
        sentences=tuple(sentences.values()),
        best_sentence=next((sentences[place] for place in inside if own[place] == BEST), None),
        index=read.index,
        score=score,
    )


def _grow(lengths: Sequence[int], first: int, last: int, words: int) -> tuple[int, int]:
    """Widen a window of sentences, before and after by turns, while it fits."""
    total = sum(lengths[first : last + 1])
    grown = True
    while grown:
        grown = False
        if last + 1 < len(lengths) and total + lengths[last + 1] <= words:
            last += 1
            total += lengths[last]
            grown = True
        if first > 0 and total + lengths[first - 1] <= words:
            first -= 1
            total += lengths[first]
            grown = True
    return first, last
