"""What is lost between a QLoRA run and what is served: the held-out loss of each form.

    python tests/bench/serving_precision.py MODEL_FOLDER SQUAD.json --chat-template FILE

Trains a LoRA on the base in 4 bits (NF4, double quantisation), then measures the adapter on that
base, on the bf16 base (as vLLM serves it), and merged into bf16 (as every engine serves it).
"""

import argparse
import gc
import tempfile
from pathlib import Path

import torch
from peft.peft_model import PeftModel
from question_rows import write_rows

from finetune.base_model import load_base, load_tokenizer
from finetune.data.reading import read_examples
from finetune.delivery import Order, deliver
from finetune.encoding import encode_all, read_template
from finetune.events import Progress
from finetune.method_config import SftConfig, load_config
from finetune.methods.sft import held_out_loss
from finetune.training import train


def main() -> None:
    """Print one table: each form's held-out loss, and how much of the tuning's gain it keeps."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("questions", type=Path)
    parser.add_argument("--chat-template", type=Path)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--held-out", type=int, default=60)
    parser.add_argument("--tuner", default="lora")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        data, held_out = write_rows(
            arguments.questions, out, train=4 * arguments.steps, held_out=arguments.held_out
        )
        settings = {
            "data": data,
            "model": str(arguments.model),
            "out": out / "run",
            "chat_template": arguments.chat_template,
            "tuner": arguments.tuner,
            "quantize_4bit": True,
            "lora_rank": 16,
            "batch": 4,
            "max_steps": arguments.steps,
            "learning_rate": 5e-4,
            "effects": False,
        }
        config = load_config("sft", None, settings)
        assert isinstance(config, SftConfig)
        for event in train(config):
            if isinstance(event, Progress) and event.step % 10 == 0:
                print(f"step {event.step}: loss {event.loss:.3f}", flush=True)
        merged = deliver(
            Order(run=config.out, out=out / "merged", target="merged", base=arguments.model)
        )
        compare(config, merged.folder, held_out)


def compare(config: SftConfig, merged: Path, held_out: Path) -> None:
    """Measure every form and print the table."""
    base = Path(config.model)
    tokenizer = load_tokenizer(base)
    template = read_template(config.chat_template, tokenizer)
    rows, _ = encode_all(read_examples([held_out]), tokenizer, template, max_length=1024)
    forms = [
        ("base, 4 bits", base, True, False),
        ("base, bf16", base, False, False),
        ("adapter on 4 bits", base, True, True),
        ("adapter on bf16", base, False, True),
        ("merged, bf16", merged, False, False),
    ]
    learned = sum(row.learned for row in rows)
    print(
        f"\n{len(rows)} held-out rows, {learned} learned tokens, {torch.get_num_threads()} threads"
    )
    losses = {}
    for name, folder, four_bits, adapted in forms:
        precision = config.model_copy(update={"quantize_4bit": four_bits, "tuner": "lora"})
        model = load_base(precision, folder)
        if not four_bits:  # as served, also where this machine would compute in fp32
            model.to(torch.bfloat16)
        if adapted:
            model = PeftModel.from_pretrained(model, str(config.out))
        losses[name] = held_out_loss(model, rows, bf16=True)
        del model
        gc.collect()
    begun = losses["base, 4 bits"]
    whole = begun - losses["adapter on 4 bits"]
    print(f"{'':20}{'loss':>8}{'of the gain':>13}")
    for name, loss in losses.items():
        print(f"{name:20}{loss:8.4f}{(begun - loss) / whole:13.1%}")


if __name__ == "__main__":
    main()
