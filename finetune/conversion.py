"""Conversion: a neural adapter becomes an ordinary LoRA, or a LoRA's rank one that vLLM takes.

Both need the adapter's files alone, no model.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import LoraConfig, PeftConfig
from safetensors.torch import load_file, save

from finetune.continuing import ADAPTER_WEIGHTS
from finetune.errors import ConversionError, ModelError
from finetune.neural import NeuralConfig, delta_weight
from finetune.run_folder import write
from finetune.servability import MAX_LORA_RANKS, next_rank

ENERGY = 0.99
SPARE = 16
"""Directions more than are kept, by which the randomised SVD finds those exactly enough."""

Weights = dict[str, torch.Tensor]
Done = Callable[[int, int], None]


@dataclass(frozen=True)
class Converted:
    """What became of an adapter: its rank now, and which share of dW's energy that rank keeps.

    `kept` is over all layers, 1 - sum |dW - BA|^2 / sum |dW|^2; `lowest` is the worst layer's.
    """

    rank: int
    kept: float = 1.0
    lowest: float = 1.0
    layer: str | None = None


def convert(
    adapter: Path,
    out: Path,
    *,
    energy: float = ENERGY,
    rank: int | None = None,
    done: Done | None = None,
) -> Converted:
    """Write a neural adapter as an ordinary LoRA into `out`, by SVD (Eckart and Young 1936).

    Without `rank` it is the smallest that vLLM takes and that keeps `energy`; raise ConversionError
    where none does. `done` is told how many of how many layers are through.
    """
    config, layers = _read_neural(adapter)
    largest = max(min(a.shape[1], b.shape[0]) for a, b in layers.values())
    ranks = [rank] if rank else [r for r in MAX_LORA_RANKS if r >= config.r]
    for each in ranks:
        weights, told = _decompose(layers, config, each, done)
        if rank or told.kept >= energy:
            _write_lora(weights, config, each, out)
            return told
        if each >= largest:
            break
    raise ConversionError(
        f"A LoRA of rank {told.rank} keeps {told.kept:.1%} of {adapter}'s energy, less than "
        f"{energy:.1%} (the worst layer is {told.layer}, {told.lowest:.1%}). Export it merged, ask "
        f"for less energy, or train with a lower frequency than {config.frequency:g}."
    )


def pad(adapter: Path, out: Path, *, rank: int | None = None) -> Converted:
    """Write a LoRA with zeros up to a rank that vLLM takes; what it computes stays bit for bit."""
    config = _read_config(adapter)
    if not isinstance(config, LoraConfig) or config.rank_pattern or config.use_dora:
        raise ConversionError(f"{adapter} is no plain LoRA of one rank: export it merged.")
    wanted = rank or next_rank(config.r)
    if wanted < config.r:
        raise ConversionError(f"{adapter} has rank {config.r}: it cannot be padded to {wanted}.")
    weights = {}
    for name, value in load_file(adapter / ADAPTER_WEIGHTS).items():
        side = 0 if ".lora_A." in name else 1
        shape = list(value.shape)
        shape[side] = wanted - shape[side]
        weights[name] = torch.cat([value, value.new_zeros(shape)], dim=side)
    ratio = wanted / config.r
    config.lora_alpha = _whole(config.lora_alpha * (ratio**0.5 if config.use_rslora else ratio))
    config.r = wanted
    _write(weights, config, out)
    return Converted(wanted)


def _whole(value: float) -> int:
    """Return alpha, which the configuration declares an int and every reader divides as a float."""
    return round(value) if value == round(value) else value  # type: ignore[return-value]


def _read_config(adapter: Path) -> PeftConfig:
    try:
        return PeftConfig.from_pretrained(str(adapter))
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{adapter} holds no adapter that loads: {error}") from error


def _read_neural(
    adapter: Path,
) -> tuple[NeuralConfig, Mapping[str, tuple[torch.Tensor, torch.Tensor]]]:
    config = _read_config(adapter)
    if not isinstance(config, NeuralConfig):
        raise ConversionError(
            f"{adapter} is a {config.peft_type} adapter; only a neural one is converted. Export "
            "it as it is, or merged."
        )
    weights = load_file(adapter / ADAPTER_WEIGHTS)
    names = [name.removesuffix(".neural_A") for name in weights if name.endswith(".neural_A")]
    if not names:
        raise ModelError(f"{adapter / ADAPTER_WEIGHTS} holds no neural weights.")
    pairs = {name: (weights[f"{name}.neural_A"], weights[f"{name}.neural_B"]) for name in names}
    return config, pairs


def _decompose(
    layers: Mapping[str, tuple[torch.Tensor, torch.Tensor]],
    config: NeuralConfig,
    rank: int,
    done: Done | None,
) -> tuple[Weights, Converted]:
    weights: Weights = {}
    total = lost = 0.0
    lowest, layer = 1.0, None
    for number, (name, (first, second)) in enumerate(layers.items(), start=1):
        delta = delta_weight(first, second, config)
        lora_a, lora_b = truncated(delta, rank)
        energy = delta.square().sum().item()
        gone = (delta - lora_b @ lora_a).square().sum().item()
        total, lost = total + energy, lost + gone
        if energy and 1 - gone / energy < lowest:
            lowest, layer = 1 - gone / energy, name.removeprefix("base_model.model.")
        weights[f"{name}.lora_A.weight"] = lora_a
        weights[f"{name}.lora_B.weight"] = lora_b
        if done:
            done(number, len(layers))
    kept = 1 - lost / total if total else 1.0
    return weights, Converted(rank, kept, lowest, layer)


def truncated(delta: torch.Tensor, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return A (rank x in) and B (out x rank) whose product is nearest to delta, in fp32.

    Beyond what the matrix has, the rank is filled with zeros. A rank well below the matrix's is
    found by the randomised SVD of Halko et al. 2011, the same way each time.
    """
    side = min(delta.shape)
    kept = min(rank, side)
    if 2 * (rank + SPARE) < side:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            left, values, right = torch.svd_lowrank(delta, q=rank + SPARE, niter=4)
            right = right.T
    else:
        left, values, right = torch.linalg.svd(delta, full_matrices=False)
    root = values[:kept].sqrt()
    first = delta.new_zeros(rank, delta.shape[1])
    second = delta.new_zeros(delta.shape[0], rank)
    first[:kept] = root[:, None] * right[:kept]
    second[:, :kept] = left[:, :kept] * root
    return first, second


def _write_lora(weights: Weights, config: NeuralConfig, rank: int, out: Path) -> None:
    settings = LoraConfig(
        task_type=config.task_type,
        r=rank,
        lora_alpha=rank,
        target_modules=_listed(config.target_modules),
        exclude_modules=_listed(config.exclude_modules),
        base_model_name_or_path=config.base_model_name_or_path,
        inference_mode=True,
    )
    _write(weights, settings, out)


def _listed(names: list[str] | set[str] | str | None) -> list[str] | str | None:
    return sorted(names) if isinstance(names, list | set) else names


def _write(weights: Weights, settings: LoraConfig, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    contiguous = {name: value.contiguous() for name, value in weights.items()}
    write(out / ADAPTER_WEIGHTS, save(contiguous, metadata={"format": "pt"}))
    settings.save_pretrained(str(out))
