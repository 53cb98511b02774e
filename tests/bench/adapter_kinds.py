"""Kinds of tuning: the same rows and steps for LoRA, rsLoRA, DoRA and neural at equal weights.

    python tests/bench/adapter_kinds.py MODEL_FOLDER SQUAD.json --chat-template FILE

Each kind trains in a process of its own, so that its memory is its own. A DoRA gets one rank less,
since it trains a magnitude for each output of its layers too; the table has the real numbers.
Beside them stand the LoRA on a base in 4 bits (QLoRA), and all weights (full) at two lower rates.
"""

import argparse
import json
import logging
import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from question_rows import write_rows

KINDS: dict[str, dict[str, Any]] = {
    "lora": {"tuner": "lora"},
    "rslora": {"tuner": "rslora"},
    "dora": {"tuner": "dora"},
    "neural": {"tuner": "neural"},
    "qlora": {"tuner": "lora", "quantize_4bit": True},
    "full": {"tuner": "full", "learning_rate": 1e-4},
    "full-low": {"tuner": "full", "learning_rate": 2e-5},
}


def measure(settings: dict[str, Any]) -> dict[str, float]:
    """Train one kind and return its metrics."""
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    from finetune.method_config import load_config
    from finetune.training import train

    config = load_config("sft", None, settings)
    for _ in train(config):
        pass
    metrics: dict[str, float] = json.loads((config.out / "metrics.json").read_text())
    return metrics


def main() -> None:
    """Print one table, each kind beside LoRA."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("questions", type=Path)
    parser.add_argument("--chat-template", type=Path)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--held-out", type=int, default=60)
    parser.add_argument("--frequency", type=float, default=200.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        data, held_out = write_rows(
            arguments.questions, out, train=4 * arguments.steps, held_out=arguments.held_out
        )
        print(f"{'':9}{'weights':>11}{'loss':>8}{'held out':>10}{'tokens/s':>10}{'':>8}{'MB':>7}")
        first: dict[str, float] = {}
        for kind in arguments.kinds:
            settings = {
                "data": data,
                "eval_data": held_out,
                "model": str(arguments.model),
                "out": out / kind,
                "chat_template": arguments.chat_template,
                "lora_rank": arguments.rank - (kind == "dora"),
                "lora_alpha": 2 * arguments.rank,
                "frequency": arguments.frequency,
                "batch": 4,
                "max_steps": arguments.steps,
                "learning_rate": 5e-4,
                "effects": False,
                "compare": False,
            } | KINDS[kind]
            spawn = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(max_workers=1, mp_context=spawn) as child:
                told = child.submit(measure, settings).result()
            first = first or told
            rate = told["tokens_per_second"]
            print(
                f"{kind:9}{told['parameters']:11,}{told['last_loss']:8.4f}"
                f"{told['held_out_loss']:10.4f}{rate:10.0f}"
                f"{rate / first['tokens_per_second']:7.2f}x{told['memory'] / 1e6:7.0f}",
                flush=True,
            )
            if "angle_rms" in told:
                print(f"rms(w B A): {told['angle_rms']}")


if __name__ == "__main__":
    main()
