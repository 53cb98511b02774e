"""AdvisedPlan: an advice as the file that `agentlab finetune run` carries out."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from finetune.amounts import duration, gigabytes
from finetune.errors import ConfigError
from finetune.run_folder import write
from finetune.situation import Advice, Reason

WIDTH = 92


def plan_of(advice: Advice, *, out: Path, chat_template: Path | None = None) -> dict[str, Any]:
    """Return the plan as plain data; raise ConfigError where the advice is not to tune.

    `chat_template` is for the stages whose rows are rendered by one, where the model's own cannot
    be learned from.
    """
    if not advice.stages:
        raise ConfigError(f"There is no plan to write: {advice.headline}")
    stages: list[dict[str, Any]] = []
    for stage in advice.stages:
        settings = {"method": stage.method, "data": list(stage.data), **stage.settings}
        if chat_template and stage.method != "cpt":
            settings["chat_template"] = str(chat_template)
        if stage.method == "ppo":  # the stage before it, in the folder where a plan's run puts it
            judge = out / f"{len(stages)}-reward"
            settings["rewards"] = [{"reward": "model", "folder": str(judge)}]
        stages.append(settings)
    return {
        "model": advice.model,
        "out": str(out),
        "between": advice.between,
        "stages": stages,
    }


def plan_text(advice: Advice, *, file: Path, out: Path, chat_template: Path | None = None) -> str:
    """Return the plan as YAML that says why, and what each stage is expected to take."""
    plan = plan_of(advice, out=out, chat_template=chat_template)
    lines = [
        f"# {advice.headline}",
        "# Run it, or go on with it: agentlab finetune run " + str(file),
    ]
    lines += ["#", "# Why:", *told(advice.reasons, indent="# ")]
    if advice.cautions:
        lines += ["# Mind:", *told(advice.cautions, indent="# ")]
    head = {key: value for key, value in plan.items() if key != "stages"}
    lines += ["", _yaml(head).rstrip(), "stages:"]
    for stage, settings in zip(advice.stages, plan["stages"], strict=True):
        cost = f"about {gigabytes(stage.memory)}, {duration(stage.seconds)}"
        lines.append(f"  # {stage.method}: {cost}, {stage.tokens:,} tokens")
        lines.append(textwrap.indent(_yaml([settings]).rstrip(), "  "))
    return "\n".join(lines) + "\n"


def write_plan(advice: Advice, file: Path, *, out: Path, chat_template: Path | None = None) -> None:
    """Write the plan at once; raise ConfigError rather than write over a file."""
    if file.exists():
        raise ConfigError(f"{file} exists. Give another --out, or remove it.")
    file.parent.mkdir(parents=True, exist_ok=True)
    write(file, plan_text(advice, file=file, out=out, chat_template=chat_template))


def told(reasons: Sequence[Reason], *, indent: str) -> list[str]:
    """Return the reasons as lines, each a dash's item after `indent`, with its fact in brackets."""
    lines: list[str] = []
    for reason in reasons:
        lines += textwrap.wrap(
            f"{reason.says} ({reason.fact})",
            WIDTH,
            initial_indent=f"{indent}- ",
            subsequent_indent=f"{indent}  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines


def _yaml(value: Mapping[str, Any] | list[Any]) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=WIDTH)
