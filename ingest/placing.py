"""Placing: small models are loaded in silence, and run where they are fastest."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def placed(model: Any) -> Any:
    """Put the model where it runs fastest, and in bf16 where that is the faster one."""
    import torch

    if torch.cuda.is_available():
        return model.to("cuda", torch.bfloat16)
    # Faster than fp32 on a CPU that has the instructions, and much slower on others.
    if torch.cpu.get_capabilities().get("avx512_bf16"):
        return model.to(torch.bfloat16)
    return model


@contextmanager
def without_bar() -> Iterator[None]:
    """Keep transformers from drawing on the terminal while it loads."""
    from transformers.utils import logging

    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if bars:
            logging.enable_progress_bar()
