"""The estimate of memory and time, against what autograd keeps and what is known of real runs."""

from dataclasses import replace
from typing import Any

import pytest

from finetune.duration import Speed, flops_per_token, speed_of
from finetune.errors import ConfigError
from finetune.estimate import FOUR_BITS, activations, estimate, memory_of
from finetune.hardware import Gpu, Hardware
from finetune.shape import ModelShape, shape_of
from finetune.workload import Workload, workload_of

SMALL = ModelShape("small", 4, 96, 256, 6, 2, 16, 512, 512)
GPU = Workload(device="cuda")
LAPTOP = Hardware(4, 8 * 10**9, bf16=True)
LLAMA = shape_of("meta-llama/Llama-3.1-8B-Instruct")


def kept(tuner: str, shape: ModelShape, *, rank: int, length: int) -> int:
    """Return the bytes that autograd really keeps in one forward pass of that shape."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        tie_word_embeddings=True,
    )
    model: Any = LlamaForCausalLM(config)
    if tuner != "full":
        model = model.to(torch.bfloat16)
        lora = LoraConfig(r=rank, target_modules="all-linear", use_dora=tuner == "dora")
        model = get_peft_model(model, lora)
        for weight in model.parameters():
            if weight.requires_grad:
                weight.data = weight.data.float()
    model.train()
    own = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    storages: dict[int, Any] = {}

    def keep(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage
        return tensor

    ids = torch.zeros(1, length, dtype=torch.long)
    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    with hooks, torch.autocast("cpu", dtype=torch.bfloat16):
        model(input_ids=ids, use_cache=False, logits_to_keep=1)
    return sum(storage.nbytes() for storage in storages.values())


@pytest.mark.parametrize("tuner", ["lora", "dora", "full"])
def test_the_activations_are_those_that_autograd_keeps(tuner: Any) -> None:
    work = Workload(tuner=tuner, rank=8, length=256)
    deep, flat = replace(SMALL, layers=4), replace(SMALL, layers=2)
    real = kept(tuner, deep, rank=8, length=256) - kept(tuner, flat, rank=8, length=256)
    assert activations(work, deep) - activations(work, flat) == pytest.approx(real, rel=0.02)


def test_what_is_trained_is_counted_as_peft_counts_it(tiny_base: Any) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    shape = shape_of(tiny_base)
    for dora in (False, True):
        lora = LoraConfig(r=4, target_modules="all-linear", use_dora=dora)
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(tiny_base), lora)
        trained = sum(each.numel() for each in model.parameters() if each.requires_grad)
        work = Workload(tuner="dora" if dora else "lora", rank=4)
        assert work.trained(shape) == trained


def test_the_published_lora_of_llama_has_the_known_number_of_parameters() -> None:
    assert Workload(rank=16).trained(LLAMA) == 41_943_040
    assert Workload(rank=16, targets="attention").trained(LLAMA) == 32 * 16 * 18_432


def test_nf4_with_double_quantisation_takes_4_127_bits_a_parameter() -> None:
    assert pytest.approx(4.127, abs=0.001) == FOUR_BITS * 8


def test_full_tuning_takes_sixteen_bytes_a_parameter_before_any_activation() -> None:
    memory = memory_of(replace(GPU, tuner="full"), LLAMA)
    standing = memory.weights + memory.gradients + memory.optimizer
    assert standing == 16 * LLAMA.parameters
    assert memory.adapter == 0


def test_four_bits_shrink_the_linear_weights_and_leave_the_embeddings() -> None:
    plain = memory_of(GPU, LLAMA).weights
    packed = memory_of(replace(GPU, quantize_4bit=True), LLAMA).weights
    assert plain == 2 * LLAMA.parameters
    assert 0.3 < packed / plain < 0.4


def test_qlora_of_8b_fits_24_gb_and_full_tuning_does_not() -> None:
    assert memory_of(replace(GPU, quantize_4bit=True, length=2048), LLAMA).total < 0.9 * 24e9
    assert memory_of(replace(GPU, tuner="full"), LLAMA).total > 80e9


@pytest.mark.parametrize(
    ("more", "part"),
    [
        ({"rank": 64}, "adapter"),
        ({"rank": 64}, "optimizer"),
        ({"rank": 64}, "gradients"),
        ({"length": 2048}, "activations"),
        ({"micro_batch": 2}, "activations"),
        ({"method": "orpo"}, "activations"),
        ({"micro_batch": 2}, "logits"),
        ({"method": "dpo"}, "reference"),
        ({"method": "reward"}, "value_head"),
        ({"method": "grpo"}, "cache"),
        ({"tuner": "dora"}, "activations"),
        ({"checkpointing": False}, "activations"),
    ],
)
def test_what_asks_for_more_takes_more(more: dict[str, Any], part: str) -> None:
    base = replace(GPU, length=1024, learned=0.5)
    before, after = (memory_of(each, LLAMA) for each in (base, replace(base, **more)))
    assert getattr(after, part) > getattr(before, part)
    assert after.total > before.total or part in ("logits", "value_head")


def test_the_reference_of_full_tuning_is_a_second_model_and_of_an_adapter_an_adapter() -> None:
    full = memory_of(Workload(method="dpo", tuner="full"), SMALL)
    adapter = memory_of(Workload(method="dpo", rank=8), SMALL)
    assert full.reference == full.weights
    assert adapter.reference == adapter.adapter


def test_the_parts_add_up_and_the_largest_comes_first() -> None:
    memory = memory_of(GPU, LLAMA)
    assert memory.parts[0][0] == "weights"
    assert sum(size for _, size in memory.parts) == pytest.approx(memory.total, abs=10)


def test_the_settings_of_a_run_become_its_workload() -> None:
    settings = {
        "data": ["a.jsonl"],
        "lora_rank": 8,
        "target_modules": ["q_proj", "v_proj"],
        "quantize_4bit": True,
        "batch": 4,
        "max_length": 512,
        "learning_rate": 1e-4,
    }
    work = workload_of(settings, method="sft", hardware=LAPTOP)
    assert work == Workload(
        rank=8, targets=("q_proj", "v_proj"), quantize_4bit=True, batch=4, length=512
    )
    assert set(work.adapted(SMALL)) == {"q_proj", "v_proj"}


def test_a_cpu_that_would_emulate_bf16_is_counted_in_fp32() -> None:
    old, new = (
        workload_of({"bf16": True}, method="sft", hardware=Hardware(4, 10**10, bf16=bf16))
        for bf16 in (False, True)
    )
    assert (old.bf16, new.bf16) == (False, True)
    weights = [memory_of(each, SMALL).weights for each in (old, new)]
    assert weights[0] == 2 * weights[1]
    four_bits = [memory_of(replace(each, quantize_4bit=True), SMALL).weights for each in (old, new)]
    assert weights[1] > four_bits[0] > four_bits[1]


def test_an_unknown_method_or_optimizer_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="No method 'magic'"):
        workload_of({}, method="magic", hardware=LAPTOP)
    with pytest.raises(ConfigError, match="optimizer='magic'"):
        memory_of(Workload(optimizer="magic"), SMALL)


def test_a_token_of_full_tuning_costs_about_six_operations_a_parameter() -> None:
    work = Workload(tuner="full", length=128, device="cpu")
    assert flops_per_token(work, LLAMA) == pytest.approx(6 * LLAMA.parameters, rel=0.1)


def test_a_token_of_lora_costs_about_two_thirds_of_that() -> None:
    lora, full = (
        flops_per_token(Workload(tuner=tuner, rank=8, length=128), LLAMA)
        for tuner in ("lora", "full")
    )
    assert 0.6 < lora / full < 0.72


def test_generating_methods_take_the_time_of_their_answers_too() -> None:
    speed = Speed(1e14, 1e12, "made up")
    work = Workload(method="grpo", device="cuda", batch=1, generations=8)
    without = estimate(work, LLAMA, tokens=10**6, speed=speed)
    with_answers = estimate(work, LLAMA, tokens=10**6, speed=speed, sequences=4000)
    answers = 4000 / 8 * 256 * 2 * LLAMA.parameters / 1e12
    assert with_answers.seconds - without.seconds == pytest.approx(answers)


def test_a_known_gpu_is_looked_up_and_an_unknown_one_is_taken_for_a_slow_one() -> None:
    a100 = speed_of(Hardware(8, 10**11, (Gpu("NVIDIA A100-SXM4-80GB", 80 * 10**9),)))
    assert a100.flops == pytest.approx(0.35 * 312e12)
    assert "35% of its peak" in a100.source
    strange = speed_of(Hardware(8, 10**11, (Gpu("Mystery 9000", 10**10),)))
    assert "unknown GPU" in strange.source
    two = speed_of(Hardware(8, 10**11, (Gpu("A100", 8 * 10**10),) * 2))
    assert two.flops == 2 * a100.flops


def test_a_cpu_without_bf16_multiplies_slower_and_training_gets_more_of_that() -> None:
    with_it, without = (speed_of(Hardware(4, 10**10, bf16=each)) for each in (True, False))
    assert with_it.flops == pytest.approx(0.35 * 4 * 200e9)
    assert without.flops == pytest.approx(0.85 * 4 * 50e9)


def test_a_tenth_of_the_device_is_left_free() -> None:
    found = estimate(GPU, LLAMA, tokens=1000, speed=Speed(1e14, 1e12, "made up"))
    assert found.fits(round(found.memory.total / 0.89))
    assert not found.fits(found.memory.total)


def test_the_probe_measures_a_speed_that_a_cpu_can_have() -> None:
    from finetune.probing import probe_cpu

    speed = probe_cpu()
    assert 1e8 < speed.flops < 1e14
    assert 1e8 < speed.bandwidth < 1e13
    assert "measured" in speed.source
