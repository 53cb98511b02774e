"""The router's file: what tuning changed of its base, small enough to ship."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from finetune.weights import write_weights

WEIGHTS = "router.safetensors"
SETTINGS = "router_config.json"


def write_router(
    model: torch.nn.Module,
    out: Path,
    *,
    base: str,
    labels: Sequence[str],
    max_length: int,
    layers: int,
    facts: Mapping[str, Any] | None = None,
) -> Path:
    """Write the trainable weights in fp16, and the settings that loading them needs."""
    trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    said = {"base": base, "labels": list(labels), "max_length": max_length, "layers": layers}
    return write_weights(trained, out / WEIGHTS, out / SETTINGS, said | dict(facts or {}))
