"""Tokens a second of `finetune` against a plain TRL script: same model, rows and threads.

    python tests/bench/sft_speed.py MODEL_FOLDER DATA.jsonl --chat-template FILE

Both train a LoRA of rank 32 on all linear layers in bf16, loss on the assistant's tokens only. The
plain one is TRL's SFTTrainer as its own examples have it: eight rows a batch, padded, checkpointed.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import TrainerCallback
from trl.trainer.sft_config import SFTConfig as TrlConfig
from trl.trainer.sft_trainer import SFTTrainer

from finetune.base_model import load_tokenizer
from finetune.data.reading import read_examples
from finetune.data.rows import Conversation
from finetune.encoding import encode, read_template
from finetune.events import Progress, Started
from finetune.method_config import load_config
from finetune.training import train

BATCH = 8
MAX_LENGTH = 1024


class _Clock(TrainerCallback):
    """Times the steps alone: loading and saving are not what is compared."""

    def on_train_begin(self, *_: object, **__: object) -> None:
        self.wall, self.cpu = time.monotonic(), time.process_time()

    def on_step_end(self, *_: object, **__: object) -> None:
        self.seconds = time.monotonic() - self.wall
        self.cpu_seconds = time.process_time() - self.cpu


class Spent(NamedTuple):
    """What the steps took, and their mean loss."""

    seconds: float
    cpu_seconds: float
    loss: float


def plain(model: Path, data: Path, template: Path, steps: int, out: Path) -> Spent:
    """Train as TRL's examples do."""
    tokenizer = load_tokenizer(model)
    tokenizer.chat_template = template.read_text(encoding="utf-8")
    rows = [
        {
            "messages": [dict(message) for message in example.messages],
            "tools": json.dumps(example.tools),
        }
        for example in read_examples([data])
    ]
    clock = _Clock()
    trainer = SFTTrainer(
        model=str(model),
        args=TrlConfig(
            output_dir=str(out),
            assistant_only_loss=True,
            per_device_train_batch_size=BATCH,
            max_steps=steps,
            learning_rate=8e-4,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
            model_init_kwargs={"dtype": torch.bfloat16},
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=LoraConfig(r=32, lora_alpha=64, target_modules="all-linear"),
        callbacks=[clock],
    )
    loss = trainer.train().training_loss
    return Spent(clock.seconds, clock.cpu_seconds, loss)


def ours(model: Path, data: Path, template: Path, steps: int, out: Path) -> Spent:
    """Train with the starter recipe."""
    settings = {"data": data, "model": str(model), "out": out, "chat_template": template}
    config = load_config("sft", "starter", settings | {"max_steps": steps, "batch": BATCH})
    begun, cpu, losses, spent = 0.0, 0.0, [], Spent(0.0, 0.0, 0.0)
    for event in train(config):
        if isinstance(event, Started):
            begun, cpu = time.monotonic(), time.process_time()
        elif isinstance(event, Progress):
            losses.append(event.loss)
            spent = Spent(
                time.monotonic() - begun, time.process_time() - cpu, statistics.fmean(losses)
            )
    return spent


def first_rows(model: Path, data: Path, template: Path, count: int, out: Path) -> tuple[Path, int]:
    """Write the first `count` conversations that fit; return the file and its tokens."""
    tokenizer = load_tokenizer(model)
    text = read_template(template, tokenizer)
    rows, tokens = [], 0
    for example in read_examples([data]):
        if not isinstance(example, Conversation):  # plain text, which is mixed in
            continue
        length = len(encode(example, tokenizer, text).input_ids)
        if length <= MAX_LENGTH and len(rows) < count:
            rows.append({"messages": example.messages, "tools": example.tools})
            tokens += length
    path = out / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path, tokens


def main() -> None:
    """Print one table: both ways, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--chat-template", type=Path, required=True)
    parser.add_argument("--conversations", type=int, default=16)
    arguments = parser.parse_args()
    steps = arguments.conversations // BATCH
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        template = arguments.chat_template
        data, tokens = first_rows(arguments.model, arguments.data, template, steps * BATCH, out)
        print(f"{steps * BATCH} conversations, {tokens} tokens, {torch.get_num_threads()} threads")
        print(f"{'':10}{'tokens/s':>10}{'tokens/CPU-s':>14}{'mean loss':>11}")
        rates = {}
        for name, way in (("plain TRL", plain), ("finetune", ours)):
            spent = way(arguments.model, data, template, steps, out / name)
            rates[name] = tokens / spent.seconds, tokens / spent.cpu_seconds
            rate = f"{rates[name][0]:10.0f}{rates[name][1]:14.0f}"
            print(f"{name:10}{rate}{spent.loss:11.3f}", flush=True)
        wall, cpu = (rates["finetune"][i] / rates["plain TRL"][i] for i in (0, 1))
        print(f"{'ratio':10}{wall:10.2f}{cpu:14.2f}")


if __name__ == "__main__":
    main()
