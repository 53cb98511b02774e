"""Estimate: the memory and the time that a run will take, from its model's shape and its settings.

Pure arithmetic; nothing is loaded. The memory of a step is what lies there all the time (weights,
trained parameters, gradients, optimizer states) plus what one forward and backward pass adds.
"""

from dataclasses import dataclass, fields

from finetune.duration import Speed, seconds_of
from finetune.shape import ModelShape
from finetune.workload import GENERATING, REFERRED, Workload

FOUR_BITS = 0.5 + 1 / 64 + 4 / (64 * 256)
"""Bytes of a parameter in NF4 with double quantisation: 4 bits, an 8-bit scale for each 64 of them
and an fp32 scale for each 256 of those (Dettmers et al. 2023, "QLoRA", section 3)."""

LOGIT_BYTES = 12
"""Bytes of each logit when its loss goes backwards: the log-softmax, its gradient, and that of the
picked probabilities, in fp32."""

GPU_LOGIT_POSITIONS = 2048
"""Positions whose logits exist at once on a GPU, where TRL's fused head takes them in chunks."""

RUNTIME = {"cpu": 540e6, "cuda": 900e6}
"""Bytes of Python with torch, transformers, TRL and PEFT, or of a CUDA context with its kernels."""

BITSANDBYTES = 180e6
"""Bytes that bitsandbytes and the weights that it packed leave behind in a process on the CPU."""

SLACK = {"cpu": 1.75, "cuda": 1.1}
"""By how much the activations take more than their tensors: gaps that the allocator cannot use. On
the CPU it is glibc's, calibrated by tests/bench/tuning_memory.py; on a GPU it is assumed."""


@dataclass(frozen=True)
class Memory:
    """The peak of a run's memory in bytes, by what takes it."""

    weights: float
    adapter: float
    gradients: float
    optimizer: float
    activations: float
    logits: float
    reference: float
    value_head: float
    cache: float
    runtime: float

    @property
    def total(self) -> int:
        """Return the sum."""
        return round(sum(getattr(self, field.name) for field in fields(self)))

    @property
    def parts(self) -> tuple[tuple[str, int], ...]:
        """Return the parts that are not 0, largest first."""
        named = [(each.name, round(getattr(self, each.name))) for each in fields(self)]
        return tuple(sorted((part for part in named if part[1]), key=lambda part: -part[1]))


@dataclass(frozen=True)
class Estimate:
    """What a run will take: bytes at its peak, seconds from its first step to its last."""

    memory: Memory
    seconds: float

    def fits(self, device_memory: int) -> bool:
        """Tell whether it fits a device, a tenth of which is left free."""
        return self.memory.total <= 0.9 * device_memory


def estimate(
    work: Workload, shape: ModelShape, *, tokens: int, speed: Speed, sequences: int = 0
) -> Estimate:
    """Estimate a run that learns from `tokens` tokens in all epochs.

    `sequences` answers are generated where the method generates.
    """
    seconds = seconds_of(work, shape, tokens=tokens, sequences=sequences, speed=speed)
    return Estimate(memory_of(work, shape), seconds)


def memory_of(work: Workload, shape: ModelShape) -> Memory:
    """Estimate the peak of a run's memory."""
    on_cpu = work.device == "cpu"
    trained = work.trained(shape)
    full = work.tuner == "full"
    generates = work.method in GENERATING
    return Memory(
        weights=_weights(work, shape),
        adapter=0 if full else 4 * trained,
        gradients=4 * trained,
        optimizer=work.optimizer_bytes * trained,
        activations=SLACK[work.device] * activations(work, shape),
        logits=LOGIT_BYTES * shape.vocabulary * _logit_positions(work),
        reference=_reference(work, shape),
        value_head=_value_head(work, shape),
        cache=_cache(work, shape) if generates else 0,
        runtime=RUNTIME[work.device] + (BITSANDBYTES if on_cpu and work.quantize_4bit else 0),
    )


def activations(work: Workload, shape: ModelShape) -> int:
    """Return the bytes that autograd keeps between the forward and the backward pass.

    Counted tensor by tensor for transformers' Llama with SDPA, in bf16 by autocast; a test compares
    it with what autograd really saves. With checkpoints only each layer's input is kept, and one
    layer at a time is whole (Korthikanti et al. 2022, "Reducing Activation Recomputation").
    """
    layer = work.tokens * _layer_bytes_per_token(work, shape) + _layer_bytes(work, shape)
    if not work.checkpoints:
        return layer * shape.layers
    element = 4 if work.tuner == "full" or not work.bf16 else 2
    return work.tokens * element * shape.hidden * shape.layers + layer


def _layer_bytes_per_token(work: Workload, shape: ModelShape) -> int:
    hidden, wide = shape.hidden, shape.intermediate
    query, key_value, half = shape.query, shape.key_value, 2 if work.bf16 else 4
    mlp = 4 * half * wide  # gate, silu(gate), up, and their product, which down takes
    attention = half * (2 * query + 2 * key_value) + 4 * shape.heads  # q, out, k, v, log-sum-exp
    norms = 2 * (4 * hidden + 4)  # the input of each in fp32, and its root mean square
    if work.tuner == "full":
        # the norms' weights are trained too, and each module casts its own input
        return mlp + attention + 2 * norms + 5 * half * hidden
    if work.tuner == "neural":
        return mlp + attention + norms + half * 2 * hidden
    adapted = work.adapted(shape)
    copies = sum(half * width for name, (width, _) in adapted.items() if name != "down_proj")
    total = mlp + attention + norms + copies + len(adapted) * half * work.rank
    if work.tuner == "dora":  # the outputs of the base and of the adapter, to be scaled
        total += sum(2 * half * out for _, out in adapted.values())
    return total


def _layer_bytes(work: Workload, shape: ModelShape) -> int:
    """Return what autograd keeps of a layer's weights: their casts to bf16, and DoRA's products."""
    sizes = shape.modules.values() if work.tuner == "full" else work.adapted(shape).values()
    if not work.bf16:
        casts = 0
    elif work.tuner == "full":
        casts = 2 * sum(width * out for width, out in sizes)
    else:
        casts = 2 * work.rank * sum(width + out for width, out in sizes)
    if work.tuner == "dora":  # B A is made by sending the unit matrix through the adapter
        casts += sum(2 * width * (width + work.rank) for width, _ in sizes)
    return casts


def _weights(work: Workload, shape: ModelShape) -> float:
    element = 4 if work.tuner == "full" or not work.bf16 else 2
    if not work.quantize_4bit:
        return element * shape.parameters
    largest = max(width * out for width, out in shape.modules.values())
    return FOUR_BITS * shape.linear + element * (shape.rest + largest)  # one is unpacked at a time


def _logit_positions(work: Workload) -> int:
    if work.method == "reward":
        return 0
    projected = max(1, round(work.learned * work.tokens))
    if work.device == "cuda" and work.method in ("cpt", "sft"):
        return min(projected, GPU_LOGIT_POSITIONS)
    return projected


def _reference(work: Workload, shape: ModelShape) -> float:
    """Return the second set of weights: of the adapter as it began, or of the whole model.

    PPO's reference is the base with its adapter off; its reward model is one more adapter.
    """
    if work.method not in REFERRED:
        return 0
    return 4 * work.trained(shape)


def _value_head(work: Workload, shape: ModelShape) -> float:
    """Return a linear head of the hidden size, with its gradient and its two moments in fp32."""
    return 16 * (shape.hidden + 1) if work.method in ("ppo", "reward") else 0


def _cache(work: Workload, shape: ModelShape) -> float:
    """Return the keys and values of all layers for every token of the answers being written.

    2 tensors x layers x width of the key heads x bytes x tokens (Pope et al. 2022, "Efficiently
    Scaling Transformer Inference", section 2.1).
    """
    # an answer is part of the length, and so are the turns of an episode
    tokens = work.written_at_once * work.length
    return 2 * shape.layers * shape.key_value * (2 if work.bf16 else 4) * tokens
