import json
from collections.abc import Callable
from pathlib import Path

import pytest

from finetune.data.reading import (
    kind_of,
    read_conversations,
    read_examples,
    read_labels,
    read_pairs,
    read_prompts,
    read_rankings,
    read_texts,
)
from finetune.data.rows import Conversation, Text, as_messages, as_text
from finetune.errors import ExampleError

GOOD = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]}


def write(path: Path, *rows: object) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_rows_keep_their_tools_and_their_place(tmp_path: Path) -> None:
    tools = [{"type": "function", "function": {"name": "search"}}]
    path = write(tmp_path / "a.jsonl", GOOD, "", GOOD | {"tools": tools, "run": "r1"})
    first, second = read_examples([path])
    assert isinstance(first, Conversation)
    assert isinstance(second, Conversation)
    assert first.tools is None
    assert second.tools == tuple(tools)
    assert second.place == f"{path}:3"
    assert second.lineage == {"run": "r1"}


def test_an_assistant_message_may_hold_only_tool_calls(tmp_path: Path) -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "search"}}]}
    path = write(tmp_path / "a.jsonl", {"messages": [*GOOD["messages"], call]})
    assert len(read_examples([path])) == 1


def test_plain_text_may_stand_among_conversations(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", GOOD, {"text": "The tide turns twice a day."})
    conversation, text = read_examples([path])
    assert isinstance(conversation, Conversation)
    assert isinstance(text, Text)
    assert text.text == "The tide turns twice a day."


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
        ({"messages": [{"role": ["user"], "content": "a"}]}, r"the role \['user'\]"),
        ({"conversations": [{"from": ["human"], "value": "a"}]}, r"the role \['human'\]"),
        ({"text": "a nice \ud83d day"}, r"'\\ud83d' is half a character"),
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


SAID = [{"role": "user", "content": "hi"}]
HO = [{"role": "assistant", "content": "ho"}]
HA = [{"role": "assistant", "content": "ha"}]


def test_pairs_may_be_texts_or_messages_and_rankings_give_all_of_theirs(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl",
        {"prompt": "hi", "chosen": "ho", "rejected": "ha", "source": "a.pdf"},
        {"prompt": SAID, "chosen": HO, "rejected": HA},
        {"prompt": "hi", "completions": ["best", "fair", "worst"], "run": "r2"},
    )
    pairs = read_pairs([path])
    assert [(pair.line, as_text(pair.chosen), as_text(pair.rejected)) for pair in pairs] == [
        (1, "ho", "ha"),
        (2, "ho", "ha"),
        (3, "best", "fair"),
        (3, "best", "worst"),
        (3, "fair", "worst"),
    ]
    assert as_messages(pairs[0].prompt, "user") == as_messages(pairs[1].prompt, "user")
    assert [pair.lineage for pair in pairs[1:3]] == [{}, {"run": "r2"}]
    assert pairs[0].lineage == {"source": "a.pdf"}


def test_two_whole_conversations_are_a_pair_over_what_they_share(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"chosen": SAID + HO, "rejected": SAID + HA})
    (pair,) = read_pairs([path])
    assert (list(pair.prompt), list(pair.chosen), list(pair.rejected)) == (SAID, HO, HA)


@pytest.mark.parametrize("prompt", ["hi", SAID])
def test_a_prompt_that_whole_conversations_repeat_is_said_once(
    tmp_path: Path, prompt: object
) -> None:
    row = {"prompt": prompt, "chosen": SAID + HO, "rejected": SAID + HA, "messages": SAID + HO}
    path = write(tmp_path / "a.jsonl", row)
    (pair,) = read_pairs([path])
    assert list(as_messages(pair.prompt, "user")) == SAID
    assert (list(pair.chosen), list(pair.rejected)) == (HO, HA)
    assert kind_of(path) == "pair"


def test_a_pair_can_be_read_as_a_ranking_of_two(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"prompt": "hi", "chosen": "ho", "rejected": "ha"})
    assert read_rankings([path])[0].completions == ("ho", "ha")


def test_thumbs_may_be_written_in_several_ways(tmp_path: Path) -> None:
    rows = [
        {"prompt": "hi", "completion": "ho", "label": label}
        for label in (True, False, "good", "bad", 1, "0")
    ]
    labels = [row.label for row in read_labels([write(tmp_path / "a.jsonl", *rows)])]
    assert labels == [True, False, True, False, True, False]


def test_prompts_keep_their_other_fields(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"prompt": "2 + 2?", "gold": "4", "document": "sums"})
    (prompt,) = read_prompts([path])
    assert prompt.extra == {"gold": "4", "document": "sums"}
    assert prompt.lineage == {"document": "sums"}
    assert prompt.to_dict() == {"prompt": "2 + 2?", "gold": "4", "document": "sums"}


def test_instructions_become_conversations_by_a_named_template(tmp_path: Path) -> None:
    row = {"instruction": "Sum up.", "context": "It rained.", "response": "Rain.", "category": "s"}
    path = write(tmp_path / "a.jsonl", row, {"instruction": "Say hi.", "output": "hi", "input": ""})
    first, second = read_conversations([path])
    assert [each["content"] for each in first.messages] == ["It rained.\n\nSum up.", "Rain."]
    assert [each["content"] for each in second.messages] == ["Say hi.", "hi"]
    assert first.extra == {"category": "s"}
    dolly, _ = read_conversations([path], template="dolly")
    assert "### Context:\nIt rained.\n" in dolly.messages[0]["content"]


def test_other_tools_conversations_are_understood(tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "ho"}]
    path = write(
        tmp_path / "a.jsonl", {"conversations": turns}, {"prompt": "hi", "completion": "ho"}
    )
    assert [list(each.messages) for each in read_conversations([path])] == [SAID + HO] * 2


def test_rows_are_written_as_they_were_read(tmp_path: Path) -> None:
    rows = [
        {"prompt": SAID, "chosen": HO, "rejected": HA, "run": "r"},
        {"prompt": "hi", "completions": ["a", "b"], "lineage": {"kind": "live", "source": "s"}},
    ]
    path = write(tmp_path / "a.jsonl", *rows)
    assert [row.to_dict() for row in read_pairs([path])[:1]] == rows[:1]
    assert read_rankings([path])[1].to_dict() == rows[1]
    assert read_rankings([path])[1].lineage == {"kind": "live", "source": "s"}


@pytest.mark.parametrize(
    ("read", "row", "said"),
    [
        (read_pairs, {"chosen": "a", "rejected": "b"}, "`prompt` is missing"),
        (read_pairs, {"prompt": "p", "chosen": "a", "rejected": "a"}, "are the same"),
        (read_pairs, {"prompt": "p", "chosen": "a", "rejected": " "}, "`rejected` is neither"),
        (read_pairs, {"prompt": "hi", "chosen": SAID, "rejected": SAID + HA}, "after the prompt"),
        (read_pairs, {"chosen": SAID, "rejected": HO}, "share no beginning"),
        (read_labels, {"prompt": "p", "completion": "a"}, "`label` is None"),
        (read_labels, {"prompt": [{"role": "x"}], "completion": "a", "label": 1}, "the role 'x'"),
        (read_rankings, {"prompt": "p", "completions": ["a"]}, "no list of two or more"),
        (read_rankings, {"prompt": "p", "completions": ["a", "a"]}, "same one twice"),
        (read_prompts, {"prompt": ""}, "`prompt` is neither"),
        (read_texts, {"text": ""}, "no two words"),
        (read_conversations, {"instruction": "a", "response": ""}, "`response` is ''"),
    ],
)
def test_a_row_that_does_not_hold_says_why(
    tmp_path: Path, read: Callable[[list[Path]], object], row: dict[str, object], said: str
) -> None:
    with pytest.raises(ExampleError, match=rf"bad\.jsonl:1: .*{said}"):
        read([write(tmp_path / "bad.jsonl", row)])


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        (GOOD, "conversation"),
        (GOOD | {"prompt": "a", "chosen": "b", "rejected": "c"}, "pair"),
        (GOOD | {"prompt": "a", "completion": "b", "label": True}, "label"),
        (GOOD | {"prompt": "a", "completions": ["b", "c"]}, "ranking"),
        ({"text": "a b"}, "text"),
        ({"text": "a b", "label": "ask"}, "route"),
        ({"instruction": "a", "response": "b"}, "instruction"),
        ({"prompt": "a", "chosen": "b", "rejected": "c"}, "pair"),
        ({"prompt": "a", "completion": "b", "label": True}, "label"),
        ({"prompt": "a", "completions": ["b", "c"]}, "ranking"),
        ({"prompt": "a", "gold": "b"}, "prompt"),
        ({"question": "a", "title": "", "passage": "b c", "answer": None}, "question"),
    ],
)
def test_a_files_kind_is_told_by_its_first_row(
    tmp_path: Path, row: dict[str, object], kind: str
) -> None:
    assert kind_of(write(tmp_path / "a.jsonl", row)) == kind


def test_an_unknown_kind_is_named_by_its_fields(tmp_path: Path) -> None:
    with pytest.raises(ExampleError, match=r"a\.jsonl:1: .*`colour`"):
        kind_of(write(tmp_path / "a.jsonl", {"colour": "red"}))
