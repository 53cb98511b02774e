import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stopped_runs import stop_after

pytest.importorskip("trl")

from finetune.base_model import load_tokenizer
from finetune.errors import ExampleError
from finetune.events import Finished, Progress, Started
from finetune.method_config import load_config
from finetune.methods.cpt import pack
from finetune.training import train
from finetune.tune_config import TuneConfig


def test_texts_are_packed_into_full_blocks_and_nothing_is_lost(tiny_base: Path) -> None:
    tokenizer = load_tokenizer(tiny_base)
    texts = [f"The number {number} follows." for number in range(9)]
    blocks = list(pack(texts, tokenizer, length=16))
    assert {len(block.input_ids) for block in blocks[:-1]} == {16}
    stream = [token for block in blocks for token in block.input_ids]
    assert tokenizer.decode(stream).split("<|im_end|>")[:-1] == texts
    assert all(block.labels == block.input_ids for block in blocks)


def test_one_long_text_is_packed_like_many_short_ones(tiny_base: Path) -> None:
    tokenizer = load_tokenizer(tiny_base)
    text = " ".join(f"The number {number} follows." for number in range(40))
    blocks = list(pack([text], tokenizer, length=16))
    stream = [token for block in blocks for token in block.input_ids]
    assert {len(block.input_ids) for block in blocks[:-1]} == {16}
    assert tokenizer.decode(stream) == f"{text}<|im_end|>"


@pytest.fixture
def settings(tiny_base: Path, tmp_path: Path) -> Callable[..., TuneConfig]:
    rows = [{"text": f"The number {number + 1} follows {number}. " * 3} for number in range(20)]
    data = tmp_path / "texts.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    def make(**changed: Any) -> TuneConfig:
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
        return load_config("cpt", None, given | changed)

    return make


def test_a_model_learns_the_words_of_plain_text(
    settings: Callable[..., TuneConfig], tmp_path: Path
) -> None:
    events = list(train(settings()))
    started, finished = events[0], events[-1]
    assert isinstance(started, Started)
    assert isinstance(finished, Finished)
    assert started.kind == "blocks"
    assert started.learned_tokens == started.tokens - started.rows
    progress = [event for event in events if isinstance(event, Progress)]
    assert finished.metrics["held_out_loss"] < 0.7 * progress[0].loss
    assert not (tmp_path / "adapter" / "chat_template.jinja").exists()
    assert finished.metrics["effects"]["tuned"]["distinct_2"] > 0


def test_a_stopped_run_goes_on_with_the_losses_of_one_that_was_not(
    settings: Callable[..., TuneConfig], tmp_path: Path
) -> None:
    config = settings(max_steps=6, save_every=2, effects=False)
    stop_after(2, train(config))
    started = next(iter(resumed := train(config, resume=True)))
    assert isinstance(started, Started)
    assert 2 <= started.first_step < 6
    list(resumed)
    list(train(settings(max_steps=6, effects=False, out=tmp_path / "whole")))

    def losses(folder: Path) -> list[float]:
        lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line)["loss"] for line in lines]

    assert losses(config.out) == pytest.approx(losses(tmp_path / "whole"), abs=1e-5)


def test_files_without_text_are_refused(tiny_base: Path, tmp_path: Path) -> None:
    data = tmp_path / "empty.txt"
    data.write_text("", encoding="utf-8")
    given = {"data": data, "model": str(tiny_base), "out": tmp_path / "out"}
    with pytest.raises(ExampleError, match=r"empty\.txt"):
        list(train(load_config("cpt", None, given)))
