"""The reader's file: what tuning changed of its base, small enough to ship."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from finetune.errors import DivergedError
from finetune.run_folder import write

WEIGHTS = "reader.safetensors"
SETTINGS = "reader_config.json"
KEPT = ("bert.encoder.", "qa_outputs.")
"""Where BertForQuestionAnswering's names begin that are kept; the rest stays the base's."""

State = Mapping[str, torch.Tensor]


def write_reader(
    state: State, out: Path, *, base: str, max_length: int, facts: Mapping[str, Any] | None = None
) -> Path:
    """Write the kept entries of a state_dict in fp16, and the settings that loading them needs."""
    weights = {
        name: value.detach().to("cpu", torch.float16).contiguous()
        for name, value in state.items()
        if name.startswith(KEPT)
    }
    for name, value in weights.items():
        if not torch.isfinite(value).all():
            raise DivergedError(
                f"{name} holds values that fp16 cannot (beyond 65504, or no number). "
                "Train again with a lower learning_rate."
            )
    out.mkdir(parents=True, exist_ok=True)
    settings = {"base": base, "max_length": max_length, **(facts or {})}
    write(out / SETTINGS, json.dumps(settings, indent=2) + "\n")
    path = out / WEIGHTS
    write(path, save(weights, metadata={"format": "pt"}))
    return path
