from pathlib import Path
from typing import Any

from finetune.forecast import (
    Forecast,
    answers_of,
    forecast,
    less_memory,
    tokens_of,
    workload,
)
from finetune.hardware import Gpu, Hardware
from finetune.method_config import load_config
from finetune.preflight import Seen, look_at
from finetune.shape import shape_of
from finetune.tune_config import TuneConfig

SHAPE = shape_of("Qwen/Qwen3-4B")
LAPTOP = Hardware(cores=4, memory=16 * 10**9, gpus=(), bf16=True)
SMALL_GPU = Hardware(cores=8, memory=32 * 10**9, gpus=(Gpu("RTX 4060", 8 * 10**9),), bf16=True)


def settings(tmp_path: Path, **more: Any) -> TuneConfig:
    data = tmp_path / "talks.jsonl"
    data.write_text('{"text": "' + "word " * 800 + '"}\n', encoding="utf-8")
    return load_config("sft", None, {"data": data, "model": "m", "out": "o"} | more)


def foretold(config: TuneConfig, hardware: Hardware) -> Forecast:
    return forecast(config, SHAPE, hardware, look_at(config))


def test_a_run_that_does_not_fit_says_what_would_help_the_most_first(tmp_path: Path) -> None:
    told = str(foretold(settings(tmp_path), SMALL_GPU))
    assert "of 8.0 GB" in told
    assert "That does not fit. What would help: quantize_4bit=true (about" in told


def test_a_run_that_fits_is_told_without_advice(tmp_path: Path) -> None:
    config = settings(tmp_path, quantize_4bit=True, max_length=512, lora_rank=8)
    told = str(foretold(config, SMALL_GPU))
    assert "does not fit" not in told
    assert "time: about" in told


def test_the_tokens_follow_from_the_files_and_the_epochs(tmp_path: Path) -> None:
    one = foretold(settings(tmp_path), LAPTOP).tokens
    assert one == 1000
    assert foretold(settings(tmp_path, epochs=3), LAPTOP).tokens == 3 * one
    assert foretold(settings(tmp_path, max_steps=5, batch=2), LAPTOP).tokens == 10 * one


def test_of_a_text_that_is_too_long_no_more_counts_than_goes_in(tmp_path: Path) -> None:
    assert foretold(settings(tmp_path, max_length=128), LAPTOP).tokens == 128


def test_the_answers_that_ppo_and_grpo_write_follow_from_rows_and_epochs() -> None:
    given = {"data": "asked.jsonl", "model": "m", "out": "o"}
    seen = Seen(rows=100, tokens=2000)
    ppo = load_config("ppo", None, given | {"epochs": 2, "rewards": "judge"})
    # two times a hundred prompts fill four rollouts of 64, each learned from twice
    assert answers_of(ppo, seen) == 256
    assert tokens_of(ppo, seen) == 2 * 256 * (20 + 64)
    assert answers_of(ppo.model_copy(update={"max_steps": 9}), seen) == 128
    grpo = load_config("grpo", None, given | {"generations": 4, "max_length": 512})
    assert answers_of(grpo, Seen(100, 100 * 512)) == 400
    assert tokens_of(grpo, Seen(100, 100 * 512)) == 400 * 512


def test_only_settings_that_save_memory_are_advised(tmp_path: Path) -> None:
    full = less_memory(workload(settings(tmp_path, tuner="full"), LAPTOP), SHAPE)
    assert full[0].startswith("tuner=lora")
    small = settings(tmp_path, quantize_4bit=True, max_length=64, lora_rank=8)
    assert less_memory(workload(small, LAPTOP), SHAPE) == ()
