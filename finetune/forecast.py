"""Forecast: what a run will take of this machine, and what to change where that is too much."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from finetune.amounts import duration, gigabytes
from finetune.data.files import files_in
from finetune.duration import Speed, speed_of
from finetune.estimate import Estimate, estimate, memory_of
from finetune.hardware import Hardware
from finetune.method_config import SftConfig, TuneConfig
from finetune.shape import ModelShape
from finetune.workload import Device, Workload, workload_of

BYTES_A_TOKEN = 4.0
"""What a token takes of a file of rows: about four letters of English, names of fields included."""


@dataclass(frozen=True)
class Forecast:
    """An estimate beside the machine that it is for."""

    estimate: Estimate
    hardware: Hardware
    speed: Speed
    tokens: int
    advice: tuple[str, ...]

    def __str__(self) -> str:
        """Say it in a few lines."""
        memory = self.estimate.memory
        parts = ", ".join(f"{name} {gigabytes(size)}" for name, size in memory.parts[:4])
        has = gigabytes(self.hardware.device_memory)
        takes = duration(self.estimate.seconds)
        lines = [
            f"memory: about {gigabytes(memory.total)} of {has} ({parts})",
            f"time: about {takes} for some {self.tokens:,} tokens ({self.speed.source})",
        ]
        if not self.estimate.fits(self.hardware.device_memory):
            lines.append("That does not fit. What would help: " + "; ".join(self.advice))
        return "\n".join(lines)


def forecast(config: TuneConfig, shape: ModelShape, hardware: Hardware) -> Forecast:
    """Estimate a run on a machine; its tokens are guessed from the size of its files."""
    hardware = replace(hardware, gpus=hardware.gpus[: config.processes])
    work = workload(config, hardware)
    tokens = tokens_of(config)
    speed = speed_of(hardware)
    return Forecast(
        estimate(work, shape, tokens=tokens, speed=speed, sequences=_answers(config)),
        hardware,
        speed,
        tokens,
        less_memory(work, shape),
    )


def workload(config: TuneConfig, hardware: Hardware) -> Workload:
    """Return the settings as a workload on the machine's device."""
    device: Device = "cuda" if hardware.gpus else "cpu"
    return workload_of(config.resolved(), method=config.method, device=device)


def tokens_of(config: TuneConfig) -> int:
    """Guess how many tokens the run goes over, by its files, or by its steps where they are set."""
    if config.max_steps:
        return config.max_steps * config.batch * config.max_length
    if isinstance(config, SftConfig) and config.max_tokens:
        return config.max_tokens
    return round(_size(config.data) / BYTES_A_TOKEN * config.epochs)


def less_memory(work: Workload, shape: ModelShape) -> tuple[str, ...]:
    """Return which settings would make the peak lower, each with by how much, the most first."""
    now = memory_of(work, shape).total
    found = []
    for said, changed in _changes(work):
        saved = now - memory_of(changed, shape).total
        if saved > 0:
            found.append((saved, f"{said} (about {gigabytes(saved)} less)"))
    return tuple(said for _, said in sorted(found, reverse=True))


def _changes(work: Workload) -> Iterable[tuple[str, Workload]]:
    if work.tuner == "full":
        yield "tuner=lora", replace(work, tuner="lora")
    elif not work.quantize_4bit and work.bf16:
        yield "quantize_4bit=true", replace(work, quantize_4bit=True)
    if work.micro_batch > 1:
        fewer = max(2, work.micro_batch // 2) if work.method == "kto" else work.micro_batch // 2
        yield f"micro_batch={fewer}", replace(work, micro_batch=fewer)
    if work.length > 128:
        yield f"max_length={work.length // 2}", replace(work, length=work.length // 2)
    if work.rank > 8 and work.tuner != "full":
        yield f"lora_rank={work.rank // 2}", replace(work, rank=work.rank // 2)


def _answers(config: TuneConfig) -> int:
    """Return how many answers a run generates, where its method does."""
    generations = int(config.resolved().get("generations") or 1)
    return (config.max_steps or 0) * config.batch * generations


def _size(paths: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in files_in(paths))
