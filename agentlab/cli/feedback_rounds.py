"""`agentlab finetune rlmf`: a generator and a discriminator in rounds, kept honest by people."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from agentlab.cli import options, training

if TYPE_CHECKING:
    from finetune.events import Event
    from finetune.rlmf import Round
    from finetune.rlmf_config import RlmfConfig

EXAMPLES = """\b
Rows, one a line:
  {"prompt": "...", "completion": "an answer", "label": true}

\b
Examples:
  agentlab data convert --from journal --to kto --out thumbs.jsonl
  agentlab finetune rlmf --data thumbs.jsonl --model smollm2-135m --out adapters/liked --dry-run
  agentlab finetune rlmf --data thumbs.jsonl --model smollm2-135m --out adapters/liked
  agentlab finetune rlmf --data thumbs.jsonl --model smollm2-135m --out b \\
      --set adapter=adapters/mine --set rounds=2 --set 'generator={max_steps: 100}'
"""


def rlmf(
    *,
    recipe: training.Recipe = None,
    data: training.Data = None,
    eval_data: training.EvalData = None,
    model: training.Language = None,
    out: training.Folder = None,
    change: training.Change = None,
    dry_run: training.DryRun = False,
    config: options.Config = None,
) -> None:
    """Improve a model by machine feedback.

    What people labelled teaches a discriminator to judge. Each round a discriminator learns to
    prefer what people found good to what they found bad and to what the model writes; the model
    then learns what the discriminator prefers. Labels that it never saw keep it honest: the rounds
    end where it agrees with people too little, where answers become alike, and where nothing is
    gained. The same command again goes on where it stopped.
    """
    import yaml

    from agentlab.cli.models import tell
    from finetune.rlmf_config import load_rlmf_config

    given = {"data": data, "eval_data": eval_data, "model": model, "out": out}
    given |= training.values(change)
    plan = training.settings_of(lambda values: load_rlmf_config(recipe, values), given)
    if plan.chat_template is None:
        plan = plan.model_copy(update={"chat_template": training.template_for(plan.model)})
    found = training.found(plan.model, config)
    foretold = _foretold(plan, found)
    if dry_run:
        sys.stdout.write(yaml.safe_dump(plan.model_dump(mode="json"), sort_keys=False))
        sys.stdout.write("".join(f"# {line}\n" for line in foretold))
        return
    for line in foretold:
        tell(line)
    base = found or training.folder_of(plan.model, config)
    plan = plan.model_copy(update={"model": training.whole_name(plan.model)})
    try:
        from finetune.rlmf import rounds
    except ImportError as error:
        raise training.not_installed(error) from error
    for told in _drawn(rounds(plan, base=base)):
        _tell_round(told)
    sys.stdout.write(f"{plan.out}\n")


def _foretold(plan: "RlmfConfig", base: Path | None) -> list[str]:
    """Say what the rounds will take; raise what they would raise later."""
    from finetune.errors import ModelError
    from finetune.hardware import find_hardware
    from finetune.rlmf_forecast import foretell, look_at_labels
    from finetune.shape import shape_of

    look_at_labels(plan, base=base)
    try:
        return foretell(plan, shape_of(plan.model), find_hardware())
    except ModelError as error:  # an unknown shape
        return [f"no estimate: {error}"]


def _drawn(events: "Iterator[Event | Round]") -> "Iterator[Round]":
    """Draw the runs within the rounds, and yield each round as it ends."""
    from finetune.rlmf import Round

    pending: list[Round] = []

    def runs() -> "Iterator[Event]":
        for event in events:
            if isinstance(event, Round):
                pending.append(event)
                return
            yield event

    while True:
        training.draw(runs())
        if not pending:
            return
        yield pending.pop()


def _tell_round(told: "Round") -> None:
    from agentlab.cli.models import tell

    numbers = [
        f"discriminator's AUC {told.auc_people:.2f} on people's labels",
        f"{told.auc_generated:.2f} against generated answers",
    ]
    if told.gain is not None:
        numbers.append(f"gain {told.gain:+.2f} deviations")
    if told.people is not None and told.people_before is not None:
        change = f"{told.people_before:+.2f} to {told.people:+.2f}"
        numbers.append(f"people's choice {change} nats a token")
    if told.variety is not None:
        numbers.append(f"variety {told.variety:.0%}")
    tell(f"round {told.number}: {', '.join(numbers)}")
    if told.stopped:
        tell(f"ended: {told.stopped}")
