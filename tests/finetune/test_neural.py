import copy
import math
import pickle
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("peft")

import torch
from peft import PeftConfig, get_peft_model
from peft.peft_model import PeftModel
from peft.tuners.lora.conversion import save_as_lora
from torch.nn import functional
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from finetune.neural import NeuralConfig, NeuralLinear, angles, neural_config

IDS = torch.arange(3, 43).reshape(2, 20)


def base(folder: Path, *, four_bits: bool = False, dtype: torch.dtype = torch.float32) -> Any:
    quantization = None
    if four_bits:
        quantization = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, quantization_config=quantization
    )


def adapted(model: Any, **changed: Any) -> PeftModel:
    settings = {"rank": 4, "alpha": 8.0, "target_modules": "all-linear", "frequency": 5.0}
    settings |= changed
    return get_peft_model(model, neural_config(**settings))


def randomise(model: PeftModel, seed: int = 0, deviation: float = 0.1) -> PeftModel:
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, NeuralLinear):
            for weight in module.neural_B.values():
                weight.data.normal_(0, deviation, generator=generator)
    return model


def layer(rank: int, size: int, frequency: float) -> NeuralLinear:
    config = NeuralConfig(r=rank, alpha=2.0 * rank, frequency=frequency)
    torch.manual_seed(1)
    made = NeuralLinear(torch.nn.Linear(size, size, bias=False), "default", config)
    torch.manual_seed(0)
    torch.nn.init.normal_(made.neural_A["default"])
    torch.nn.init.normal_(made.neural_B["default"])
    return made


def test_an_untrained_adapter_changes_nothing(tiny_base: Path) -> None:
    plain = base(tiny_base)(IDS).logits
    model = adapted(base(tiny_base))
    assert torch.equal(model(IDS).logits, plain)
    assert max(angles(model).values()) == 0


def test_the_update_is_the_formula() -> None:
    made = layer(2, 8, 0.5)
    first, second = made.neural_A["default"], made.neural_B["default"]
    by_hand = 4 / (2 * 0.5) * torch.sin(0.5 * second @ first)
    assert torch.allclose(made.get_delta_weight("default"), by_hand, atol=1e-6)
    x = torch.randn(3, 8)
    expected = made.base_layer(x) + x @ by_hand.T
    assert torch.allclose(made(x), expected, atol=1e-5)
    rms = (0.5 * second @ first).square().mean().sqrt().item()
    assert made.angle_rms("default") == pytest.approx(rms, rel=1e-5)


def test_the_gradient_goes_through_the_sine_as_finite_differences_say() -> None:
    made = layer(2, 5, 0.7).double()
    x = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    made(x).square().sum().backward()
    weight = made.neural_B["default"]
    step = 1e-3  # the angles are computed in fp32
    got, by_hand = weight.grad.clone(), torch.zeros_like(weight)
    with torch.no_grad():
        for at in range(weight.numel()):
            flat = weight.view(-1)
            before = flat[at].item()
            flat[at] = before + step
            above = made(x).square().sum()
            flat[at] = before - step
            below = made(x).square().sum()
            flat[at] = before
            by_hand.view(-1)[at] = (above - below) / (2 * step)
    assert torch.allclose(got, by_hand, rtol=2e-2, atol=1e-2 * by_hand.abs().max().item())


def test_at_the_start_its_gradient_is_a_loras_whatever_the_frequency() -> None:
    x, target = torch.randn(6, 8), torch.randn(6, 8)
    gradients = []
    for frequency in (1.0, 500.0):
        made = layer(2, 8, frequency)
        made.neural_B["default"].data.zero_()
        functional.mse_loss(made(x), target).backward()
        gradients.append(made.neural_B["default"].grad)
    error = 2 * (made.base_layer(x) - target) / target.numel()
    lora = 2.0 * error.T @ x @ made.neural_A["default"].T
    assert torch.allclose(gradients[0], gradients[1], rtol=1e-4, atol=1e-6)
    assert torch.allclose(gradients[0], lora, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("four_bits", "dtype"), [(False, "float32"), (False, "bfloat16"), (True, "bfloat16")]
)
def test_it_learns_on_a_plain_and_on_a_4_bit_base(
    tiny_base: Path, four_bits: bool, dtype: str
) -> None:
    torch.manual_seed(0)
    model = adapted(base(tiny_base, four_bits=four_bits, dtype=getattr(torch, dtype))).train()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    assert {weight.dtype for weight in weights} == {torch.float32}
    optimizer = torch.optim.AdamW(weights, lr=5e-3)
    losses = []
    for _ in range(40):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == "bfloat16"):
            loss = model(IDS, labels=IDS).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    assert 0 < max(angles(model).values()) < 10


def test_merging_leaves_the_outputs_as_they_were_and_can_be_undone(tiny_base: Path) -> None:
    plain = base(tiny_base)(IDS).logits
    model = randomise(adapted(base(tiny_base))).eval()
    before = model(IDS).logits
    assert (before - plain).abs().max() > 0.1
    model.merge_adapter()
    assert torch.allclose(model(IDS).logits, before, atol=1e-4)
    model.unmerge_adapter()
    assert torch.allclose(model(IDS).logits, before, atol=1e-4)
    with model.disable_adapter():
        assert torch.allclose(model(IDS).logits, plain, atol=1e-4)
    merged = model.merge_and_unload(safe_merge=True)
    assert not any(isinstance(module, NeuralLinear) for module in merged.modules())
    assert torch.allclose(merged(IDS).logits, before, atol=1e-4)


def test_a_broken_adapter_is_not_merged_safely(tiny_base: Path) -> None:
    model = adapted(base(tiny_base))
    next(w for n, w in model.named_parameters() if "neural_B" in n).data.fill_(float("nan"))
    with pytest.raises(ValueError, match="NaN or infinity"):
        model.merge_and_unload(safe_merge=True)


def test_a_4_bit_base_is_merged_and_quantised_anew(tiny_base: Path) -> None:
    model = adapted(base(tiny_base, four_bits=True, dtype=torch.bfloat16)).train()
    randomise(model, deviation=0.5)
    before = model(IDS).logits
    with model.disable_adapter():
        plain = model(IDS).logits
    merged = model.merge_and_unload()(IDS).logits
    assert (merged - before).abs().mean() < 0.75 * (plain - before).abs().mean()


def test_peft_saves_and_loads_it_in_its_own_files(tiny_base: Path, tmp_path: Path) -> None:
    model = randomise(adapted(base(tiny_base), frequency=50.0)).eval()
    model.save_pretrained(str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} >= {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    config = PeftConfig.from_pretrained(str(tmp_path))
    assert isinstance(config, NeuralConfig)
    assert (config.r, config.alpha, config.frequency) == (4, 8.0, 50.0)
    again = PeftModel.from_pretrained(base(tiny_base), str(tmp_path)).eval()
    assert torch.equal(again(IDS).logits, model(IDS).logits)
    assert not any(weight.requires_grad for weight in again.parameters())
    assert pickle.loads(pickle.dumps(config)).peft_type == config.peft_type


def test_two_adapters_live_on_one_base(tiny_base: Path) -> None:
    model = adapted(base(tiny_base))
    model.add_adapter("other", copy.deepcopy(model.peft_config["default"]))
    randomise(model)
    with torch.no_grad():
        first = model(IDS).logits
        model.set_adapter("other")
        second = model(IDS).logits
    assert not torch.equal(first, second)
    with pytest.warns(UserWarning, match="Setting active adapter to default"):
        model.delete_adapter("other")
    assert angles(model, "other") == {}


def test_dropout_is_only_for_training(tiny_base: Path) -> None:
    model = randomise(adapted(base(tiny_base), dropout=0.5))
    assert not torch.equal(model.train()(IDS).logits, model(IDS).logits)
    assert torch.equal(model.eval()(IDS).logits, model(IDS).logits)


@pytest.mark.parametrize("angle", [0.3, 0.7, 1.5])
def test_its_own_rank_keeps_the_share_of_energy_that_the_docstring_promises(angle: float) -> None:
    made = layer(32, 512, 1.0)
    made.frequency["default"] = angle / made.angle_rms("default")
    values = torch.linalg.svdvals(made.get_delta_weight("default")).square()
    kept = (values[:32].sum() / values.sum()).item()
    promised = angle**2 / math.sinh(angle**2)
    assert promised - 0.01 < kept < promised + 0.12


def test_pefts_own_conversion_makes_a_lora_of_it(tiny_base: Path, tmp_path: Path) -> None:
    model = randomise(adapted(base(tiny_base))).eval()
    save_as_lora(str(tmp_path), model, rank=16)
    lora = PeftModel.from_pretrained(base(tiny_base), str(tmp_path)).eval()
    assert torch.allclose(lora(IDS).logits, model(IDS).logits, atol=1e-2)


def test_the_gradient_is_computed_without_keeping_anything_as_large_as_the_weight() -> None:
    made = layer(2, 64, 1.0)
    kept: list[int] = []

    def note(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.numel())
        return tensor

    made.base_layer.requires_grad_(False)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        made(torch.randn(3, 64)).sum()
    assert max(kept, default=0) < 64 * 64


@pytest.mark.parametrize("wrong", [{"r": 0}, {"frequency": 0.0}, {"alpha": -1.0}])
def test_numbers_that_make_no_adapter_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        NeuralConfig(**wrong)


def test_a_module_that_is_not_linear_is_refused_by_name(tiny_base: Path) -> None:
    model = base(tiny_base)
    model.model.layers[0].self_attn.q_proj = torch.nn.Identity()
    with pytest.raises(TypeError, match="q_proj is a Identity, not a linear layer"):
        adapted(model, target_modules=["q_proj"])
