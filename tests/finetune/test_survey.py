"""The survey: what lies on the disk, told by the rows themselves."""

import json
from pathlib import Path
from typing import Any

import pytest

from finetune.errors import ExampleError
from finetune.situation import Found
from finetune.survey import survey


def written(path: Path, *rows: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def one(path: Path) -> Found:
    (found,) = survey([path])
    return found


TALK = {
    "messages": [
        {"role": "user", "content": "x" * 300},
        {"role": "assistant", "content": "y" * 100},
    ]
}


def test_conversations_are_counted_with_what_the_assistant_writes(tmp_path: Path) -> None:
    found = one(written(tmp_path / "talks.jsonl", TALK, TALK, {"messages": TALK["messages"][:1]}))
    assert (found.kind, found.rows, found.duplicates, found.unique) == ("conversation", 2, 1, 1)
    assert found.faults == 1  # nothing in it that an assistant wrote
    assert found.paths == (str(tmp_path / "talks.jsonl"),)
    assert found.tokens == pytest.approx(800 / 4, rel=0.1)
    assert found.learned == pytest.approx(200 / 800, rel=0.1)
    assert found.longest == pytest.approx(400 / 4, rel=0.1)


def test_calls_of_tools_are_seen(tmp_path: Path) -> None:
    call = {"function": {"name": "search", "arguments": {"query": "limit"}}}
    turn = {"role": "assistant", "content": None, "tool_calls": [call]}
    row = {"messages": [{"role": "user", "content": "limit?"}, turn]}
    assert one(written(tmp_path / "talks.jsonl", row)).tool_calls == 1


def test_rows_that_differ_only_in_case_and_spaces_are_duplicates(tmp_path: Path) -> None:
    rows = [{"text": "The mill made paper."}, {"text": "the  mill made PAPER.\n"}]
    assert one(written(tmp_path / "a.jsonl", *rows)).duplicates == 1


def test_labels_are_counted_by_their_thumb(tmp_path: Path) -> None:
    rows = [{"prompt": "a", "completion": f"b{n}", "label": n < 2} for n in range(5)]
    found = one(written(tmp_path / "thumbs.jsonl", *rows))
    assert (found.kind, found.rows, found.good) == ("label", 5, 2)


def test_labels_of_a_table_are_read_as_words(tmp_path: Path) -> None:
    path = tmp_path / "thumbs.csv"
    path.write_text("prompt,completion,label\na,b,true\na,c,False\n", encoding="utf-8")
    found = one(path)
    assert (found.rows, found.good) == (2, 1)


def test_a_folder_of_many_things_is_told_apart(tmp_path: Path) -> None:
    written(tmp_path / "in" / "pairs.jsonl", {"prompt": "a", "chosen": "b", "rejected": "c"})
    written(tmp_path / "in" / "talks.jsonl", TALK)
    (tmp_path / "in" / "notes.md").write_text("Pumps are bled before use.", encoding="utf-8")
    (tmp_path / "in" / "page.html").write_text("<p>Limits &amp; rules</p>", encoding="utf-8")
    (tmp_path / "in" / ".hidden.jsonl").write_text("nonsense", encoding="utf-8")
    kinds = {each.kind: each.paths for each in survey([tmp_path / "in"])}
    assert kinds == {
        "pair": (str(tmp_path / "in" / "pairs.jsonl"),),
        "conversation": (str(tmp_path / "in" / "talks.jsonl"),),
        "text": (str(tmp_path / "in"),),
        "document": (str(tmp_path / "in"),),
    }


def test_rows_that_cannot_be_read_are_counted_as_faults(tmp_path: Path) -> None:
    path = written(tmp_path / "talks.jsonl", TALK, {"unknown": 1})
    with path.open("a", encoding="utf-8") as file:
        file.write("{broken\n")
    assert (one(path).rows, one(path).faults) == (1, 2)


def test_the_pages_of_the_demo_are_documents_with_about_their_tokens() -> None:
    folder = Path(__file__).resolve().parents[2] / "agentlab" / "demo" / "handbooks"
    found = one(folder)
    assert (found.kind, found.rows) == ("document", 3)
    assert 5_000 < found.tokens < 30_000


def test_a_document_that_does_not_open_still_counts(tmp_path: Path) -> None:
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-nothing")
    (tmp_path / "broken.docx").write_bytes(b"nothing")
    found = one(tmp_path)
    assert (found.kind, found.rows, found.tokens) == ("document", 2, 0)


@pytest.mark.parametrize("name", ["missing.jsonl", "empty", "picture.png"])
def test_a_path_without_data_is_refused_with_what_to_give(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "picture.png").write_bytes(b"")
    with pytest.raises(ExampleError, match=r"Give files|Files that are"):
        survey([tmp_path / name])
