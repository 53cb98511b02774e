import json
from pathlib import Path
from typing import Any

import pytest

from finetune.base_model import load_tokenizer
from finetune.data.reading import kind_of
from finetune.errors import ExampleError
from finetune.retriever_rows import RetrieverRow, encode_searches, read_retriever_rows


def written(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_row_is_read_with_its_place_and_negatives_may_be_missing(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {"query": "who ?", "positive": "the mill", "negatives": ["the river"]},
        {"query": "where ?", "positive": "the tower", "document": "a.pdf"},
    )
    rows = read_retriever_rows([path])
    assert rows[0] == RetrieverRow("who ?", "the mill", ("the river",), str(path), 1)
    assert rows[1].negatives == ()
    assert kind_of(path) == "search"


def test_rows_that_do_not_hold_are_named_with_their_reason(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {"query": " ", "positive": "the mill"},
        {"query": "who ?", "positive": "the mill", "negatives": "the river"},
        {"query": "who ?", "positive": "the mill", "negatives": ["the mill"]},
    )
    with pytest.raises(ExampleError) as caught:
        read_retriever_rows([path])
    said = str(caught.value)
    assert f"{path}:1: `query` is ' ', no text" in said
    assert f"{path}:2: `negatives` is no list of texts" in said
    assert f"{path}:3: `positive` is among `negatives`" in said


def test_each_text_is_encoded_once_and_what_another_row_calls_right_is_no_negative(
    tiny_bert: Path,
) -> None:
    rows = [
        RetrieverRow("who ?", "the mill", ("the river", "the tower")),
        RetrieverRow("who ?", "the tower", ("the river",)),
        RetrieverRow("where ?", "the mill", ()),
    ]
    searches = encode_searches(rows, load_tokenizer(tiny_bert), max_length=16)
    assert [text.number for text in searches.texts] == [0, 1, 2]
    first, second, third = searches.rows
    assert (first.positive, first.negatives, first.right) == (0, (1,), {0, 2})
    assert (second.positive, second.negatives, second.right) == (2, (1,), {0, 2})
    assert (third.positive, third.negatives, third.right) == (0, (), {0})


def test_texts_are_cut_to_the_longest_that_is_read(tiny_bert: Path) -> None:
    rows = [RetrieverRow("the river " * 30, "the mill " * 30, ())]
    searches = encode_searches(rows, load_tokenizer(tiny_bert), max_length=9)
    assert len(searches.rows[0].input_ids) == len(searches.texts[0].input_ids) == 9
    assert searches.tokens == 18
