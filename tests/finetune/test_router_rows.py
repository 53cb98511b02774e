import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers")

from finetune.base_model import load_tokenizer
from finetune.errors import ExampleError
from finetune.router_rows import RouterRow, encode_texts, labels_of, lowered, read_router_rows

GOOD = {"text": "Who made the bridge?", "label": "ask"}


def written(tmp_path: Path, *rows: Any) -> Path:
    path = tmp_path / "texts.jsonl"
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def row_of(text: str, label: str = "ask", line: int = 1) -> RouterRow:
    return RouterRow(text, label, "a.jsonl", line)


def test_rows_are_read_with_their_places(tmp_path: Path) -> None:
    first, second = read_router_rows([written(tmp_path, GOOD, GOOD | {"label": "talk"})])
    assert (first.text, first.label) == ("Who made the bridge?", "ask")
    assert second.place.endswith("texts.jsonl:2")


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("{", "Expecting"),
        ([], "a JSON list"),
        (GOOD | {"text": " "}, "`text` is ' '"),
        (GOOD | {"label": 3}, "`label` is 3, no text"),
        ({"text": "Who?"}, "`label` is None"),
    ],
)
def test_a_bad_row_is_named_with_its_line_and_its_fault(
    tmp_path: Path, bad: object, said: str
) -> None:
    with pytest.raises(
        ExampleError, match=rf"1 row\(s\) are no labelled texts:\n.*texts\.jsonl:2: .*{said}"
    ):
        read_router_rows([written(tmp_path, GOOD, bad, GOOD)])


def test_the_labels_are_those_of_the_rows_in_order() -> None:
    rows = [row_of("who ?", label) for label in ("talk", "ask", "talk", "live")]
    assert labels_of(rows) == ("ask", "live", "talk")


def test_rows_of_one_label_are_refused() -> None:
    with pytest.raises(ExampleError, match="All rows have the label 'ask': there is nothing"):
        labels_of([row_of("who ?"), row_of("where ?")])


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("Who made It?", "who made it"),
        ("Who? And where ? ", "who? and where"),
        ("Made it.", "made it."),
    ],
)
def test_a_text_in_haste_has_neither_capitals_nor_its_last_question_mark(
    text: str, typed: str
) -> None:
    assert lowered(text) == typed


def test_a_text_is_encoded_as_it_is_and_as_typed_in_haste(tiny_bert: Path) -> None:
    tokenizer = load_tokenizer(tiny_bert)
    rows = [row_of("Who made paper ?", "talk"), row_of("iron", "ask")]
    first, second = encode_texts(rows, tokenizer, labels=("ask", "talk"), max_length=16)
    words = tokenizer.convert_ids_to_tokens(first.input_ids)
    assert words == ["[CLS]", "who", "made", "paper", "?", "[SEP]"]
    assert tokenizer.convert_ids_to_tokens(first.lower().input_ids) == [*words[:4], "[SEP]"]
    assert (first.label, second.label) == (1, 0)
    assert second.lower().input_ids == second.input_ids


def test_of_a_text_that_is_too_long_the_end_is_kept(tiny_bert: Path) -> None:
    tokenizer = load_tokenizer(tiny_bert)
    row = row_of("the river " * 20 + "who made paper ?")
    (encoded,) = encode_texts([row], tokenizer, labels=("ask",), max_length=8)
    words = tokenizer.convert_ids_to_tokens(encoded.input_ids)
    assert words == ["[CLS]", "the", "river", "who", "made", "paper", "?", "[SEP]"]


def test_a_label_that_is_not_trained_is_named_with_its_place(tiny_bert: Path) -> None:
    rows = [row_of("who ?"), row_of("who ?", "tlak", line=7)]
    with pytest.raises(ExampleError, match=r"a\.jsonl:7: the label 'tlak' .* trained, ask, talk\."):
        encode_texts(rows, load_tokenizer(tiny_bert), labels=("ask", "talk"), max_length=16)
