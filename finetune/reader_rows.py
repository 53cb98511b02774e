"""ReaderRow: a question, a passage, and where in it the answer stands, if it does."""

import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from finetune.data.files import Record
from finetune.data.reading import read_rows
from finetune.errors import ExampleError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SHAPE = '{"question": ..., "title": ..., "passage": ..., "answer": [start, end] or null}'
_BREAK = re.compile(r"(?<!\b[A-Z])[.!?][\"')\]]*\s+(?=[\"'(\[]?[A-Z0-9])|\n+")


@dataclass(frozen=True)
class ReaderRow:
    """A question on a passage; `answer` is where its characters begin and end, None: nowhere."""

    question: str
    title: str
    passage: str
    answer: tuple[int, int] | None
    path: str
    line: int

    @property
    def place(self) -> str:
        """Return `file:line`."""
        return f"{self.path}:{self.line}"


@dataclass(frozen=True)
class EncodedRow:
    """Token ids of question and passage, and the answer's first and last; both 0: no answer."""

    input_ids: tuple[int, ...]
    token_type_ids: tuple[int, ...]
    start: int
    end: int


def read_reader_rows(paths: Iterable[Path]) -> list[ReaderRow]:
    """Read every row of the files; raise ExampleError that names the rows which do not hold."""
    return read_rows(paths, parse_reader_row, kind="question", shape=SHAPE)


def parse_reader_row(record: Record) -> ReaderRow:
    """Read question, title, passage and answer; ValueError says what is wrong with them."""
    row = record.fields
    for name in ("question", "title", "passage"):
        if not isinstance(row.get(name), str) or not (row[name].strip() or name == "title"):
            raise ValueError(f"`{name}` is {row.get(name)!r}, no text")
    if "answer" not in row:
        raise ValueError("`answer` is missing; null says that the passage does not answer")
    answer = row["answer"]
    if answer is not None:
        _check_answer(answer, row["passage"])
        answer = (answer[0], answer[1])
    return ReaderRow(
        row["question"], row["title"], row["passage"], answer, record.path, record.line
    )


def _check_answer(answer: object, passage: str) -> None:
    match answer:
        case [int(start), int(end)] if 0 <= start < end <= len(passage):
            if not passage[start:end].strip():
                raise ValueError(f"`answer` {answer!r} spans nothing but blanks")
        case _:
            raise ValueError(
                f"`answer` is {answer!r}, no [start, end] within the passage's {len(passage)} "
                "characters"
            )


def crop(row: ReaderRow, words: int, rng: random.Random) -> ReaderRow:
    """Cut the passage to whole sentences, at most `words` words of them, around the answer.

    The answer's own sentences are kept however long they are. Without an answer the place is drawn.
    """
    text = row.passage
    if len(text.split()) <= words:
        return row
    spans = sentences(text)
    first = last = rng.randrange(len(spans))
    if row.answer:
        first = next(i for i, (_, end) in enumerate(spans) if row.answer[0] < end)
        last = max(i for i, (start, _) in enumerate(spans) if start < row.answer[1])
    while grown := [
        (a, b)
        for a, b in ((first - 1, last), (first, last + 1))
        if a >= 0 and b < len(spans) and len(text[spans[a][0] : spans[b][1]].split()) <= words
    ]:
        first, last = rng.choice(grown)
    start, end = spans[first][0], spans[last][1]
    answer = (row.answer[0] - start, row.answer[1] - start) if row.answer else None
    return replace(row, passage=text[start:end].rstrip(), answer=answer)


def sentences(text: str) -> list[tuple[int, int]]:
    """Return where roughly the sentences begin and end, the blanks behind them included."""
    cuts = [0, *(match.end() for match in _BREAK.finditer(text)), len(text)]
    return [(start, end) for start, end in pairwise(cuts) if text[start:end].strip()]


def encode_row(
    row: ReaderRow, tokenizer: "PreTrainedTokenizerBase", *, max_length: int
) -> EncodedRow | None:
    """Encode question and passage under its title; None where the answer would be cut off."""
    heading = f"{row.title}: "
    encoded = tokenizer(
        row.question,
        heading + row.passage,
        return_offsets_mapping=True,
        return_token_type_ids=True,
        verbose=False,
    )
    ids, types = list(encoded["input_ids"]), list(encoded["token_type_ids"])
    inside: list[int] = []
    if row.answer:
        start, end = (len(heading) + place for place in row.answer)
        inside = [
            token
            for token, (part, (a, b)) in enumerate(
                zip(encoded.sequence_ids(), encoded["offset_mapping"], strict=True)
            )
            if part == 1 and a < end and b > start
        ]
    if len(ids) > max_length:
        ids, types = [*ids[: max_length - 1], ids[-1]], types[:max_length]
    passage = [token for token, part in enumerate(types[:-1]) if part == 1]
    if not passage or (row.answer and (not inside or inside[-1] > passage[-1])):
        return None
    first, last = (inside[0], inside[-1]) if inside else (0, 0)
    return EncodedRow(tuple(ids), tuple(types), first, last)


def encode_rows(
    rows: Sequence[ReaderRow],
    tokenizer: "PreTrainedTokenizerBase",
    *,
    max_length: int,
    crop_words: tuple[int, int] | None,
    seed: int,
) -> tuple[list[EncodedRow], tuple[str, ...]]:
    """Crop and encode every row; return those that fit, and the places of those that do not."""
    kept: list[EncodedRow] = []
    left_out: list[str] = []
    rng = random.Random(seed)
    for row in rows:
        cut = crop(row, rng.randint(*crop_words), rng) if crop_words else row
        encoded = encode_row(cut, tokenizer, max_length=max_length)
        if encoded is None:
            left_out.append(row.place)
        else:
            kept.append(encoded)
    if not kept:
        raise ExampleError(
            f"All {len(left_out)} rows lose their answer at max_length={max_length} tokens. "
            "Raise max_length, or set crop_words."
        )
    return kept, tuple(left_out)
