"""What a machine has, told by its own files and by nvidia-smi."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from finetune.hardware import Gpu, Hardware, find_gpus, find_hardware

TWO = "0, GPU-aaa111, NVIDIA A100-SXM4-80GB, 81920\n1, GPU-bbb222, NVIDIA GeForce RTX 4090, 24564\n"


def two(_: Sequence[str]) -> str:
    return TWO


def test_gpus_are_read_from_what_nvidia_smi_prints() -> None:
    assert find_gpus(ask=two) == (
        Gpu("NVIDIA A100-SXM4-80GB", 81920 * 1024**2),
        Gpu("NVIDIA GeForce RTX 4090", 24564 * 1024**2),
    )


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        ("1", ["NVIDIA GeForce RTX 4090"]),
        ("1,0", ["NVIDIA GeForce RTX 4090", "NVIDIA A100-SXM4-80GB"]),
        ("GPU-bbb", ["NVIDIA GeForce RTX 4090"]),
        ("", []),
        ("-1", []),
        ("0,7,1", ["NVIDIA A100-SXM4-80GB"]),
    ],
)
def test_only_the_gpus_that_cuda_shows_count(visible: str, names: list[str]) -> None:
    assert [gpu.name for gpu in find_gpus(visible, ask=two)] == names


def test_a_machine_without_nvidia_smi_has_no_gpu() -> None:
    def absent(_: Sequence[str]) -> str:
        raise FileNotFoundError("nvidia-smi")

    assert find_gpus(ask=absent) == ()


def test_a_container_has_the_cores_and_the_memory_that_it_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "proc").mkdir()
    (tmp_path / "sys/fs/cgroup/cpu.max").write_text("100000 100000\n")
    (tmp_path / "sys/fs/cgroup/memory.max").write_text("1000000000\n")
    (tmp_path / "proc/cpuinfo").write_text("flags : avx2 avx512_bf16\n")
    found = find_hardware(tmp_path)
    assert (found.cores, found.memory, found.bf16) == (1, 10**9, True)


def test_a_machine_without_limits_has_what_the_system_tells(tmp_path: Path) -> None:
    found = find_hardware(tmp_path)
    assert found.cores >= 1
    assert found.memory > 10**8
    assert not found.bf16


def test_the_smallest_gpu_is_what_a_model_must_fit() -> None:
    both = Hardware(8, 64 * 10**9, find_gpus(ask=two))
    assert both.device_memory == 24564 * 1024**2
    assert both.summary == (
        "1 x NVIDIA A100-SXM4-80GB, 1 x NVIDIA GeForce RTX 4090 of 26 GB, 8 CPU cores"
    )
    assert Hardware(2, 25 * 10**9).summary == "no GPU, 2 CPU cores, 25 GB of memory"


def test_looking_at_the_machine_loads_no_torch() -> None:
    code = (
        "import sys; from finetune.hardware import find_hardware; import finetune.estimate; "
        "find_hardware(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
