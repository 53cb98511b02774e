"""Mining: questions become rows that retriever and generator are tuned on, by the live index.

What a search finds for a question and does not answer it is a hard negative; the search is the one
that the agent uses. A text that says the answer too is none. Where nobody said the answer, what is
nearly as like the question as the right passage may answer it, and is left out as well (Moreira et
al. 2024, "NV-Retriever": at most 95 % of the right text's score).
"""

import base64
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from agentlab.asked import Asked
from agentlab.kept import kept_beside
from finetune.data.writing import write_rows
from ingest.collection import Collection
from ingest.documents import Chunk
from ingest.reading import likeness
from ingest.sentences import one_line, sentence_spans
from ingest.stores.base import Hit

DEPTH = 20
_LIKE_THE_RIGHT = 0.95
_BEGINNING = 400  # characters of a passage by which it is looked up
_LEAST_WORDS = 15  # of a passage that lost its sentence

Row = Mapping[str, Any]
MISSING = "the library does not hold its passage"
NO_ANSWER = "nobody said its answer"
NOT_FOUND = "no passage found says its answer"


@dataclass(frozen=True)
class Mined:
    """One more question is done; `rows` are all so far, `left_out` counts questions by reason."""

    done: int
    total: int
    rows: int
    left_out: Mapping[str, int]


def mine(
    asked: Sequence[Asked], rows_of: Callable[[Asked], list[Row] | str], out: Path, *, about: str
) -> Iterator[Mined]:
    """Write the rows of all questions to `out`, whole or not at all, and tell of each question.

    `rows_of` gives a question's rows, or the reason why it has none; `about` names all but the
    questions that decides them. What a killed run had done is kept beside `out` and gone on from.
    """
    questions = (json.dumps(asdict(each), sort_keys=True) for each in asked)
    with kept_beside(out, about, *questions) as kept:
        left_out: Counter[str] = Counter()
        rows = 0
        for line in kept.lines():
            rows += len(line["rows"])
            left_out.update([line["why"]] if line["why"] else [])
        for done, each in enumerate(asked[kept.before :], start=kept.before + 1):
            found = rows_of(each)
            some, why = ([], found) if isinstance(found, str) else (found, "")
            kept.add({"rows": some, "why": why})
            rows += len(some)
            left_out.update([why] if why else [])
            yield Mined(done, len(asked), rows, dict(left_out))
        write_rows(out, (row for line in kept.lines() for row in line["rows"]))


class Miner:
    """Makes rows of questions by searching one collection."""

    def __init__(
        self, collection: Collection, *, negatives: int = 5, sentences: bool = True
    ) -> None:
        self.collection = collection
        self.negatives, self.sentences = negatives, sentences
        self._vectors = lru_cache(maxsize=64)(self._vectors_of)

    def searches(self, asked: Asked) -> list[Row] | str:
        """Give the rows that a retriever is tuned on: the passage, and the sentence, that answers.

        Passages are written as they are embedded, under their header; sentences as they are read.
        """
        hits = self.collection.search(asked.question, limit=DEPTH)
        right = self._right(asked, hits)
        if right is None:
            return MISSING
        wrong = self._wrong(asked, right, hits)
        origin = _origin(asked, right)
        text = right.embedded
        if asked.made:
            text = f"{right.header}\n{_without(right.text, asked.key)}"
        rows: list[Row] = [
            {
                "query": asked.question,
                "positive": text,
                "negatives": [chunk.embedded for chunk in wrong[: self.negatives]],
                **origin,
                "unit": "passage",
            }
        ]
        if self.sentences and asked.key and not asked.made:
            rows += self._sentence_row(asked, right, wrong, origin)
        return rows

    def lookups(self, asked: Asked) -> list[Row] | str:
        """Give the row on which retriever and generator are tuned together.

        It holds the passages that are found and their vectors in the index, in fp16 as base64.
        """
        if not asked.answer:
            return NO_ANSWER
        hits = self.collection.search(asked.question, limit=DEPTH)
        chunks = [hit.chunk for hit in hits]
        right = [place for place, chunk in enumerate(chunks) if says(chunk.text, asked.key)]
        if not right:
            return NOT_FOUND
        passages = [
            {"text": chunk.embedded, "vector": packed(self._vectors(chunk.source)[chunk.id])}
            for chunk in chunks
        ]
        return [
            {
                "question": asked.question,
                "answer": asked.answer,
                "passages": passages,
                "embedder": self.collection.embedder.name,
                "right": right,
                **_origin(asked, self._right(asked, hits) or chunks[right[0]]),
            }
        ]

    def _vectors_of(self, source: str) -> dict[str, np.ndarray]:
        return {chunk.id: vector for chunk, vector in self.collection.store.rows(source)}

    def _right(self, asked: Asked, hits: Sequence[Hit]) -> Chunk | None:
        """Find the passage in the library: by the question, else by how it begins."""
        found = [hit.chunk for hit in hits]
        right = next((chunk for chunk in found if _is_right(chunk, asked)), None)
        if right is None:
            near = self.collection.search(asked.passage[:_BEGINNING], limit=DEPTH)
            right = next((hit.chunk for hit in near if _is_right(hit.chunk, asked)), None)
        return right

    def _wrong(self, asked: Asked, right: Chunk, hits: Sequence[Hit]) -> list[Chunk]:
        """Leave out of what was found all that answers, or may."""
        most = np.inf
        if not asked.answer:
            question, text = self.collection.embedder.encode([asked.question, right.embedded])
            most = _LIKE_THE_RIGHT * float(question @ text)
        return [
            hit.chunk
            for hit in hits
            if not _same(hit.chunk.text, right.text)
            and not (asked.key and says(hit.chunk.text, asked.key))
            and not (asked.answer and says(hit.chunk.text, asked.answer))
            and hit.cosine <= most
        ]

    def _sentence_row(
        self, asked: Asked, right: Chunk, wrong: Sequence[Chunk], origin: Row
    ) -> Iterator[Row]:
        own = _sentences(right.text)
        answering = next((each for each in own if says(each, asked.key)), None)
        if answering is None:
            return
        others = [each for each in own if not _answers(each, asked)]
        others += [
            each
            for chunk in wrong[: self.negatives]
            for each in _sentences(chunk.text)
            if not _answers(each, asked)
        ]
        others = [each for each in dict.fromkeys(others) if each != answering]
        alike = likeness(asked.question, others, self.collection.embedder)
        order = np.argsort(-alike, kind="stable")[: self.negatives]
        yield {
            "query": asked.question,
            "positive": answering,
            "negatives": [others[place] for place in order],
            **origin,
            "unit": "sentence",
        }


def says(text: str, words: str) -> bool:
    """Tell whether a text holds these words, in whatever case and spacing."""
    wanted = re.escape(_plain(words))
    return re.search(rf"(?<!\w){wanted}(?!\w)", _plain(text)) is not None


def packed(vector: np.ndarray) -> str:
    """Write a vector as base64 of its numbers in fp16."""
    return base64.b64encode(vector.astype("<f2").tobytes()).decode()


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _is_right(chunk: Chunk, asked: Asked) -> bool:
    return _same(chunk.text, asked.passage) and (not asked.key or says(chunk.text, asked.key))


def _same(one: str, other: str) -> bool:
    """Tell whether one text is the other or a part of it."""
    one, other = _plain(one), _plain(other)
    return one in other or other in one


def _answers(sentence: str, asked: Asked) -> bool:
    return says(sentence, asked.key) or bool(asked.answer and says(sentence, asked.answer))


def _sentences(text: str) -> list[str]:
    return [one_line(text[start:end]) for start, end in sentence_spans(text)]


def _without(text: str, part: str) -> str:
    """Take the sentence out that the question was made of, where enough is left without it.

    Else only the words would be learned (the inverse cloze task; Lee et al. 2019).
    """
    left = " ".join(each for each in _sentences(text) if not says(each, part))
    return left if len(left.split()) >= _LEAST_WORDS else text


def _origin(asked: Asked, right: Chunk) -> dict[str, Any]:
    found = {"document": right.document, "source": right.source, "page": right.page}
    return found | dict(asked.origin)
