import json
from pathlib import Path

import pytest

pytest.importorskip("trl")

from finetune.base_model import load_tokenizer
from finetune.errors import ExampleError
from finetune.events import Finished, Progress, Started
from finetune.method_config import load_config
from finetune.methods.cpt import pack
from finetune.training import train


def test_texts_are_packed_into_full_blocks_and_nothing_is_lost(tiny_base: Path) -> None:
    tokenizer = load_tokenizer(tiny_base)
    texts = [f"The number {number} follows." for number in range(9)]
    blocks = list(pack(texts, tokenizer, length=16))
    assert {len(block.input_ids) for block in blocks[:-1]} == {16}
    stream = [token for block in blocks for token in block.input_ids]
    assert tokenizer.decode(stream).split("<|im_end|>")[:-1] == texts
    assert all(block.labels == block.input_ids for block in blocks)


def test_a_model_learns_the_words_of_plain_text(tiny_base: Path, tmp_path: Path) -> None:
    rows = [{"text": f"The number {number + 1} follows {number}. " * 3} for number in range(20)]
    data = tmp_path / "texts.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    given = {
        "data": data,
        "eval_data": data,
        "model": str(tiny_base),
        "out": tmp_path / "adapter",
        "lora_rank": 4,
        "batch": 4,
        "learning_rate": 5e-3,
        "max_length": 64,
        "max_steps": 25,
    }
    events = list(train(load_config("cpt", None, given)))
    started, finished = events[0], events[-1]
    assert isinstance(started, Started)
    assert isinstance(finished, Finished)
    assert started.kind == "blocks"
    assert started.learned_tokens == started.tokens - started.rows
    progress = [event for event in events if isinstance(event, Progress)]
    assert finished.metrics["held_out_loss"] < 0.7 * progress[0].loss
    assert not (tmp_path / "adapter" / "chat_template.jinja").exists()
    assert finished.metrics["effects"]["tuned"]["distinct_2"] > 0


def test_files_without_text_are_refused(tiny_base: Path, tmp_path: Path) -> None:
    data = tmp_path / "empty.txt"
    data.write_text("", encoding="utf-8")
    given = {"data": data, "model": str(tiny_base), "out": tmp_path / "out"}
    with pytest.raises(ExampleError, match=r"empty\.txt"):
        list(train(load_config("cpt", None, given)))
