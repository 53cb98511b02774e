"""Lookup: a question, its answer, and the passages found for it with their vectors in the index."""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from finetune.data.files import Record
from finetune.data.reading import read_rows

SHAPE = (
    '{"question": ..., "answer": ..., "passages": [{"text": ..., "vector": ...}, ...], '
    '"right": [0, ...]}'
)


@dataclass(frozen=True)
class Lookup:
    """What a search found for a question, best first.

    `vectors` are the index's, float32 of shape (passages, dimension). `right` are the places of the
    passages that say the answer, where that is known.
    """

    question: str
    answer: str
    passages: tuple[str, ...]
    vectors: np.ndarray
    right: tuple[int, ...] = ()
    path: str = ""
    line: int = 0

    @property
    def place(self) -> str:
        """Return `file:line`."""
        return f"{self.path}:{self.line}"


def read_lookups(paths: Iterable[Path]) -> list[Lookup]:
    """Read every row of the files; raise ExampleError that names the rows which do not hold."""
    return read_rows(paths, parse_lookup, kind="lookup", shape=SHAPE)


def parse_lookup(record: Record) -> Lookup:
    """Read question, answer and passages; ValueError says what is wrong with them."""
    row = record.fields
    for name in ("question", "answer"):
        if not isinstance(row.get(name), str) or not row[name].strip():
            raise ValueError(f"`{name}` is {row.get(name)!r}, no text")
    passages = row.get("passages")
    if not isinstance(passages, list) or not passages:
        raise ValueError("`passages` is no filled list")
    texts, vectors = zip(*(_passage(each, n) for n, each in enumerate(passages, 1)), strict=True)
    if len({vector.shape for vector in vectors}) > 1:
        raise ValueError("the vectors of `passages` are of several lengths")
    right = row.get("right") or []
    if not all(isinstance(each, int) and 0 <= each < len(passages) for each in right):
        raise ValueError(f"`right` is {right!r}, which names no passages")
    return Lookup(
        row["question"],
        row["answer"],
        texts,
        np.stack(vectors),
        tuple(right),
        record.path,
        record.line,
    )


def _passage(passage: Any, number: int) -> tuple[str, np.ndarray]:
    if not isinstance(passage, Mapping) or not isinstance(passage.get("text"), str):
        raise ValueError(f"passage {number} has no `text`")  # noqa: TRY004
    try:
        numbers = np.frombuffer(base64.b64decode(passage["vector"], validate=True), "<f2")
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise ValueError(f"passage {number} has no `vector` of fp16 in base64") from error
    return passage["text"], numbers.astype(np.float32)
