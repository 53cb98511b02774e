"""Probe: how fast this machine's CPU really multiplies, measured in a second or two."""

import time
from collections.abc import Callable

import torch
from torch.nn import functional

from finetune.duration import UTILISATION, UTILISATION_IN_FP32, Speed
from finetune.precision import fast_dtype

SECONDS = 0.6
ROWS, WIDTH, OUT = 512, 1024, 2048
COPIED = 64 * 1024**2


def probe_cpu() -> Speed:
    """Measure matrix products and copies with torch's threads; training gets a share of those."""
    dtype = fast_dtype()
    rows, weight = torch.randn(ROWS, WIDTH).to(dtype), torch.randn(OUT, WIDTH).to(dtype)
    with torch.no_grad():
        products = _rate(lambda: functional.linear(rows, weight))
        source, target = torch.zeros(COPIED, dtype=torch.uint8), torch.empty(COPIED).byte()
        copies = _rate(lambda: target.copy_(source))
    threads = torch.get_num_threads()
    in_bf16 = dtype == torch.bfloat16
    name, share = ("bf16", UTILISATION) if in_bf16 else ("fp32", UTILISATION_IN_FP32)
    return Speed(
        share * products * 2 * ROWS * WIDTH * OUT,
        copies * 2 * COPIED,
        f"{threads} CPU threads in {name}, measured",
    )


def _rate(work: Callable[[], object]) -> float:
    """Return how often a second a piece of work is done, its first time left out."""
    work()
    begun, times = time.perf_counter(), 0
    while time.perf_counter() - begun < SECONDS:
        work()
        times += 1
    return times / (time.perf_counter() - begun)
