"""Precision: bf16 where the hardware computes in it, fp32 elsewhere, and never where it is off."""

from collections.abc import Callable

import pytest
import torch

from finetune.method_config import SftConfig
from finetune.precision import dtype_of, fast_dtype, in_bf16


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Stand on a machine without a GPU, whose CPU has the instructions or has them not."""

    def on(has_bf16: bool) -> None:
        monkeypatch.setattr("torch.cuda.is_available", lambda: False)
        monkeypatch.setattr("finetune.precision.has_bf16", lambda: has_bf16)

    return on


def config(**settings: object) -> SftConfig:
    return SftConfig.model_validate({"data": "rows.jsonl", "model": "m", "out": "o"} | settings)


def test_a_run_computes_in_bf16_where_the_cpu_does(cpu: Callable[[bool], None]) -> None:
    cpu(True)
    assert in_bf16(config())
    assert dtype_of(config()) == torch.bfloat16
    assert dtype_of(config(bf16=False)) == torch.float32


def test_a_cpu_that_would_emulate_it_computes_in_fp32(cpu: Callable[[bool], None]) -> None:
    cpu(False)
    assert not in_bf16(config())
    assert dtype_of(config()) == fast_dtype() == torch.float32


def test_a_gpu_computes_in_bf16(
    cpu: Callable[[bool], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    cpu(False)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert in_bf16(config())
