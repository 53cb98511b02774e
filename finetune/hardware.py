"""Hardware: what a machine has to tune a model on, found without loading torch."""

import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

QUERY = ("nvidia-smi", "--query-gpu=index,uuid,name,memory.total", "--format=csv,noheader,nounits")
MIB = 1024**2


@dataclass(frozen=True)
class Gpu:
    """One GPU: its name and its memory in bytes."""

    name: str
    memory: int


@dataclass(frozen=True)
class Hardware:
    """The cores and bytes of memory that a process may use, and the GPUs that it sees.

    `bf16` tells whether the CPU multiplies matrices in bf16 by instructions of its own.
    """

    cores: int
    memory: int
    gpus: tuple[Gpu, ...] = ()
    bf16: bool = False

    @property
    def device_memory(self) -> int:
        """Return the bytes of the device that trains: of the smallest GPU, or of the machine."""
        return min((gpu.memory for gpu in self.gpus), default=self.memory)

    @property
    def computes_bf16(self) -> bool:
        """Return whether the device that trains computes in bf16 without emulating it."""
        return bool(self.gpus) or self.bf16

    @property
    def summary(self) -> str:
        """Say it in one line."""
        if not self.gpus:
            return f"no GPU, {self.cores} CPU cores, {_gb(self.memory)} of memory"
        names = [gpu.name for gpu in self.gpus]
        kinds = [f"{names.count(name)} x {name}" for name in dict.fromkeys(names)]
        return f"{', '.join(kinds)} of {_gb(self.device_memory)}, {self.cores} CPU cores"


def find_hardware(root: Path = Path("/")) -> Hardware:
    """Look at this machine; `root` is where /proc and /sys are looked for."""
    return Hardware(
        cores=usable_cores(root),
        memory=_memory(root),
        gpus=find_gpus(os.environ.get("CUDA_VISIBLE_DEVICES")),
        bf16=has_bf16(root),
    )


def find_gpus(
    visible: str | None = None, ask: Callable[[Sequence[str]], str] | None = None
) -> tuple[Gpu, ...]:
    """Return the NVIDIA GPUs, of which `visible` (CUDA's variable) leaves some out."""
    try:
        lines = (ask or _ask)(QUERY).splitlines()
    except (OSError, subprocess.SubprocessError):
        return ()
    found: dict[str, Gpu] = {}
    ids: dict[str, str] = {}
    for line in lines:
        parts = [part.strip() for part in line.split(",")]
        if len(parts) == 4 and parts[3].isdigit():
            found[parts[0]] = Gpu(parts[2], int(parts[3]) * MIB)
            ids[parts[1]] = parts[0]
    if visible is None:
        return tuple(found.values())
    chosen = []
    for each in (part.strip() for part in visible.split(",")):
        index = next(
            (number for uuid, number in ids.items() if each and uuid.startswith(each)), each
        )
        if index not in found:
            break  # as CUDA does: one that is not there hides all after it
        chosen.append(found[index])
    return tuple(chosen)


def _ask(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    return done.stdout


def usable_cores(root: Path = Path("/")) -> int:
    """Return the cores that this process may use; a container may have fewer than its machine."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        cores = os.cpu_count() or 1
    quota, _, period = _text(root / "sys/fs/cgroup/cpu.max").partition(" ")
    if quota.isdigit() and period.strip().isdigit():
        cores = min(cores, max(1, int(quota) // int(period)))
    return cores


def _memory(root: Path) -> int:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = _text(root / "sys/fs/cgroup/memory.max").strip()
    return min(total, int(limit)) if limit.isdigit() else total


@cache
def has_bf16(root: Path = Path("/")) -> bool:
    """Return whether the CPU has instructions for products of matrices in bf16."""
    flags = _text(root / "proc/cpuinfo")
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def _gb(size: int) -> str:
    return f"{size / 1e9:.0f} GB"
