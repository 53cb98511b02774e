"""Plan: several tunings in a row, read from one file, each going on from the one before."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from finetune.answer_rewards import Model as RewardModelAt
from finetune.config import explain, read_recipe
from finetune.errors import ConfigError, RunChangedError
from finetune.method_config import PpoConfig, TuneConfig, load_config

Between = Literal["continue", "merge"]


class _PlanFile(BaseModel):
    """What a plan's file holds; a stage is its `method` and that method's settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    out: Path
    between: Between = "continue"
    stages: tuple[dict[str, Any], ...] = Field(min_length=1)


@dataclass(frozen=True)
class Stage:
    """One tuning of a plan, its result in a folder of its own."""

    number: int
    config: TuneConfig

    @property
    def finished(self) -> bool:
        """Return whether an earlier run of the plan has done it."""
        return (self.config.out / "metrics.json").is_file()


@dataclass(frozen=True)
class Plan:
    """Stages in their order.

    `between` says whether a stage trains the adapter of the one before further, or starts a new one
    on the base with that adapter merged in.
    """

    model: str
    out: Path
    between: Between
    stages: tuple[Stage, ...]


def read_plan(file: str | Path, overrides: Mapping[str, Any] | None = None) -> Plan:
    """Read and check a plan with all of its stages; `overrides` sets `model`, `out`, `between`."""
    given = {key: value for key, value in (overrides or {}).items() if value is not None}
    try:
        read = _PlanFile(**(read_recipe(file) | given))
    except ValidationError as error:
        raise ConfigError(explain(error, _PlanFile)) from error
    stages = []
    for number, settings in enumerate(read.stages, start=1):
        rest = dict(settings)
        method = rest.pop("method", None)
        if not isinstance(method, str):
            raise ConfigError(f"Stage {number} of {file} names no `method`.")
        placed = {"model": read.model, "out": read.out / f"{number}-{method}"}
        try:
            stages.append(Stage(number, load_config(method, None, placed | rest)))
        except ConfigError as error:
            raise ConfigError(f"Stage {number} of {file}: {error}") from error
    return Plan(read.model, read.out, read.between, tuple(stages))


def stages_to_run(plan: Plan, base: Path) -> Iterator[tuple[Stage, Path]]:
    """Yield each stage that is not finished, settled, with the folder of the model it starts from.

    Whoever iterates trains a stage to its end before asking for the next. A finished stage whose
    settings are others now is refused.
    """
    model, adapter = plan.model, None
    for stage in plan.stages:
        settled = _settle(stage, plan, model=model, adapter=adapter)
        if stage.finished:
            _check_same(settled)
        else:
            yield settled, base
        if stage.config.method == "reward":
            continue  # it judges what later stages write; they do not go on from it
        if stage.config.tuner == "full":
            base, adapter = stage.config.out, None
        elif plan.between == "merge":
            base, adapter = _merged(base, stage.config.out, plan.out), None
        else:
            adapter = stage.config.out
            continue
        model = str(base)


def _settle(stage: Stage, plan: Plan, *, model: str, adapter: Path | None) -> Stage:
    """Fill in what follows from the stages before: model, adapter, and a reward model to ask."""
    config = stage.config
    changed: dict[str, Any] = {"model": model}
    if adapter and not config.adapter and config.method != "reward":
        if config.tuner == "full":
            raise ConfigError(
                f"Stage {stage.number} trains the whole model, but the one before it left an "
                "adapter. Set between: merge."
            )
        changed["adapter"] = adapter
    judges = [each for each in plan.stages[: stage.number - 1] if each.config.method == "reward"]
    if judges and isinstance(config, PpoConfig) and config.rewards is None:
        changed["rewards"] = (RewardModelAt(folder=judges[-1].config.out),)
    return Stage(stage.number, config.model_copy(update=changed))


def _merged(base: Path, adapter: Path, out: Path) -> Path:
    from finetune.export import merge

    template = adapter / "chat_template.jinja"
    text = template.read_text(encoding="utf-8") if template.is_file() else None
    return merge(base, adapter, out / "merged", chat_template=text)


def _check_same(stage: Stage) -> None:
    path = stage.config.out / "resolved.yaml"
    try:
        before = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    now = stage.config.learned()
    changed = [name for name, value in now.items() if name in before and before[name] != value]
    # an adapter that a run goes on from decides these itself
    taken = (
        {"lora_rank", "lora_alpha", "target_modules", "tuner", "frequency"}
        if stage.config.adapter
        else set()
    )
    if set(changed) - taken:
        raise RunChangedError(
            f"Stage {stage.number} is finished in {stage.config.out}, but was run with other "
            f"{', '.join(sorted(set(changed) - taken))}. Set them back, or give another `out`."
        )
