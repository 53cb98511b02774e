"""Seconds of a training step in the precision that a run chooses, against bf16 whatever the CPU.

    OMP_NUM_THREADS=2 OMP_WAIT_POLICY=PASSIVE python tests/bench/step_precision.py MODEL_FOLDER

One row of `--length` random tokens through a LoRA of rank 32, forward and backward; the median of
`--steps` steps, one more before them left out. Where the CPU has bf16 instructions both are alike.
"""

import argparse
import statistics
import time
from pathlib import Path
from unittest.mock import patch

import torch

from finetune.base_model import add_adapter, load_base
from finetune.hardware import has_bf16
from finetune.method_config import SftConfig
from finetune.precision import in_bf16


def seconds_of_a_step(model: Path, *, length: int, steps: int) -> float:
    """Return the median over the steps."""
    config = SftConfig(data=(model,), model=str(model), out=model)
    tuned = add_adapter(load_base(config, model), config)
    ids = torch.randint(0, tuned.config.vocab_size, (1, length))
    taken = []
    for _ in range(steps + 1):
        begun = time.monotonic()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=in_bf16(config)):
            loss = tuned(input_ids=ids, labels=ids).loss
        loss.backward()
        taken.append(time.monotonic() - begun)
    return statistics.median(taken[1:])


def main() -> None:
    """Print both and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--steps", type=int, default=1)
    given = parser.parse_args()
    chosen = seconds_of_a_step(given.model, length=given.length, steps=given.steps)
    with patch("finetune.precision.has_bf16", lambda: True):
        forced = seconds_of_a_step(given.model, length=given.length, steps=given.steps)
    print(f"bf16 instructions: {'yes' if has_bf16() else 'no'}; {torch.get_num_threads()} threads")
    print(f"chosen {chosen:.1f} s, bf16 {forced:.1f} s: {forced / chosen:.1f} times")


if __name__ == "__main__":
    main()
