"""Duration: the time that a run will take, from its arithmetic and a device's speed."""

from dataclasses import dataclass

from finetune.hardware import Hardware
from finetune.shape import ModelShape
from finetune.workload import GENERATING, REFERRED, Workload


@dataclass(frozen=True)
class Speed:
    """A device: the floating-point operations a second that training really gets of it.

    `bandwidth` is in bytes a second, which bounds the generation of answers. `source` says where
    the numbers are from.
    """

    flops: float
    bandwidth: float
    source: str


UTILISATION = 0.35
"""The share of the peak that training gets. On a GPU 30 to 45 % is what well-made code reports
(Chowdhery et al. 2022, "PaLM", section 4.1); the 135M model gets .35 of a core's products in bf16
(measured against `probing.probe_cpu`, November 2026)."""

UTILISATION_IN_FP32 = 0.85
"""The same of a CPU without bf16, whose products are so slow that little else takes time: the 135M
model, 136 tokens a second where `probing.probe_cpu` saw 109e9 operations (December 2026)."""

GPU_PEAKS: tuple[tuple[str, float, float], ...] = (
    ("H200", 989e12, 4.8e12),
    ("H100 PCIe", 756e12, 2.0e12),
    ("H100", 989e12, 3.35e12),
    ("A100", 312e12, 1.6e12),
    ("L40S", 362e12, 0.86e12),
    ("A10G", 70e12, 0.6e12),
    ("A10", 125e12, 0.6e12),
    ("L4", 121e12, 0.3e12),
    ("RTX 5090", 209e12, 1.79e12),
    ("RTX 4090", 165e12, 1.0e12),
    ("RTX 3090", 71e12, 0.94e12),
    ("RTX 4060", 30e12, 0.27e12),
    ("V100", 112e12, 0.9e12),
    ("T4", 65e12, 0.32e12),
)
"""By the makers: the peak of dense half-precision products with fp32 sums, and the bandwidth."""

SLOWEST = Speed(10e12, 0.25e12, "an unknown GPU, taken for a slow one")

CORE_PEAKS = {True: 200e9, False: 50e9}
"""Operations a second in matrix products of one CPU core, with bf16 instructions and without."""

CORE_BANDWIDTH = 5e9
"""Bytes a second that generation gets of one CPU core: two write 34 tokens a second with the 270 MB
of the 135M model (vLLM in bf16, November 2026)."""

FOUR_BIT_FACTOR = 1.3
"""How much longer a pass takes where each weight is unpacked from 4 bits first."""


def speed_of(hardware: Hardware) -> Speed:
    """Look a machine's speed up in the tables: of its GPUs together, or of its cores."""
    if not hardware.gpus:
        kind = "with" if hardware.bf16 else "without"
        share = UTILISATION if hardware.bf16 else UTILISATION_IN_FP32
        return Speed(
            share * hardware.cores * CORE_PEAKS[hardware.bf16],
            min(hardware.cores, 8) * CORE_BANDWIDTH,
            f"{hardware.cores} CPU cores {kind} bf16, by the table",
        )
    name = hardware.gpus[0].name
    for known, flops, bandwidth in GPU_PEAKS:
        if known.casefold() in name.casefold():
            count = len(hardware.gpus)
            source = f"{count} x {name} at {UTILISATION:.0%} of its peak"
            return Speed(count * UTILISATION * flops, count * 0.6 * bandwidth, source)
    return SLOWEST


def seconds_of(
    work: Workload, shape: ModelShape, *, tokens: int, speed: Speed, sequences: int = 0
) -> float:
    """Estimate the seconds of the steps of a run over `tokens` tokens of all epochs.

    `sequences` answers are generated meanwhile, where the method generates.
    """
    seconds = tokens * flops_per_token(work, shape) / speed.flops
    if work.method in GENERATING:
        seconds += generation_seconds(work, shape, sequences=sequences, speed=speed)
    return seconds


def flops_per_token(work: Workload, shape: ModelShape) -> float:
    """Return the operations of one forward and backward pass for a token.

    Forward 2 a weight, and twice the layers' causal attention at half of length x width; backward
    as much again for the inputs, and again for the weights where those are trained; the layers'
    forward pass once more where they are computed again (Kaplan et al. 2020, "Scaling Laws",
    section 2.1; Narayanan et al. 2021, "Efficient Large-Scale Training", section 3).
    """
    attention = shape.layers * 2 * work.length * shape.query
    layers = 2 * shape.linear + attention
    head = 2 * shape.vocabulary * shape.hidden * (0 if work.method == "reward" else work.learned)
    forward = layers + head
    backward = forward + (forward if work.tuner == "full" else 0)
    adapter = 0 if work.tuner == "full" else 6 * work.trained(shape)
    total = forward + backward + adapter + (layers if work.checkpoints else 0)
    if work.tuner == "dora":
        total *= 1.3
    if work.method in REFERRED:
        total += forward  # the reference reads every token too
    return total * (FOUR_BIT_FACTOR if work.quantize_4bit else 1.0)


def generation_seconds(work: Workload, shape: ModelShape, *, sequences: int, speed: Speed) -> float:
    """Return the seconds of writing `sequences` answers, a batch of them at a time.

    Each token reads all weights once for all answers that are written together, or does its
    operations, whichever is slower (Pope et al. 2022, section 2).
    """
    together = work.written_at_once
    steps = sequences / together * work.completion
    reading = 2 * shape.parameters / speed.bandwidth
    computing = together * 2 * shape.parameters / speed.flops
    return steps * max(reading, computing)
