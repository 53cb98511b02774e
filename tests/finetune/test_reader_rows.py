import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers")

from finetune.base_model import load_tokenizer
from finetune.errors import ExampleError
from finetune.reader_rows import (
    ReaderRow,
    crop,
    encode_row,
    encode_rows,
    read_reader_rows,
    sentences,
)

GOOD: dict[str, Any] = {
    "question": "Who made the bridge?",
    "title": "Bridge",
    "passage": "The town made the bridge.",
    "answer": [4, 8],
}


def written(tmp_path: Path, *rows: Any) -> Path:
    path = tmp_path / "rows.jsonl"
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def row_of(passage: str, answer: str | None, **changed: Any) -> ReaderRow:
    span = None
    if answer is not None:
        span = (passage.index(answer), passage.index(answer) + len(answer))
    return replace(ReaderRow("who made it?", "the mill", passage, span, "a.jsonl", 1), **changed)


def test_rows_with_and_without_an_answer_are_read(tmp_path: Path) -> None:
    first, second = read_reader_rows([written(tmp_path, GOOD, GOOD | {"answer": None})])
    assert first.answer is not None
    assert first.passage[slice(*first.answer)] == "town"
    assert second.answer is None
    assert second.place.endswith("rows.jsonl:2")


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("{", "Expecting"),
        ([], "a JSON list"),
        (GOOD | {"question": " "}, "`question` is ' '"),
        (GOOD | {"passage": None}, "`passage` is None"),
        (GOOD | {"answer": [4]}, r"`answer` is \[4\], no \[start, end\]"),
        (GOOD | {"answer": [8, 4]}, "within the passage's 25 characters"),
        (GOOD | {"answer": [4, 26]}, "within the passage's 25 characters"),
        (GOOD | {"answer": "town"}, "`answer` is 'town'"),
        (GOOD | {"answer": [3, 4]}, "nothing but blanks"),
        ({key: GOOD[key] for key in GOOD if key != "answer"}, "`answer` is missing; null says"),
    ],
)
def test_a_bad_row_is_named_with_its_line_and_its_fault(
    tmp_path: Path, bad: object, said: str
) -> None:
    with pytest.raises(ExampleError, match=rf"1 row\(s\) are no questions:\n.*\.jsonl:2: .*{said}"):
        read_reader_rows([written(tmp_path, GOOD, bad, GOOD)])


PASSAGE = "Iron was sold. The mill of G. Brown made paper. Glass was kept! It was cloth?\nThe end."


def test_sentences_end_at_marks_and_lines_but_not_at_initials() -> None:
    assert [PASSAGE[start:end].strip() for start, end in sentences(PASSAGE)] == [
        "Iron was sold.",
        "The mill of G. Brown made paper.",
        "Glass was kept!",
        "It was cloth?",
        "The end.",
    ]


def test_a_crop_keeps_whole_sentences_around_the_answer() -> None:
    row = row_of(PASSAGE, "paper")
    seen = set()
    for seed in range(20):
        cut = crop(row, 10, random.Random(seed))
        assert cut.answer is not None
        assert cut.passage[slice(*cut.answer)] == "paper"
        assert len(cut.passage.split()) == 10
        seen.add(cut.passage)
    assert seen == {PASSAGE[:47], PASSAGE[15:63]}


def test_a_crop_never_cuts_the_sentences_that_the_answer_spans() -> None:
    row = row_of(PASSAGE, "paper. Glass")
    assert crop(row, 1, random.Random(0)).passage == PASSAGE[15:63]
    assert crop(row, 100, random.Random(0)) is row


def test_a_passage_without_an_answer_is_cropped_anywhere() -> None:
    row = row_of(PASSAGE, None)
    cut = {crop(row, 3, random.Random(seed)).passage for seed in range(20)}
    assert {"Iron was sold.", "Glass was kept!", "It was cloth?"} <= cut


def test_an_answer_becomes_its_first_and_last_token(tiny_bert: Path) -> None:
    tokenizer = load_tokenizer(tiny_bert)
    row = row_of("paper was made in the north west mill .", "north west")
    encoded = encode_row(row, tokenizer, max_length=64)
    assert encoded is not None
    spoken = tokenizer.convert_ids_to_tokens(encoded.input_ids)
    assert spoken[encoded.start : encoded.end + 1] == ["north", "west"]
    assert spoken[:3] == ["[CLS]", "who", "made"]
    middle = spoken.index("[SEP]")
    assert spoken[middle + 1 : middle + 5] == ["the", "mill", ":", "paper"]
    assert encoded.token_type_ids == (0,) * (middle + 1) + (1,) * (len(spoken) - middle - 1)


def test_no_answer_is_the_first_token(tiny_bert: Path) -> None:
    encoded = encode_row(row_of("paper", None), load_tokenizer(tiny_bert), max_length=64)
    assert encoded is not None
    assert (encoded.start, encoded.end) == (0, 0)


def test_a_row_that_would_lose_its_answer_is_left_out_and_named(tiny_bert: Path) -> None:
    tokenizer = load_tokenizer(tiny_bert)
    passage = "the river " * 20 + "mill"
    late = row_of(passage, "mill", line=1)
    none = row_of(passage, None, line=2)
    early = row_of(passage, "river", line=3)
    question = row_of("paper", None, question="who " * 40, line=4)
    kept, left_out = encode_rows(
        [late, none, early, question], tokenizer, max_length=24, crop_words=None, seed=0
    )
    assert left_out == ("a.jsonl:1", "a.jsonl:4")
    assert [len(row.input_ids) for row in kept] == [24, 24]
    assert kept[1].input_ids[-1] == tokenizer.sep_token_id
    with pytest.raises(ExampleError, match="All 1 rows lose their answer at max_length=24"):
        encode_rows([late], tokenizer, max_length=24, crop_words=None, seed=0)


def test_the_same_seed_crops_alike(tiny_bert: Path) -> None:
    tokenizer = load_tokenizer(tiny_bert)
    rows = [row_of(PASSAGE, None)] * 10

    def made(seed: int) -> object:
        return encode_rows(rows, tokenizer, max_length=64, crop_words=(3, 10), seed=seed)

    assert made(1) == made(1) != made(2)
