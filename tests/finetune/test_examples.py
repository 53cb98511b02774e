import json
from collections.abc import Callable
from pathlib import Path

import pytest

from finetune.errors import ExampleError
from finetune.examples import read_examples

GOOD = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]}


def write(path: Path, *rows: object) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_rows_keep_their_tools_and_their_place(tmp_path: Path) -> None:
    tools = [{"type": "function", "function": {"name": "search"}}]
    path = write(tmp_path / "a.jsonl", GOOD, "", GOOD | {"tools": tools, "run": "r1"})
    first, second = read_examples([path])
    assert first.tools is None
    assert second.tools == tuple(tools)
    assert second.place == f"{path}:3"


def test_an_assistant_message_may_hold_only_tool_calls(tmp_path: Path) -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "search"}}]}
    path = write(tmp_path / "a.jsonl", {"messages": [*GOOD["messages"], call]})
    assert len(read_examples([path])) == 1


def test_plain_text_may_stand_among_conversations(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", GOOD, {"text": "The tide turns twice a day."})
    conversation, text = read_examples([path])
    assert conversation.text is None
    assert text.text == "The tide turns twice a day."
    assert text.messages == ()


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{broken", "Expecting property name"),
        ("[1]", "a JSON list"),
        ({"question": "a"}, "`messages` is no filled list"),
        ({"text": "word"}, "`text` has no two words"),
        ({"text": ["a", "b"]}, "`text` has no two words"),
        ({"messages": []}, "`messages` is no filled list"),
        ({"messages": ["hi"]}, "message 1 is no object"),
        ({"messages": [{"role": "bot", "content": "a"}]}, "the role 'bot'"),
        ({"messages": [{"role": "assistant"}]}, r"message 1 \(assistant\) has no text"),
        ({"messages": [{"role": "user", "content": "a"}]}, "no message of the assistant"),
        (GOOD | {"tools": "search"}, "`tools` is no list"),
    ],
)
def test_a_bad_row_is_named_by_file_line_and_fault(tmp_path: Path, row: object, said: str) -> None:
    path = write(tmp_path / "bad.jsonl", GOOD, row)
    with pytest.raises(ExampleError, match=rf"bad\.jsonl:2: .*{said}"):
        read_examples([path])


def test_many_bad_rows_are_counted_and_the_first_shown(tmp_path: Path) -> None:
    path = write(tmp_path / "bad.jsonl", *["{"] * 9)
    with pytest.raises(ExampleError, match=r"(?s)^9 row.*:5: .*and 4 more"):
        read_examples([path])


def test_a_missing_or_empty_or_binary_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExampleError, match=r"none\.jsonl does not exist"):
        read_examples([tmp_path / "none.jsonl"])
    with pytest.raises(ExampleError, match=r"No rows in .*empty\.jsonl"):
        read_examples([write(tmp_path / "empty.jsonl")])
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ExampleError, match=r"binary\.jsonl is no UTF-8"):
        read_examples([tmp_path / "binary.jsonl"])


def test_several_files_are_read_in_order(conversations: Callable[..., Path]) -> None:
    first, second = conversations(2), conversations(3, name="more.jsonl")
    assert [example.line for example in read_examples([first, second])] == [1, 2, 1, 2, 3]
