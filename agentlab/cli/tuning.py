"""`agentlab finetune METHOD`: one command for each way to tune a language model."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from agentlab.cli import options, training

if TYPE_CHECKING:
    from finetune.method_config import TuneConfig


@dataclass(frozen=True)
class Page:
    """What `--help` says of a method: what it does, what a row is, and how it is called."""

    does: str
    rows: str
    examples: tuple[str, ...]

    @property
    def epilog(self) -> str:
        """Return the rows and the examples, as typer prints them."""
        rows = "\n".join(f"  {line}" for line in self.rows.splitlines())
        examples = "\n".join(f"  agentlab finetune {line}" for line in self.examples)
        return f"\b\nRows, one a line:\n{rows}\n\n\b\nExamples:\n{examples}\n"


PAGES = {
    "cpt": Page(
        "Go on with pre-training on plain text: a field's words and facts.\n\n"
        "Every token is learned; texts are packed into blocks of max_length tokens.",
        '{"text": "The pump is bled before ..."}\n(or .txt and .md files, or a folder of them)',
        (
            "cpt --data manuals/ --model smollm2-135m --out adapters/field",
            "cpt --data manuals/ --model smollm2-135m --out a --set tuner=full --set epochs=3",
        ),
    ),
    "sft": Page(
        "Tune a model on what the assistant writes in conversations, tool calls included.\n\n"
        "Instructions with context and response become conversations by a template; rows of plain "
        "text may be mixed in, which keeps a model from forgetting how to write.",
        '{"messages": [{"role": "user", "content": "..."}, ...], "tools": [...]}\n'
        '{"instruction": "...", "context": "...", "response": "..."}',
        (
            "sft --recipe starter --data talks.jsonl --out adapters/mine",
            "sft --recipe starter --data talks.jsonl --out adapters/mine --resume",
            "sft --data talks.jsonl --model smollm2-135m --out a --set lora_rank=8",
            "sft --data more.jsonl --model smollm2-135m --out b --set adapter=a",
        ),
    ),
    "dpo": Page(
        "Learn from pairs which of two answers is better, against the model as it began.\n\n"
        "Needs a model that already answers (tune it by sft first). beta holds it to what it was.",
        '{"prompt": "...", "chosen": "the better answer", "rejected": "the worse one"}',
        (
            "dpo --data pairs.jsonl --model smollm2-135m --out adapters/better",
            "dpo --data pairs.jsonl --model smollm2-135m --out b --set adapter=a --set beta=0.2",
        ),
    ),
    "kto": Page(
        "Learn from single answers with a thumb up or down; no pairs are needed.\n\n"
        "The two kinds are balanced by their numbers unless the weights are set.",
        '{"prompt": "...", "completion": "an answer", "label": true}',
        (
            "kto --data thumbs.jsonl --model smollm2-135m --out adapters/liked",
            "kto --data thumbs.jsonl --model smollm2-135m --out b --set undesirable_weight=2",
        ),
    ),
    "orpo": Page(
        "Learn the better answer and prefer it to the worse one, in a single stage.\n\n"
        "Takes the place of sft and dpo where all data are pairs; keeps no reference.",
        '{"prompt": "...", "chosen": "the better answer", "rejected": "the worse one"}',
        ("orpo --data pairs.jsonl --model smollm2-135m --out adapters/single",),
    ),
}


def yaml_of(plan: "TuneConfig") -> str:
    """Return a run's settings as a recipe."""
    import yaml

    return yaml.safe_dump({"method": plan.method} | plan.resolved(), sort_keys=False)


def register(app: typer.Typer) -> None:
    """Add a command for each method."""
    for method, page in PAGES.items():
        app.command(method, help=page.does, epilog=page.epilog)(_command(method))


def _command(method: str) -> Callable[..., None]:
    def tune(
        *,
        recipe: training.Recipe = None,
        data: training.Data = None,
        eval_data: training.EvalData = None,
        model: training.Base = None,
        out: training.Folder = None,
        change: training.Change = None,
        resume: training.Resume = False,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="Print the settings of the run and stop.")
        ] = False,
        config: options.Config = None,
    ) -> None:
        from finetune.method_config import load_config

        given = {"data": data, "eval_data": eval_data, "model": model, "out": out}
        plan = load_config(method, recipe, given | training.values(change))
        if dry_run:
            sys.stdout.write(yaml_of(plan))
            return
        plan, base = training.with_base(plan, config)
        try:
            from finetune.training import train
        except ImportError as error:
            raise training.not_installed(error) from error
        sys.stdout.write(f"{training.draw(train(plan, base=base, resume=resume))}\n")

    return tune
