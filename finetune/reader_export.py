"""The reader's file: what tuning changed of its base, small enough to ship."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from finetune.errors import DivergedError, ModelError
from finetune.run_folder import write

WEIGHTS = "reader.safetensors"
SETTINGS = "reader_config.json"
KEPT = ("bert.encoder.", "qa_outputs.")
"""Where BertForQuestionAnswering's names begin that are kept; the rest stays the base's."""

State = Mapping[str, torch.Tensor]


def export_reader(
    model_folder: Path,
    base_folder: Path,
    out: Path,
    *,
    base: str,
    max_length: int = 320,
    facts: Mapping[str, Any] | None = None,
) -> Path:
    """Write what a BertForQuestionAnswering folder has beyond its base; return the weights' file.

    `base` is the name by which whoever loads the reader finds `base_folder` again, and `facts` goes
    into `reader_config.json` as it is. Raises ModelError where the embeddings are not the base's.
    """
    tuned, plain = _load(model_folder), _load(base_folder)
    if not any(name.startswith(KEPT[1]) for name in tuned):
        raise ModelError(
            f"{model_folder} has no qa_outputs, so it is no BertForQuestionAnswering. "
            "Give the folder that its save_pretrained wrote."
        )
    other = [name for name in tuned if not name.startswith(KEPT) and not _same(tuned, plain, name)]
    if other:
        raise ModelError(
            f"{model_folder} differs from {base_folder} in {len(other)} weights outside of the "
            f"encoder, such as {other[0]}. Give the base that it was tuned from, with its "
            "embeddings frozen."
        )
    return write_reader(tuned, out, base=base, max_length=max_length, facts=facts)


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
    temporary = path.with_name(f".{path.name}")
    temporary.write_bytes(save(weights, metadata={"format": "pt"}))
    temporary.replace(path)
    return path


def _load(folder: Path) -> dict[str, torch.Tensor]:
    path = folder / "model.safetensors"
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} does not load: {error}. Give a folder that has it.") from error


def _same(tuned: State, plain: State, name: str) -> bool:
    other = plain.get(name, plain.get(name.removeprefix("bert.")))
    if other is None:
        return name.endswith("position_ids")  # counted up anew by whoever loads the model
    value = tuned[name]
    return value.shape == other.shape and torch.equal(value.float(), other.float())
