"""The estimate of a tuning's memory beside its measured peak: LoRA, QLoRA, full, and the others.

    python tests/bench/tuning_memory.py MODEL_FOLDER

Each line is a real run of two steps on plain text in a process of its own, whose largest resident
size is what counts.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from finetune.estimate import memory_of
from finetune.hardware import find_hardware
from finetune.shape import read_shape
from finetune.workload import workload_of

WORDS = "the river mill made paper cloth and iron for towns in the north while bridges fell".split()
RUNS = (
    ("LoRA", {"tuner": "lora"}, 512),
    ("LoRA", {"tuner": "lora"}, 1024),
    ("QLoRA", {"tuner": "lora", "quantize_4bit": True}, 512),
    ("QLoRA", {"tuner": "lora", "quantize_4bit": True}, 1024),
    ("full", {"tuner": "full"}, 512),
    ("full", {"tuner": "full"}, 1024),
    ("DoRA", {"tuner": "dora"}, 512),
    ("neural", {"tuner": "neural"}, 512),
)


def measured(model: Path, settings: dict[str, object], length: int, folder: Path) -> int:
    """Run two steps in a child and return its peak in bytes."""
    given = {"model": str(model), "max_length": length, **settings}
    done = subprocess.run(
        [sys.executable, __file__, "--child", json.dumps(given), str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stderr)
    return int(done.stdout.split()[-1])


def child(given: dict[str, object], folder: Path) -> None:
    """Train two steps and print the peak."""
    from finetune.events import Progress
    from finetune.method_config import load_config
    from finetune.training import train

    draw = random.Random(0)
    texts = [{"text": " ".join(draw.choices(WORDS, k=2000))} for _ in range(4)]
    data = folder / "texts.jsonl"
    data.write_text("".join(json.dumps(text) + "\n" for text in texts), encoding="utf-8")
    run = {"data": data, "out": folder / "out", "batch": 1, "max_steps": 2, "effects": False}
    peaks = [
        event.memory
        for event in train(load_config("cpt", None, run | given))
        if isinstance(event, Progress)
    ]
    print(peaks[-1])


def main() -> None:
    """Print one table: what was estimated, what was measured, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    model = parser.parse_args().model.resolve()
    shape, hardware = read_shape(model), find_hardware()
    print(f"{'':8}{'tokens':>8}{'estimate, MB':>14}{'measured, MB':>14}{'ratio':>8}")
    for name, settings, length in RUNS:
        work = workload_of({**settings, "max_length": length}, method="cpt", hardware=hardware)
        guess = memory_of(work, shape).total
        with tempfile.TemporaryDirectory() as folder:
            peak = measured(model, settings, length, Path(folder))
        line = f"{name:8}{length:8}{guess / 1e6:14.0f}{peak / 1e6:14.0f}{guess / peak:8.2f}"
        print(line, flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(json.loads(sys.argv[2]), Path(sys.argv[3]))
    else:
        main()
