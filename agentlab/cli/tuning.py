"""`agentlab finetune METHOD`: one command for each way to tune a language model."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentlab.cli import options, training
from agentlab.errors import UserError

if TYPE_CHECKING:
    from agentlab.tuning_world import AgentWorld
    from finetune.method_config import TuneConfig
    from finetune.preflight import Seen
    from finetune.stages import Plan


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
        "Learn a field's words and facts from plain text.\n\n"
        "Pre-training goes on: every token is learned; texts are packed into blocks of max_length "
        "tokens.",
        '{"text": "The pump is bled before ..."}\n(or .txt and .md files, or a folder of them)',
        (
            "cpt --data manuals/ --model smollm2-135m --out adapters/field",
            "cpt --library --model smollm2-135m --out adapters/field",
            "cpt --data manuals/ --model smollm2-135m --out a --set tuner=full --set epochs=3",
        ),
    ),
    "sft": Page(
        "Learn what the assistant writes in conversations.\n\n"
        "Tool calls are learned too. Instructions with context and response become conversations "
        "by a template; rows of plain text may be mixed in, which keeps a model from forgetting "
        "how to write.",
        '{"messages": [{"role": "user", "content": "..."}, ...], "tools": [...]}\n'
        '{"instruction": "...", "context": "...", "response": "..."}',
        (
            "sft --recipe starter --data talks.jsonl --model smollm2-135m --out adapters/mine",
            "sft --recipe gpu-8gb --data talks.jsonl --out adapters/mine --resume",
            "sft --data talks.jsonl --model smollm2-135m --out a --set lora_rank=8",
            "sft --data talks.jsonl --model smollm2-135m --out c --set tuner=neural",
            "sft --data more.jsonl --model smollm2-135m --out b --set adapter=a",
        ),
    ),
    "dpo": Page(
        "Learn from pairs which of two answers is better.\n\n"
        "The reference is the model as it began. Needs a model that already answers (tune it by "
        "sft first). beta holds it to what it was.",
        '{"prompt": "...", "chosen": "the better answer", "rejected": "the worse one"}',
        (
            "dpo --data pairs.jsonl --model smollm2-135m --out adapters/better",
            "dpo --data pairs.jsonl --model smollm2-135m --out b --set adapter=a --set beta=0.2",
        ),
    ),
    "kto": Page(
        "Learn from single answers with a thumb up or down.\n\n"
        "No pairs are needed. The two kinds are balanced by their numbers unless the weights are "
        "set.",
        '{"prompt": "...", "completion": "an answer", "label": true}',
        (
            "kto --data thumbs.jsonl --model smollm2-135m --out adapters/liked",
            "kto --data thumbs.jsonl --model smollm2-135m --out b --set undesirable_weight=2",
        ),
    ),
    "orpo": Page(
        "Learn to answer and what is better, in a single stage.\n\n"
        "Takes the place of sft and dpo where all data are pairs; keeps no reference.",
        '{"prompt": "...", "chosen": "the better answer", "rejected": "the worse one"}',
        ("orpo --data pairs.jsonl --model smollm2-135m --out adapters/single",),
    ),
    "grpo": Page(
        "Let the agent act, and learn from its better tries.\n\n"
        "What is judged better than the other tries becomes likelier. The agent searches your "
        "library, and the web where the settings allow it, for every question, several times. "
        "Rewards: format, route, citation, answer, brevity; weigh them by --set "
        "rewards='{citation: 2, answer: 1}'. What the tools say is not learned.",
        '{"prompt": "a question", "answers": ["a right answer"], "route": "search_documents"}',
        ("grpo --data asked.jsonl --model smollm2-135m --out b --set adapter=adapters/mine",),
    ),
    "rag": Page(
        "Tune retriever and generator together.\n\n"
        "Both learn by the likelihood of answers from what is found. The index stays as it is: the"
        " encoder of questions learns which passages help the model, and the model to answer from "
        "them. Rows are written by mine --for rag. encoder is the embedder that the library was "
        "read with; its rate is encoder_learning_rate, 0 leaves it. The encoder of questions is "
        "written into the result's folder query_encoder. The agent embeds questions and passages "
        "alike, so it searches by it after `agentlab store reembed --embedder OUT/query_encoder`.",
        '{"question": "...", "answer": "...", "passages": [{"text": "...", "vector": "..."}, ...]}',
        (
            "mine --questions asked.jsonl --for rag --out lookups.jsonl",
            "rag --data lookups.jsonl --model smollm2-135m --out adapters/both",
            "rag --data lookups.jsonl -m smollm2-135m -o a --set passages=6 --set adapter=b",
        ),
    ),
    "reward": Page(
        "Train a model that says how good an answer is.\n\n"
        "It says so by one number, and learns from pairs, or from rankings, of which every pair "
        "counts. ppo makes a model better by it; with --eval-data its accuracy and AUC are "
        "measured. It is not served, but loaded (finetune.reward_model.load_reward).",
        '{"prompt": "...", "chosen": "the better answer", "rejected": "the worse one"}\n'
        '{"prompt": "...", "completions": ["the best", "...", "the worst"]}',
        (
            "reward --recipe reward --data pairs.jsonl --model smollm2-135m --out rewards/mine",
            "reward --recipe reward --data train.jsonl --eval-data rest.jsonl -m smollm2-135m -o r",
            "reward --data pairs.jsonl --model smollm2-135m --out r --set adapter=adapters/mine",
            "reward --data rated.jsonl --model smollm2-135m --out r --set margins=true",
        ),
    ),
    "ppo": Page(
        "Let a model answer, and learn from a reward.\n\n"
        "What the reward says is good becomes likelier. kl holds it to what it was, which is the "
        "model with its adapter switched off; a run that leaves that (kl_limit) stops. Begin from "
        "an adapter of sft: ppo makes good answers more frequent, it does not teach new ones.",
        '{"prompt": "what is asked", "gold": "what a rule may look for"}\n'
        "Rewards, one or a list in [], each rule with a weight if wanted:\n"
        "  rewards/mine                             the folder of a reward model\n"
        "  {reward: contains, text: euros}          or field: gold, a field of the row\n"
        "  {reward: length, words: 40}              the nearer the better\n"
        "  {reward: form, pattern: 'Answer: .+'}    a regular expression",
        (
            "ppo --recipe ppo --data asked.jsonl -m smollm2-135m -o a --set rewards=rewards/mine",
            "ppo --data ask.jsonl -m smollm2-135m -o b --set 'rewards={reward: length, words: 9}'",
            "ppo --data more.jsonl -m smollm2-135m -o c --set rewards=r --set adapter=a",
        ),
    ),
}


RUN_EXAMPLES = """\b
A plan:
  model: smollm2-135m
  out: runs/mine
  between: continue        # train one adapter further, or merge it first
  stages:
    - {method: cpt, data: manuals/}
    - {method: sft, data: talks.jsonl, epochs: 2}
    - {method: dpo, data: pairs.jsonl}

\b
Examples:
  agentlab finetune run plan.yaml --dry-run
  agentlab finetune run plan.yaml          the same again goes on where it stopped
"""


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
        model: training.Base = None,
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
    model: training.Base = None,
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
    from finetune.preflight import look_at

    plan = training.with_template(load_config(method, recipe, given))
    seen = look_at(plan, rewards=_rewards([plan]))
    _require_library([plan], config)
    if dry_run:
        _print_plan(plan, seen)
        return
    plan, base = training.with_base(plan, config)
    plan = training.with_encoder(plan, config)
    _foretell(plan, base, seen)
    _train(plan, base, config, resume=resume)
    sys.stdout.write(f"{plan.out}\n")


def run(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="YAML file with the stages.")],
    *,
    model: training.Base = None,
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

    plan = read_plan(file, {"model": model, "out": out})
    plan = replace(plan, model=training.whole_name(plan.model))
    plan = _settled(plan, lambda each: each.model_copy(update={"model": plan.model}))
    plan = _settled(plan, training.with_template)
    waiting = [stage.config for stage in plan.stages if not stage.finished]
    seen = look_through(plan, rewards=_rewards(waiting))
    _require_library(waiting, config)
    if dry_run:
        for stage, rows in zip(plan.stages, seen, strict=True):
            sys.stdout.write(f"# stage {stage.number}{', finished' * stage.finished}\n")
            _print_plan(stage.config, rows)
        return
    base = training.folder_of(plan.model, config)
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


def _require_library(plans: "Sequence[TuneConfig]", config: Path | None) -> None:
    """Raise UserError where a run lets the agent search a library that holds nothing."""
    if all(plan.method != "grpo" for plan in plans):
        return
    settings = options.resolve(config).settings
    from agentlab.library import store_config
    from ingest.stores import open_store

    store = open_store(store_config(settings))
    try:
        if not store.count():
            raise UserError(
                "grpo lets the agent search the library, which is empty: run agentlab ingest PATH "
                "first."
            )
    finally:
        store.close()


def _train(plan: "TuneConfig", base: Path, config: Path | None, *, resume: bool) -> None:
    try:
        from finetune.training import train
    except ImportError as error:
        raise training.not_installed(error) from error
    with _world(config) if plan.method == "grpo" else nullcontext() as world:
        training.draw(train(plan, base=base, world=world, resume=resume))


@contextmanager
def _world(config: Path | None) -> "Iterator[AgentWorld]":
    """Open what the agent acts in: the library and the web search that the settings name."""
    settings = options.resolve(config).settings
    from agentlab.cli.models import tell
    from agentlab.tuning_world import AgentWorld

    with closing(AgentWorld.open(settings, progress=tell)) as world:
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
