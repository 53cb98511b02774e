"""Precision: a run computes in bf16 where the hardware does, and in fp32 elsewhere."""

from typing import Protocol

import torch

from finetune.hardware import has_bf16


class _Settings(Protocol):
    @property
    def bf16(self) -> bool: ...


def fast_dtype() -> torch.dtype:
    """Return bf16 where the hardware computes in it, else fp32.

    A CPU without the instructions emulates it, and takes many times as long for a step as in fp32
    (`tests/bench/step_precision.py`).
    """
    return torch.bfloat16 if torch.cuda.is_available() or has_bf16() else torch.float32


def in_bf16(config: _Settings) -> bool:
    """Return whether a run computes in bf16: where its settings allow it and the hardware does."""
    return config.bf16 and fast_dtype() == torch.bfloat16


def dtype_of(config: _Settings) -> torch.dtype:
    """Return the precision that a run's frozen weights are held in."""
    return torch.bfloat16 if in_bf16(config) else torch.float32
