import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from finetune.data.files import Record, files_in, read_records
from finetune.data.reading import read_conversations, read_labels, read_pairs, read_texts
from finetune.errors import ExampleError
from finetune.reader_rows import read_reader_rows

CALL = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "search"}}]}
TALK = [{"role": "user", "content": "hi"}, CALL, {"role": "assistant", "content": "ho"}]


def write_csv(path: Path, *rows: dict[str, Any]) -> Path:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_csv_rows_know_the_line_that_they_begin_on(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "a.csv",
        {"prompt": "one\ntwo", "completion": "x", "label": "true", "run": "r1"},
        {"prompt": "[not json", "completion": "y", "label": "bad", "run": ""},
    )
    first, second = read_labels([path])
    assert (first.line, second.line) == (2, 4)
    assert (first.label, second.label) == (True, False)
    assert (first.lineage, second.lineage) == ({"run": "r1"}, {})
    assert second.prompt == "[not json"


def test_csv_cells_may_hold_messages_as_json(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", {"messages": json.dumps(TALK), "tools": ""})
    assert list(read_conversations([path])[0].messages) == TALK


def test_a_csv_row_of_another_width_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("prompt,chosen,rejected\na,b,c\na,b\n", encoding="utf-8")
    with pytest.raises(ExampleError, match=r"a\.csv:3: 2 cells under a head of 3"):
        read_pairs([path])


def test_broken_csv_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('text,more\na,b\n"a b" c,d\ne,"f\ng,h\n', encoding="utf-8")
    first, *faults, last = read_records([path])
    assert [str(each).split(" (")[0] for each in faults] == [f"{path}:{n}: no CSV" for n in (3, 4)]
    assert [each.fields for each in (first, last) if isinstance(each, Record)] == [
        {"text": "a", "more": "b"},
        {"text": "g", "more": "h"},
    ]


def test_quotes_in_a_tsv_are_signs_like_others(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    lines = ["prompt\tcompletion", '"Yes\tshe said', '5" or 6"\t"quoted\t"" once"', "last\tone"]
    path.write_text("\n".join(lines), encoding="utf-8")
    found = [each.fields for each in read_records([path]) if isinstance(each, Record)]
    assert found == [
        {"prompt": '"Yes', "completion": "she said"},
        {"prompt": '5" or 6"', "completion": 'quoted\t" once'},
        {"prompt": "last", "completion": "one"},
    ]


def test_a_csv_answer_that_looks_like_json_stays_a_text(tmp_path: Path) -> None:
    said = ["[1, 2]", '{"total": 3}', "42", "true"]
    path = write_csv(
        tmp_path / "a.csv", *({"prompt": "q", "completion": s, "label": "true"} for s in said)
    )
    assert [row.completion for row in read_labels([path])] == said


def test_parquet_gives_back_what_json_held(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    rows = [{"messages": TALK, "source": "a"}, {"messages": [TALK[0], TALK[2]], "source": None}]
    pq.write_table(pa.Table.from_pylist(rows), path)
    first, second = read_conversations([path])
    assert list(first.messages) == TALK
    assert list(second.messages) == [TALK[0], TALK[2]]
    assert (first.place, first.lineage, second.lineage) == (f"{path}:1", {"source": "a"}, {})


def test_an_answer_that_is_nowhere_stays_null_in_every_format(tmp_path: Path) -> None:
    rows = [
        {"question": "q?", "title": "", "passage": "one two", "answer": None},
        {"question": "q?", "title": "t", "passage": "one two", "answer": [0, 3]},
    ]
    parquet = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist(rows), parquet)
    table = write_csv(tmp_path / "a.csv", {**rows[0], "title": "t"}, rows[1])
    for path in (parquet, table):
        assert [row.answer for row in read_reader_rows([path])] == [None, (0, 3)]


def test_a_folder_gives_its_data_or_else_its_texts(tmp_path: Path) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "b.txt").write_text("The tide\nturns.", encoding="utf-8")
    (texts / "a.md").write_text("A mill.", encoding="utf-8")
    rows = read_texts([texts])
    assert [row.text for row in rows] == ["A mill.", "The tide\nturns."]
    assert rows[1].lineage == {"source": str(texts / "b.txt")}
    (texts / "deep").mkdir()
    (texts / "deep" / "c.jsonl").write_text('{"text": "one two"}\n', encoding="utf-8")
    (texts / ".cache").mkdir()
    (texts / ".cache" / "d.jsonl").write_text("{", encoding="utf-8")
    assert files_in([texts]) == [texts / "deep" / "c.jsonl"]


def test_a_list_in_a_json_file_is_read_row_by_row(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('[{"text": "one two"}, 3]', encoding="utf-8")
    with pytest.raises(ExampleError, match=r"a\.json:2: a JSON int, not an object"):
        read_texts([path])


@pytest.mark.parametrize("name", ["a.docx", "a.parquet"])
def test_what_is_no_data_is_refused_with_what_is(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"no such thing")
    with pytest.raises(ExampleError, match=rf"{path.name} (is none of .*\.jsonl|cannot be read)"):
        list(read_records([path]))


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExampleError, match="holds no data"):
        files_in([tmp_path])
