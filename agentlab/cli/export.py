"""`agentlab finetune export`: a run's result in the form that a server takes, with its card."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from agentlab.cli import options

if TYPE_CHECKING:
    from finetune.delivery import Delivery

EXAMPLES = """\b
Forms (--to):
  auto     what the engine serves best: the adapter where vLLM loads it, else merged
  adapter  PEFT files for vLLM; a neural adapter becomes a LoRA by SVD, a rank that
           vLLM does not take is padded with zeros
  merged   a whole model in bf16, for every engine
  gguf     one file for llama.cpp and Ollama, with a Modelfile

\b
Examples:
  agentlab finetune export adapters/mine --out exports/mine
  agentlab finetune export adapters/mine --to merged --out exports/mine-merged
  agentlab finetune export adapters/sine --to adapter --energy 0.95 --out exports/sine
  agentlab finetune export adapters/mine --to gguf --converter llama.cpp --out exports/gguf
"""


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder to write.")],
    *,
    to: Annotated[
        Literal["auto", "adapter", "merged", "gguf"], typer.Option("--to", help="The form.")
    ] = "auto",
    engine: Annotated[
        Literal["vllm", "transformers"], typer.Option("--engine", help="What --to auto is for.")
    ] = "vllm",
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="NAME", help="Its base [what the run names]."),
    ] = None,
    energy: Annotated[
        float,
        typer.Option(
            "--energy",
            min=0.01,
            max=1,
            metavar="SHARE",
            help="Share that a neural adapter's LoRA keeps.",
        ),
    ] = 0.99,
    rank: Annotated[
        int | None,
        typer.Option(
            "--rank", min=1, metavar="N", help="Rank of that LoRA [the smallest that fits]."
        ),
    ] = None,
    quantization: Annotated[
        Literal["f32", "f16", "bf16", "q8_0"], typer.Option("--quantization", help="Of the GGUF.")
    ] = "q8_0",
    converter: Annotated[
        Path | None,
        typer.Option(
            "--converter", metavar="PATH", help="llama.cpp, or its convert_hf_to_gguf.py."
        ),
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option("--licence", "--license", metavar="NAME", help="Of the result, for its card."),
    ] = None,
    data_licence: Annotated[
        str | None,
        typer.Option(
            "--data-licence", "--data-license", metavar="NAME", help="Of the training data."
        ),
    ] = None,
    config: options.Config = None,
) -> None:
    """Write a run's result in the form that is served.

    That is an adapter for vLLM, a merged model or a GGUF, with a model card. A merged model is made
    in fp32 and rounded to bf16 once, also where the run had a 4-bit base: of what a QLoRA gained,
    its adapter keeps 99.7 % on the bf16 base, merged 98.9 % (measured on the starter's base by
    tests/bench/serving_precision.py).
    """
    from agentlab.cli.training import not_installed

    try:
        from finetune.delivery import Order, base_name, deliver, needs_base
    except ImportError as error:
        raise not_installed(error) from error

    order = Order(
        run=run,
        out=out,
        target=to,
        engine=engine,
        base_name=model,
        energy=energy,
        rank=rank,
        quantization=quantization,
        converter=converter,
        licence=licence,
        data_licence=data_licence,
    )
    if needs_base(order):
        from agentlab.cli.models import tell
        from serve.models import resolve

        cache = options.resolve(config).settings.models_folder
        order = replace(order, base=resolve(base_name(order), cache=cache, progress=tell))
    _tell(deliver(order, done=_count if sys.stderr.isatty() else None))


def _count(done: int, of: int) -> None:
    sys.stderr.write(f"\rlayer {done} of {of}" + ("\n" if done == of else ""))


def _tell(delivery: "Delivery") -> None:
    """Say on stderr what was made and what it kept, and print the folder."""
    from finetune.servability import FORMS

    lines = [FORMS[delivery.form], *delivery.notes]
    if delivery.max_lora_rank:
        lines.append(f"vLLM: --enable-lora --max-lora-rank {delivery.max_lora_rank}")
    sys.stderr.write("".join(f"{line}\n" for line in lines))
    sys.stdout.write(f"{delivery.folder}\n")
