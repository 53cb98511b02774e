import json
from pathlib import Path
from typing import Any

import pytest

from finetune.data.converting import convert
from finetune.data.measuring import check
from finetune.errors import ConfigError, ExampleError

PAIR = {"prompt": "hi", "chosen": "ho", "rejected": "ha", "run": "r1"}
RANKING = {"prompt": "hi", "completions": ["a", "b", "c"]}
GOOD = {"prompt": "hi", "completion": "ho", "label": True}
BAD = {"prompt": "hi", "completion": "ha", "label": False}
TALK = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "ho"},
    ]
}
DOLLY = {"instruction": "Sum up.", "context": "It rained.", "response": "Rain.", "category": "s"}
TEXT = {"text": "The tide turns."}


def converted(tmp_path: Path, *rows: Any, to: Any) -> tuple[list[Any], dict[str, int]]:
    path, out = tmp_path / "in.jsonl", tmp_path / "out" / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    done = convert([path], out, to=to)
    made = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert (done.read, done.written) == (len(rows), len(made))
    assert not check([out]).faults
    return made, done.left_out


def test_whatever_has_a_good_answer_becomes_a_conversation(tmp_path: Path) -> None:
    rows, left_out = converted(tmp_path, PAIR, RANKING, GOOD, BAD, DOLLY, TALK, TEXT, to="sft")
    said = [[each["content"] for each in row.get("messages", [])] for row in rows]
    assert said == [
        ["hi", "ho"],
        ["hi", "a"],
        ["hi", "ho"],
        ["It rained.\n\nSum up.", "Rain."],
        ["Be brief.", "hi", "ho"],
        [],
    ]
    assert rows[0]["run"] == "r1"
    assert rows[3]["category"] == "s"
    assert rows[5] == TEXT
    assert left_out == {"a bad answer is nothing to imitate": 1}


def test_pairs_come_of_rankings_and_of_thumbs_on_one_prompt(tmp_path: Path) -> None:
    lonely = {**GOOD, "prompt": "well?"}
    rows, left_out = converted(tmp_path, PAIR, GOOD, BAD, lonely, RANKING, TALK, to="dpo")
    found = [(row["prompt"], row["chosen"], row["rejected"]) for row in rows]
    assert sorted(found) == [
        ("hi", "a", "b"),
        ("hi", "a", "c"),
        ("hi", "b", "c"),
        ("hi", "ho", "ha"),
        ("hi", "ho", "ha"),
    ]
    assert left_out == {
        "no label of the other sort on the same prompt": 1,
        "a conversation has no worse answer beside a better one": 1,
    }


def test_labels_come_of_pairs_and_of_the_ends_of_rankings(tmp_path: Path) -> None:
    rows, left_out = converted(tmp_path, PAIR, RANKING, BAD, TALK, to="kto")
    found = [(row["completion"], row["label"]) for row in rows]
    assert found == [("ho", True), ("ha", False), ("a", True), ("c", False), ("ha", False)]
    assert left_out == {"a conversation does not say whether its answer is good": 1}


def test_prompts_keep_the_answer_as_a_reference(tmp_path: Path) -> None:
    rows, left_out = converted(tmp_path, TALK, PAIR, TEXT, to="prompts")
    assert rows[0] == {"prompt": TALK["messages"][:2], "reference": "ho"}
    assert rows[1] == {"prompt": "hi", "run": "r1"}
    assert left_out == {"a text asks nothing": 1}


def test_text_holds_context_question_and_answer_without_the_system_message(tmp_path: Path) -> None:
    rows, _ = converted(tmp_path, TALK, DOLLY, TEXT, to="text")
    assert [row["text"] for row in rows] == [
        "hi\n\nho",
        "It rained.\n\nSum up.\n\nRain.",
        "The tide turns.",
    ]


def test_bad_rows_and_empty_results_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ExampleError, match=r"in\.jsonl:2: .*`colour`"):
        converted(tmp_path, PAIR, {"colour": "red"}, to="sft")
    with pytest.raises(ExampleError, match="No row could be made into kto"):
        converted(tmp_path, TEXT, to="kto")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match="another --out"):
        convert([tmp_path / "in.jsonl"], tmp_path / "in.jsonl", to="sft")
