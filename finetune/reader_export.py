"""The reader's file: what tuning changed of its base, small enough to ship."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from finetune.errors import ModelError
from finetune.weights import State, write_weights

WEIGHTS = "reader.safetensors"
SETTINGS = "reader_config.json"
KEPT = ("bert.encoder.", "qa_outputs.")
"""Where BertForQuestionAnswering's names begin that are kept; the rest stays the base's."""


def write_reader(
    state: State, out: Path, *, base: str, max_length: int, facts: Mapping[str, Any] | None = None
) -> Path:
    """Write the kept entries of a state_dict in fp16, and the settings that loading them needs."""
    said = {"base": base, "max_length": max_length, **(facts or {})}
    return write_weights(_kept(state), out / WEIGHTS, out / SETTINGS, said)


def load_weights(model: torch.nn.Module, folder: Path, *, base: str) -> None:
    """Put a written reader's weights into a model that was loaded from `base`."""
    path = folder / WEIGHTS
    try:
        trained_on = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))["base"]
        weights = load_file(path)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ModelError(
            f"{folder} is no folder of a reader: {error!r}. Give one that an earlier run wrote, "
            f"with {WEIGHTS} and {SETTINGS}."
        ) from error
    if Path(trained_on).name != Path(base).name:  # the same base may be a name or a folder
        raise ModelError(
            f"The reader {folder} was trained on {trained_on}, this run's model is {base}. "
            f"Set model to {trained_on}."
        )
    expected = {name: value.shape for name, value in _kept(model.state_dict()).items()}
    differing = expected.items() ^ {name: value.shape for name, value in weights.items()}.items()
    if differing:
        raise ModelError(
            f"{path} does not fit {base}: {min(differing)[0]} and others are in one only, or of "
            "another size. Set model to the one that the reader was trained on."
        )
    model.load_state_dict(weights, strict=False)


@torch.no_grad()
def blend(model: torch.nn.Module, folder: Path, *, share: float) -> None:
    """Leave a model `share` of its weights and take the rest from a written reader's."""
    earlier = load_file(folder / WEIGHTS)
    for name, value in _kept(model.state_dict()).items():
        value.lerp_(earlier[name].to(value), 1 - share)


def _kept(state: State) -> dict[str, torch.Tensor]:
    return {name: value for name, value in state.items() if name.startswith(KEPT)}
