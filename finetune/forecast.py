"""Forecast: what a run will take of this machine, and what to change where that is too much."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from finetune.amounts import duration, gigabytes
from finetune.duration import Speed, speed_of
from finetune.estimate import Estimate, estimate, memory_of
from finetune.hardware import Hardware
from finetune.method_config import CptConfig, SftConfig
from finetune.policy_config import GrpoConfig, PpoConfig
from finetune.preflight import Seen
from finetune.shape import ModelShape
from finetune.tune_config import TuneConfig
from finetune.workload import Workload, workload_of


@dataclass(frozen=True)
class Forecast:
    """An estimate beside the machine that it is for."""

    estimate: Estimate
    hardware: Hardware
    speed: Speed
    tokens: int
    answers: int
    advice: tuple[str, ...]

    def __str__(self) -> str:
        """Say it in a few lines."""
        memory = self.estimate.memory
        parts = ", ".join(f"{name} {gigabytes(size)}" for name, size in memory.parts[:4])
        has = gigabytes(self.hardware.device_memory)
        takes = duration(self.estimate.seconds)
        written = f", of {self.answers:,} answers that the model writes" if self.answers else ""
        lines = [
            f"memory: about {gigabytes(memory.total)} of {has} ({parts})",
            f"time: about {takes} for some {self.tokens:,} tokens{written} ({self.speed.source})",
        ]
        if not self.estimate.fits(self.hardware.device_memory):
            lines.append("That does not fit. What would help: " + "; ".join(self.advice))
        return "\n".join(lines)


def forecast(config: TuneConfig, shape: ModelShape, hardware: Hardware, seen: Seen) -> Forecast:
    """Estimate a run on a machine by the rows that were seen; episodes are taken at their longest.

    What a run measures beside its steps is left out, and so is what it is compared with.
    """
    hardware = replace(hardware, gpus=hardware.gpus[: config.processes])
    work = workload(config, hardware)
    tokens, answers = tokens_of(config, seen), answers_of(config, seen)
    speed = speed_of(hardware)
    return Forecast(
        estimate(work, shape, tokens=tokens, speed=speed, sequences=answers),
        hardware,
        speed,
        tokens,
        answers,
        less_memory(work, shape),
    )


def workload(config: TuneConfig, hardware: Hardware) -> Workload:
    """Return the settings as a workload on the machine's device."""
    return workload_of(config.resolved(), method=config.method, hardware=hardware)


def tokens_of(config: TuneConfig, seen: Seen) -> int:
    """Return about how many tokens the steps go over."""
    if isinstance(config, SftConfig) and config.max_tokens:
        return config.max_tokens
    mean = seen.tokens / seen.rows
    match config:
        case CptConfig(max_steps=int(steps)):
            return steps * config.batch * config.max_length
        case PpoConfig():
            return round(config.steps(seen.rows) * config.batch * (mean + config.completion_length))
        case GrpoConfig():
            return round(answers_of(config, seen) * mean)
        case _:
            rows = config.max_steps * config.batch if config.max_steps else seen.rows
            return round(rows * mean * (1 if config.max_steps else config.epochs))


def answers_of(config: TuneConfig, seen: Seen) -> int:
    """Return how many answers the model writes to learn from, where its method lets it."""
    match config:
        case PpoConfig():
            learned = config.steps(seen.rows) * config.batch
            return config.answers * math.ceil(learned / (config.passes * config.answers))
        case GrpoConfig():
            return config.steps(seen.rows) * config.batch * config.generations
        case _:
            return 0


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
    elif not work.quantize_4bit:
        yield "quantize_4bit=true", replace(work, quantize_4bit=True)
    if work.micro_batch > 1:
        fewer = max(2, work.micro_batch // 2) if work.method == "kto" else work.micro_batch // 2
        yield f"micro_batch={fewer}", replace(work, micro_batch=fewer)
    if work.length > 128:
        yield f"max_length={work.length // 2}", replace(work, length=work.length // 2)
    if work.rank > 8 and work.tuner != "full":
        yield f"lora_rank={work.rank // 2}", replace(work, rank=work.rank // 2)
