"""RetrieverRow: a query, a text that answers it, and near ones that do not."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from finetune.data.files import Record
from finetune.data.reading import read_rows

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SHAPE = '{"query": ..., "positive": ..., "negatives": [...]}'


@dataclass(frozen=True)
class RetrieverRow:
    """A query, the text to be found by it, and texts that are like it and do not answer."""

    query: str
    positive: str
    negatives: tuple[str, ...]
    path: str = ""
    line: int = 0


@dataclass(frozen=True)
class TextIds:
    """A text as token ids; `number` is its place among all texts."""

    number: int
    input_ids: tuple[int, ...]


@dataclass(frozen=True)
class Search:
    """A query as token ids, and by their numbers the text to be found and those that are not.

    `right` are all texts that any row names as the answer to this query.
    """

    input_ids: tuple[int, ...]
    positive: int
    negatives: tuple[int, ...]
    right: frozenset[int]


@dataclass(frozen=True)
class Searches:
    """The rows of some files, and each of their texts once."""

    rows: Sequence[Search]
    texts: Sequence[TextIds]

    @property
    def tokens(self) -> int:
        """Count the tokens of queries and texts, each once."""
        queries = sum(len(row.input_ids) for row in self.rows)
        return queries + sum(len(text.input_ids) for text in self.texts)


def read_retriever_rows(paths: Iterable[Path]) -> list[RetrieverRow]:
    """Read every row of the files; raise ExampleError that names the rows which do not hold."""
    return read_rows(paths, parse_retriever_row, kind="search", shape=SHAPE)


def parse_retriever_row(record: Record) -> RetrieverRow:
    """Read query, positive and negatives; ValueError says what is wrong with them."""
    row = record.fields
    for name in ("query", "positive"):
        if not isinstance(row.get(name), str) or not row[name].strip():
            raise ValueError(f"`{name}` is {row.get(name)!r}, no text")
    negatives = row.get("negatives") or []
    if not isinstance(negatives, list) or not all(
        isinstance(text, str) and text.strip() for text in negatives
    ):
        raise ValueError("`negatives` is no list of texts")
    if row["positive"] in negatives:
        raise ValueError("`positive` is among `negatives`")
    return RetrieverRow(row["query"], row["positive"], tuple(negatives), record.path, record.line)


def encode_searches(
    rows: Sequence[RetrieverRow], tokenizer: "PreTrainedTokenizerBase", *, max_length: int
) -> Searches:
    """Encode each text once; what another row calls right for the same query is no negative."""
    numbers: dict[str, int] = {}
    right: defaultdict[str, set[int]] = defaultdict(set)
    for row in rows:
        for text in (row.positive, *row.negatives):
            numbers.setdefault(text, len(numbers))
        right[row.query].add(numbers[row.positive])

    def ids(texts: Sequence[str]) -> list[tuple[int, ...]]:
        encoded = tokenizer(list(texts), truncation=True, max_length=max_length, verbose=False)
        return [tuple(each) for each in encoded["input_ids"]]

    queries = ids([row.query for row in rows])
    searches = [
        Search(
            input_ids,
            numbers[row.positive],
            tuple(numbers[text] for text in row.negatives if numbers[text] not in right[row.query]),
            frozenset(right[row.query]),
        )
        for row, input_ids in zip(rows, queries, strict=True)
    ]
    texts = [TextIds(number, input_ids) for number, input_ids in enumerate(ids(list(numbers)))]
    return Searches(searches, texts)
