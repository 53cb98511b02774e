"""`agentlab finetune METHOD`: one command for each way to tune a language model."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentlab.cli import options, training
from agentlab.cli.tuning_pages import PAGES, RUN_EXAMPLES
from agentlab.errors import UserError

if TYPE_CHECKING:
    from agentlab.tuning_world import AgentWorld
    from finetune.preflight import Seen
    from finetune.stages import Plan
    from finetune.tune_config import TuneConfig


def register(app: typer.Typer) -> None:
    """Add a command for each method, and the one that runs several in a row."""
    for method, page in PAGES.items():
        command = cpt if method == "cpt" else _command(method)
        app.command(method, help=page.does, epilog=page.epilog)(command)
    app.command("run", epilog=RUN_EXAMPLES)(run)


def _command(method: str) -> Callable[..., None]:
    def tune(
        *,
        recipe: training.Recipe = None,
        data: training.Data = None,
        eval_data: training.EvalData = None,
        model: training.Language = None,
        out: training.Folder = None,
        change: training.Change = None,
        resume: training.Resume = False,
        dry_run: training.DryRun = False,
        config: options.Config = None,
    ) -> None:
        given = {"data": data, "eval_data": eval_data, "model": model, "out": out}
        _tune(
            method, recipe, given | training.values(change), config, resume=resume, dry_run=dry_run
        )

    return tune


def cpt(
    *,
    recipe: training.Recipe = None,
    data: training.Data = None,
    library: Annotated[
        bool, typer.Option("--library", help="Learn from the ingested documents.")
    ] = False,
    eval_data: training.EvalData = None,
    model: training.Language = None,
    out: training.Folder = None,
    change: training.Change = None,
    resume: training.Resume = False,
    dry_run: training.DryRun = False,
    config: options.Config = None,
) -> None:
    """Go on with pre-training on plain text, on that of the ingested documents with --library."""
    if library:
        if out is None:
            raise typer.BadParameter("--library writes its texts beside --out: give it")
        data = [*(data or []), _library_texts(out.with_name(f"{out.name}.library.jsonl"), config)]
    given = {"data": data, "eval_data": eval_data, "model": model, "out": out}
    _tune("cpt", recipe, given | training.values(change), config, resume=resume, dry_run=dry_run)


def _library_texts(path: Path, config: Path | None) -> Path:
    """Write the library's texts and return their file."""
    settings = options.resolve(config).settings
    from agentlab.cli.models import tell
    from agentlab.library import store_config
    from agentlab.library_texts import write_texts
    from ingest.stores import open_store

    store = open_store(store_config(settings))
    try:
        tell(f"{path}: the texts of {write_texts(store, path)} documents")
    finally:
        store.close()
    return path


def _tune(
    method: str,
    recipe: str | None,
    given: dict[str, Any],
    config: Path | None,
    *,
    resume: bool,
    dry_run: bool,
) -> None:
    from finetune.method_config import load_config
    from finetune.preflight import check_template, look_at

    plan = training.settings_of(lambda values: load_config(method, recipe, values), given)
    plan = training.with_template(plan)
    plan = plan.model_copy(update={"model": training.whole_name(plan.model)})
    found = training.found(plan.model, config)
    seen = look_at(plan, base=found, rewards=_rewards([plan]))
    require_library([plan], config)
    if dry_run:
        _print_plan(plan, seen)
        return
    plan, base = training.with_base(plan, config)
    if found is None:
        check_template(plan, base)
    plan = training.with_encoder(plan, config)
    _foretell(plan, base, seen)
    _train(plan, base, config, resume=resume)
    sys.stdout.write(f"{plan.out}\n")


def run(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="YAML file with the stages.")],
    *,
    model: training.Language = None,
    out: training.Folder = None,
    dry_run: training.DryRun = False,
    config: options.Config = None,
) -> None:
    """Run several tunings in a row.

    Each goes on from the one before. What is finished is not done again, so the same command
    resumes a plan that was stopped.
    """
    from agentlab.cli.models import tell
    from finetune.stages import look_through, read_plan, stages_to_run

    plan = training.settings_of(partial(read_plan, file), {"model": model, "out": out})
    plan = replace(plan, model=training.whole_name(plan.model))
    plan = _settled(plan, lambda each: each.model_copy(update={"model": plan.model}))
    plan = _settled(plan, training.with_template)
    waiting = [stage.config for stage in plan.stages if not stage.finished]
    found = training.found(plan.model, config)
    seen = look_through(plan, base=found, rewards=_rewards(waiting))
    require_library(waiting, config)
    if dry_run:
        for stage, rows in zip(plan.stages, seen, strict=True):
            sys.stdout.write(f"# stage {stage.number}{', finished' * stage.finished}\n")
            _print_plan(stage.config, rows)
        return
    if not waiting:
        tell(f"all {len(plan.stages)} stages are finished; another --out runs them again")
        return
    base = training.folder_of(plan.model, config)
    if found is None:
        look_through(plan, base=base, rewards=_rewards(waiting))
    plan = _settled(plan, lambda each: training.with_encoder(each, config))
    for stage, folder in stages_to_run(plan, base):
        tell(f"stage {stage.number} of {len(plan.stages)}: {stage.config.method}")
        _foretell(stage.config, folder, seen[stage.number - 1])
        _train(stage.config, folder, config, resume=True)
        sys.stdout.write(f"{stage.config.out}\n")


def _settled(plan: "Plan", settle: "Callable[[TuneConfig], TuneConfig]") -> "Plan":
    """Return the plan with the settings of each stage settled further."""
    stages = (replace(stage, config=settle(stage.config)) for stage in plan.stages)
    return replace(plan, stages=tuple(stages))


def _rewards(plans: "Sequence[TuneConfig]") -> tuple[str, ...]:
    """Return the agent's rewards where a run lets it act."""
    if all(plan.method != "grpo" for plan in plans):
        return ()
    from agentlab.tuning_world import AgentWorld

    return AgentWorld.rewards


def require_library(plans: "Sequence[TuneConfig]", config: Path | None) -> None:
    """Raise UserError where the agent is to search a library that holds nothing."""
    if all(plan.method != "grpo" for plan in plans):
        return
    settings = options.resolve(config).settings
    from agentlab.library import store_config
    from ingest.stores import open_store

    store = open_store(store_config(settings))
    try:
        if not store.count():
            raise UserError(
                "The agent searches the library, which is empty: run agentlab ingest PATH first."
            )
    finally:
        store.close()


def _train(plan: "TuneConfig", base: Path, config: Path | None, *, resume: bool) -> None:
    try:
        from finetune.training import train
    except ImportError as error:
        raise training.not_installed(error) from error
    with agents_world(config) if plan.method == "grpo" else nullcontext() as world:
        training.draw(train(plan, base=base, world=world, resume=resume))


@contextmanager
def agents_world(config: Path | None) -> "Iterator[AgentWorld]":
    """Open what the agent acts in: the library and the web search that the settings name."""
    settings = options.resolve(config).settings
    from agentlab.cli.models import tell
    from agentlab.tuning_world import AgentWorld

    with closing(AgentWorld.open(settings, progress=tell)) as world:
        if world.provider is None:
            tell("the web is off: a model that learns from such tries unlearns to search it")
        yield world


def _print_plan(plan: "TuneConfig", seen: "Seen | None") -> None:
    """Print a run's settings as a recipe, and what is foretold of it as comments."""
    import yaml

    recipe = {"method": plan.method} | plan.resolved()
    sys.stdout.write(yaml.safe_dump(recipe, sort_keys=False))
    for line in _foretold(plan, plan.model, seen):
        sys.stdout.write(f"# {line}\n")


def _foretell(plan: "TuneConfig", base: Path, seen: "Seen | None") -> None:
    """Say before hours are spent what the run will take, and how its result is served."""
    from agentlab.cli.models import tell

    for line in _foretold(plan, base, seen):
        tell(line)


def _foretold(plan: "TuneConfig", model: str | Path, seen: "Seen | None") -> list[str]:
    """Say what a run will take and how its result is served; nothing of a finished stage."""
    if seen is None:
        return []
    from finetune.errors import FinetuneError
    from finetune.forecast import forecast
    from finetune.hardware import find_hardware
    from finetune.servability import check
    from finetune.shape import shape_of

    try:
        lines = str(forecast(plan, shape_of(model), find_hardware(), seen)).splitlines()
    except FinetuneError as error:  # an unknown shape
        lines = [f"no estimate: {error}"]
    lines += seen.notes
    return lines if plan.method == "reward" else [*lines, str(check(plan))]
