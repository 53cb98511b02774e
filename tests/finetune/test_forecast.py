from pathlib import Path
from typing import Any

import pytest

from finetune.forecast import forecast, less_memory, workload
from finetune.hardware import Gpu, Hardware
from finetune.method_config import TuneConfig, load_config
from finetune.shape import shape_of

SHAPE = shape_of("Qwen/Qwen3-4B")
LAPTOP = Hardware(cores=4, memory=16 * 10**9, gpus=(), bf16=True)
SMALL_GPU = Hardware(cores=8, memory=32 * 10**9, gpus=(Gpu("RTX 4060", 8 * 10**9),), bf16=True)


def settings(tmp_path: Path, **more: Any) -> TuneConfig:
    data = tmp_path / "talks.jsonl"
    data.write_text('{"text": "' + "word " * 2000 + '"}\n', encoding="utf-8")
    return load_config("sft", None, {"data": data, "model": "m", "out": "o"} | more)


def test_a_run_that_does_not_fit_says_what_would_help_the_most_first(tmp_path: Path) -> None:
    told = str(forecast(settings(tmp_path), SHAPE, SMALL_GPU))
    assert "of 8.0 GB" in told
    assert "That does not fit. What would help: quantize_4bit=true (about" in told


def test_a_run_that_fits_is_told_without_advice(tmp_path: Path) -> None:
    config = settings(tmp_path, quantize_4bit=True, max_length=512, lora_rank=8)
    told = str(forecast(config, SHAPE, SMALL_GPU))
    assert "does not fit" not in told
    assert "time: about" in told


def test_the_tokens_follow_from_the_files_and_the_epochs(tmp_path: Path) -> None:
    one = forecast(settings(tmp_path), SHAPE, LAPTOP).tokens
    assert one == pytest.approx(2500, rel=0.05)
    assert forecast(settings(tmp_path, epochs=3), SHAPE, LAPTOP).tokens == pytest.approx(3 * one, 1)


def test_only_settings_that_save_memory_are_advised(tmp_path: Path) -> None:
    full = less_memory(workload(settings(tmp_path, tuner="full"), LAPTOP), SHAPE)
    assert full[0].startswith("tuner=lora")
    small = settings(tmp_path, quantize_4bit=True, max_length=64, lora_rank=8)
    assert less_memory(workload(small, LAPTOP), SHAPE) == ()
