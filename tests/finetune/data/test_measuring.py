import json
from pathlib import Path
from typing import Any

from finetune.data.measuring import check, measure, percentiles
from finetune.data.tokens import TokenCounter

CALL = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"function": {"name": "search_web", "arguments": {"query": "tide"}}}],
}
TALK = {
    "messages": [
        {"role": "system", "content": "one two three four five six"},
        {"role": "user", "content": "When is the tide?"},
        CALL,
        {"role": "tool", "content": "The tide is at noon today."},
        {"role": "assistant", "content": "At noon."},
    ],
    "source": "a.pdf",
}


def write(path: Path, *rows: Any) -> Path:
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_a_check_names_every_bad_row_and_who_learns_from_the_rest(tmp_path: Path) -> None:
    bad = ["{", {"text": ""}, *[{"colour": n} for n in range(9)]]
    found = check([write(tmp_path / "a.jsonl", TALK, {"text": "a b"}, *bad)])
    assert (found.rows, dict(found.kinds)) == (13, {"conversation": 1, "text": 1})
    assert found.methods == ("sft",)
    assert [fault.line for fault in found.faults] == list(range(3, 14))


def test_half_a_character_is_a_fault_of_its_row(tmp_path: Path) -> None:
    half = r'{"prompt": "hi there", "completion": "nice \ud83d day today"}'
    whole = r'{"prompt": "hi there", "completion": "nice \ud83d\ude00 day today"}'
    (fault,) = check([write(tmp_path / "a.jsonl", whole, half)]).faults
    assert str(fault).endswith(r"a.jsonl:2: '\ud83d' is half a character, which is no text")


def test_kinds_that_no_method_learns_from_together_are_told(tmp_path: Path) -> None:
    pair = {"prompt": "a", "chosen": "b", "rejected": "c"}
    ranking = {"prompt": "a", "completions": ["b", "c"]}
    assert check([write(tmp_path / "a.jsonl", pair, ranking)]).methods == ("dpo", "orpo", "reward")
    assert check([write(tmp_path / "a.jsonl", pair, TALK)]).methods == ()
    assert check([write(tmp_path / "a.jsonl")]).methods == ()


def test_the_rows_of_readers_and_routers_are_known(tmp_path: Path) -> None:
    row = {"question": "q?", "title": "t", "passage": "one two", "answer": [0, 3]}
    found = check([write(tmp_path / "a.jsonl", row, row | {"answer": [5, 99]})])
    assert (found.methods, len(found.faults)) == (("reader",), 1)
    routes = write(tmp_path / "b.jsonl", {"text": "hi", "label": "talk"})
    assert check([routes]).methods == ("router",)
    assert measure([routes]).labels == {"talk": 1}


def test_measures_count_words_by_who_says_them(tmp_path: Path) -> None:
    again = {**TALK, "run": "r", "source": ""}
    found = measure([write(tmp_path / "a.jsonl", TALK, again, "{")])
    assert (found.rows, found.faults, found.duplicates) == (2, 1, 1)
    assert found.lengths == {"asked": (4,) * 6, "answered": (5,) * 6, "context": (6,) * 6}
    assert found.totals["context"] == 12
    assert found.roles == {"system": 2, "user": 2, "assistant": 4, "tool": 2}
    assert found.tools == {"search_web": 2}
    assert found.lineage == {"source": 1, "run": 1}


def test_percentiles_are_by_the_nearest_rank() -> None:
    assert percentiles(range(1, 101)) == (5, 25, 50, 75, 95, 100)
    assert percentiles([7]) == (7,) * 6
    assert percentiles([1, 2]) == (1, 1, 1, 2, 2, 2)


def test_tokens_are_counted_with_the_chat_template(tiny_base: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    path = write(tmp_path / "a.jsonl", {"prompt": "hi", "chosen": "ho", "rejected": "much longer"})
    without = measure([path], count_tokens=TokenCounter(tiny_base)).totals["tokens"]
    assert without == len(tokenizer("hi\nmuch longer")["input_ids"])
    tokenizer.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    )
    tokenizer.save_pretrained(tmp_path / "templated")
    with_it = measure([path], count_tokens=TokenCounter(tmp_path / "templated")).totals["tokens"]
    written = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\nmuch longer<|im_end|>\n"
    assert with_it == len(tokenizer(written)["input_ids"])
