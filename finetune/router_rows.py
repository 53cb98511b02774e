"""RouterRow: a text, and what kind of question it is."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from finetune.data.files import Record
from finetune.data.reading import read_rows
from finetune.errors import ExampleError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SHAPE = '{"text": ..., "label": ...}'


@dataclass(frozen=True)
class RouterRow:
    """A text and its label."""

    text: str
    label: str
    path: str
    line: int

    @property
    def place(self) -> str:
        """Return `file:line`."""
        return f"{self.path}:{self.line}"


@dataclass(frozen=True)
class EncodedText:
    """Token ids of a text, as it is and as it is when typed in haste, and its label's number."""

    input_ids: tuple[int, ...]
    lowered_ids: tuple[int, ...]
    label: int

    def lower(self) -> Self:
        """Return the text as it is when typed in haste."""
        return replace(self, input_ids=self.lowered_ids)


def read_router_rows(paths: Iterable[Path]) -> list[RouterRow]:
    """Read every row of the files; raise ExampleError that names the rows which do not hold."""
    return read_rows(paths, parse_router_row, kind="labelled text", shape=SHAPE)


def parse_router_row(record: Record) -> RouterRow:
    """Read text and label; ValueError says what is wrong with them."""
    row = record.fields
    for name in ("text", "label"):
        if not isinstance(row.get(name), str) or not row[name].strip():
            raise ValueError(f"`{name}` is {row.get(name)!r}, no text")
    return RouterRow(row["text"], row["label"], record.path, record.line)


def labels_of(rows: Iterable[RouterRow]) -> tuple[str, ...]:
    """Return the labels of the rows, sorted; raise ExampleError where there are not two."""
    labels = tuple(sorted({row.label for row in rows}))
    if len(labels) < 2:
        raise ExampleError(
            f"All rows have the label {labels[0]!r}: there is nothing to tell apart. "
            "Give rows of another label as well."
        )
    return labels


def lowered(text: str) -> str:
    """Return the text as many type it: in lower case, without its last question mark."""
    return text.lower().rstrip().removesuffix("?").rstrip()


def encode_texts(
    rows: Sequence[RouterRow],
    tokenizer: "PreTrainedTokenizerBase",
    *,
    labels: Sequence[str],
    max_length: int,
) -> list[EncodedText]:
    """Encode every text; raise ExampleError at a label that is not among `labels`."""
    numbers = {label: number for number, label in enumerate(labels)}
    unknown = next((row for row in rows if row.label not in numbers), None)
    if unknown:
        raise ExampleError(
            f"{unknown.place}: the label {unknown.label!r} is not among those that are trained, "
            f"{', '.join(labels)}. Mend it, or add rows of it to data."
        )

    def ids(texts: list[str]) -> list[tuple[int, ...]]:
        return [_end(each, max_length) for each in tokenizer(texts, verbose=False)["input_ids"]]

    plain, hasty = ids([row.text for row in rows]), ids([lowered(row.text) for row in rows])
    return [
        EncodedText(input_ids, lowered_ids, numbers[row.label])
        for row, input_ids, lowered_ids in zip(rows, plain, hasty, strict=True)
    ]


def _end(ids: Sequence[int], max_length: int) -> tuple[int, ...]:
    """Keep the end of a text that is too long, where its question is, behind the first token."""
    return tuple(ids) if len(ids) <= max_length else (ids[0], *ids[1 - max_length :])
