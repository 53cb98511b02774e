"""Weights: what tuning changed of its base, in fp16 and small enough to ship."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from finetune.errors import DivergedError
from finetune.run_folder import write

State = Mapping[str, torch.Tensor]


def write_weights(state: State, path: Path, settings: Path, said: Mapping[str, Any]) -> Path:
    """Write a state in fp16 to `path`, and what loading it needs to `settings`, as JSON."""
    weights = {
        name: value.detach().to("cpu", torch.float16).contiguous() for name, value in state.items()
    }
    for name, value in weights.items():
        if not torch.isfinite(value).all():
            raise DivergedError(
                f"{name} holds values that fp16 cannot (beyond 65504, or no number). "
                "Train again with a lower learning_rate."
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    write(settings, json.dumps(said, indent=2) + "\n")
    write(path, save(weights, metadata={"format": "pt"}))
    return path
