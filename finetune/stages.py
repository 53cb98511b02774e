"""Plan: several tunings in a row, read from one file, each going on from the one before."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from finetune.answer_rewards import Model as RewardModelAt
from finetune.config import explain, read_recipe
from finetune.continuing import Earlier, agree
from finetune.errors import ConfigError, FinetuneError, RunChangedError
from finetune.method_config import load_config
from finetune.policy_config import PpoConfig
from finetune.preflight import Seen, look_at
from finetune.tune_config import ATTENTION, TuneConfig

Between = Literal["continue", "merge"]

NO_STAGES = {
    "mine": "it reads the library. Mine the rows before the plan is run",
    "retriever": "the library has to be embedded by its result (agentlab store reembed) before "
    "rows are mined for a stage `rag`. Tune it before the plan is run",
    "reader": "no language model goes on from a reader",
    "router": "no language model goes on from a router",
    "rlmf": "it has rounds of its own. Run it with --set adapter=FOLDER, the last stage's",
}
"""Commands that are no stages of a plan, and why."""


class _PlanFile(BaseModel):
    """What a plan's file holds; a stage is its `method` and that method's settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    adapter: Path | None = None
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
    """Stages in their order; the first trains `adapter` further, where there is one.

    `between` says whether a stage trains the adapter of the one before further, or starts a new one
    on the base with that adapter merged in.
    """

    model: str
    adapter: Path | None
    out: Path
    between: Between
    stages: tuple[Stage, ...]


def read_plan(file: str | Path, overrides: Mapping[str, Any] | None = None) -> Plan:
    """Read and check a plan with all of its stages; `overrides` sets what stands beside them."""
    given = {key: value for key, value in (overrides or {}).items() if value is not None}
    try:
        read = _PlanFile(**(read_recipe(file) | given))
    except ValidationError as error:
        raise ConfigError(explain(error, _PlanFile)) from error
    stages: list[Stage] = []
    for number, settings in enumerate(read.stages, start=1):
        rest = dict(settings)
        method = rest.pop("method", None)
        if not isinstance(method, str):
            raise ConfigError(f"Stage {number} of {file} names no `method`.")
        if method in NO_STAGES:
            raise ConfigError(
                f"Stage {number} of {file}: {method} is a command of its own and no stage of a "
                f"plan: {NO_STAGES[method]}."
            )
        placed = {"model": read.model, "out": read.out / f"{number}-{method}"}
        if read.adapter and method != "reward" and all(x.config.method == "reward" for x in stages):
            placed["adapter"] = read.adapter
        try:
            stages.append(Stage(number, load_config(method, None, placed | rest)))
        except ConfigError as error:
            raise ConfigError(f"Stage {number} of {file}: {error}") from error
    plan = Plan(read.model, read.adapter, read.out, read.between, tuple(stages))
    _check_order(plan)
    return plan


def look_through(
    plan: Plan, *, base: Path | None = None, rewards: Sequence[str] = ()
) -> tuple[Seen | None, ...]:
    """Look at the rows and settings of every stage before any of them runs; None: it is finished.

    `base` is the model's folder, where it is at hand. Raises what a stage would raise once it is
    reached, with its number.
    """
    seen: list[Seen | None] = []
    to_come = {stage.config.out for stage in plan.stages}
    for stage in plan.stages:
        own, base = base, None if _leaves_template(stage, plan) else base
        if stage.finished:
            seen.append(None)
            continue
        try:
            found = look_at(
                _with_judge(stage, plan).config, base=own, rewards=rewards, to_come=to_come
            )
        except FinetuneError as error:
            raise type(error)(f"Stage {stage.number}, {stage.config.method}: {error}") from error
        seen.append(found)
    return tuple(seen)


def _leaves_template(stage: Stage, plan: Plan) -> bool:
    """Return whether the next stage begins from a model that has the template of this one."""
    leaves_model = stage.config.tuner == "full" or plan.between == "merge"
    return leaves_model and stage.config.method != "reward" and bool(stage.config.chat_template)


def stages_to_run(plan: Plan, base: Path) -> Iterator[tuple[Stage, Path]]:
    """Yield each stage that is not finished, settled, with the folder of the model it starts from.

    Whoever iterates trains a stage to its end before asking for the next. A finished stage whose
    settings are others now is refused.
    """
    model, adapter, judges_base = plan.model, None, base
    for stage in plan.stages:
        told = judges_base if judges_base != base else None
        settled = _settle(stage, plan, model=model, adapter=adapter, judges_base=told)
        if stage.finished:
            _check_same(settled)
        else:
            yield settled, base
        if stage.config.method == "reward":
            judges_base = base
            continue  # it judges what later stages write; they do not go on from it
        if stage.config.tuner == "full":
            base, adapter = stage.config.out, None
        elif plan.between == "merge":
            base, adapter = _merged(base, stage.config.out, plan.out), None
        else:
            adapter = stage.config.out
            continue
        model = str(base)


def _settle(
    stage: Stage, plan: Plan, *, model: str, adapter: Path | None, judges_base: Path | None
) -> Stage:
    """Fill in what follows from the stages before: model, adapter, and a reward model to ask."""
    changed: dict[str, Any] = {"model": model}
    if adapter and not stage.config.adapter and stage.config.method != "reward":
        changed["adapter"] = adapter
    judged = _with_judge(stage, plan, base=judges_base)
    return replace(judged, config=judged.config.model_copy(update=changed))


def _with_judge(stage: Stage, plan: Plan, *, base: Path | None = None) -> Stage:
    """Let ppo ask the reward model of the last stage that trains one, unless it names rewards.

    `base` is the folder of the model below the reward model, where ppo itself has another.
    """
    judges = [each for each in plan.stages[: stage.number - 1] if each.config.method == "reward"]
    if not judges or not isinstance(stage.config, PpoConfig) or stage.config.rewards is not None:
        return stage
    rewards = (RewardModelAt(folder=judges[-1].config.out, base=base),)
    return replace(stage, config=stage.config.model_copy(update={"rewards": rewards}))


def _check_order(plan: Plan) -> None:
    """Refuse a stage that cannot train the adapter which the ones before it will leave."""
    left: Earlier | None = None
    for stage in plan.stages:
        config = stage.config
        if config.method == "reward":
            continue
        if left and not config.adapter:
            if config.tuner == "full":
                raise ConfigError(
                    f"Stage {stage.number} trains the whole model, but the one before it leaves "
                    "an adapter. Set between: merge."
                )
            try:
                config = agree(config, left)
            except ConfigError as error:
                raise ConfigError(f"Stage {stage.number}: {error}") from error
        whole = config.tuner == "full" or plan.between == "merge"
        left = None if whole else _adapter_of(config)


def _adapter_of(config: TuneConfig) -> Earlier:
    """Describe the adapter that a stage will leave."""
    named = config.target_modules
    modules = {"attention": ATTENTION, "all": ("all",)}.get(str(named), tuple(named))
    return Earlier(
        folder=config.out,
        sha256="",
        tuner=config.tuner,
        rank=config.lora_rank,
        alpha=config.alpha,
        modules=modules,
        tokens=None,
        frequency=config.frequency if config.tuner == "neural" else None,
    )


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
