import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("peft")

import torch
from peft import LoraConfig, get_peft_model
from peft.peft_model import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from finetune.conversion import convert, pad, truncated
from finetune.errors import ConversionError, ModelError
from finetune.neural import NeuralConfig, delta_weight

IDS = torch.arange(3, 43).reshape(2, 20)
NAME = "base_model.model.model.layers.0.self_attn.q_proj"


@pytest.fixture
def neural(tmp_path: Path) -> Callable[..., tuple[Path, torch.Tensor]]:
    """A function that writes a neural adapter on one layer; returns its folder and its dW."""

    def make(*, angle: float, rank: int = 8, size: int = 300) -> tuple[Path, torch.Tensor]:
        folder = tmp_path / "neural"
        config = NeuralConfig(
            r=rank, alpha=16.0, frequency=1.0, target_modules=["q_proj"], task_type="CAUSAL_LM"
        )
        torch.manual_seed(0)
        first, second = torch.randn(rank, size), torch.randn(size, rank)
        second *= angle / math.sqrt(rank)
        config.save_pretrained(str(folder))
        save_file(
            {f"{NAME}.neural_A": first, f"{NAME}.neural_B": second},
            folder / "adapter_model.safetensors",
        )
        return folder, delta_weight(first, second, config)

    return make


def product(folder: Path) -> torch.Tensor:
    weights = load_file(folder / "adapter_model.safetensors")
    settings = json.loads((folder / "adapter_config.json").read_text())
    scale = settings["lora_alpha"] / settings["r"]
    return scale * weights[f"{NAME}.lora_B.weight"] @ weights[f"{NAME}.lora_A.weight"]


@pytest.mark.parametrize(("angle", "rank"), [(0.05, 8), (0.6, 32), (1.0, 128)])
def test_the_smallest_rank_is_taken_that_keeps_the_energy(
    neural: Callable[..., Any], tmp_path: Path, angle: float, rank: int
) -> None:
    folder, delta = neural(angle=angle)
    told = convert(folder, tmp_path / "lora", energy=0.99)
    assert told.rank == rank
    assert told.kept >= 0.99
    gone = (delta - product(tmp_path / "lora")).square().sum() / delta.square().sum()
    assert told.kept == pytest.approx(1 - gone.item(), abs=1e-5)
    assert told.lowest == pytest.approx(told.kept)


def test_a_given_rank_is_kept_to_whatever_it_costs(
    neural: Callable[..., Any], tmp_path: Path
) -> None:
    folder, delta = neural(angle=2.0)
    told = convert(folder, tmp_path / "lora", rank=8)
    assert told.rank == 8
    best = torch.linalg.svdvals(delta).square()
    assert told.kept == pytest.approx((best[:8].sum() / best.sum()).item(), abs=2e-3)


def test_an_adapter_too_far_into_its_nonlinearity_is_not_converted(
    neural: Callable[..., Any], tmp_path: Path
) -> None:
    folder, _ = neural(angle=6.0, size=1200)
    with pytest.raises(ConversionError, match=r"rank 512 keeps .* Export it merged"):
        convert(folder, tmp_path / "lora")
    assert not (tmp_path / "lora").exists()


def test_the_same_adapter_becomes_the_same_file(neural: Callable[..., Any], tmp_path: Path) -> None:
    folder, _ = neural(angle=0.5)
    for out in ("a", "b"):
        convert(folder, tmp_path / out)
    first, second = (tmp_path / out / "adapter_model.safetensors" for out in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()


def test_what_it_writes_is_a_lora_that_any_server_reads(
    neural: Callable[..., Any], tmp_path: Path
) -> None:
    folder, _ = neural(angle=0.05)
    seen: list[tuple[int, int]] = []
    convert(folder, tmp_path / "lora", done=lambda at, of: seen.append((at, of)))
    assert seen == [(1, 1)]
    settings = json.loads((tmp_path / "lora" / "adapter_config.json").read_text())
    assert settings["peft_type"] == "LORA"
    assert (settings["r"], settings["lora_alpha"]) == (8, 8)
    assert settings["target_modules"] == ["q_proj"]
    assert settings["bias"] == "none"


def test_a_rank_above_the_matrix_is_filled_with_zeros() -> None:
    delta = torch.randn(5, 12)
    first, second = truncated(delta, 8)
    assert first.shape == (8, 12)
    assert second.shape == (5, 8)
    assert torch.allclose(second @ first, delta, atol=1e-5)
    assert not first[5:].any()


@pytest.mark.parametrize("rslora", [False, True])
def test_padding_changes_nothing_that_is_computed(
    tiny_base: Path, tmp_path: Path, rslora: bool
) -> None:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    settings = LoraConfig(
        r=12,
        lora_alpha=24,
        use_rslora=rslora,
        target_modules="all-linear",
        init_lora_weights=False,
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(model, settings).eval()
    model.save_pretrained(str(tmp_path / "a"))
    told = pad(tmp_path / "a", tmp_path / "b")
    assert (told.rank, told.kept) == (16, 1.0)
    base = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    padded = PeftModel.from_pretrained(base, str(tmp_path / "b")).eval()
    assert torch.allclose(padded(IDS).logits, model(IDS).logits, atol=1e-4)
    before, after = (load_file(tmp_path / x / "adapter_model.safetensors") for x in "ab")
    for name, value in before.items():
        kept = after[name][:12] if "lora_A" in name else after[name][:, :12]
        assert torch.equal(kept, value)


def test_what_cannot_be_converted_is_told_what_to_do(
    neural: Callable[..., Any], tmp_path: Path
) -> None:
    folder, _ = neural(angle=0.5)
    with pytest.raises(ConversionError, match="no plain LoRA of one rank: export it merged"):
        pad(folder, tmp_path / "x")
    lora = tmp_path / "lora"
    convert(folder, lora)
    with pytest.raises(ConversionError, match="only a neural one is converted"):
        convert(lora, tmp_path / "x")
    with pytest.raises(ConversionError, match="cannot be padded to 1"):
        pad(lora, tmp_path / "x", rank=1)
    with pytest.raises(ModelError, match="no adapter that loads"):
        convert(tmp_path, tmp_path / "x")
