"""`agentlab finetune rollouts`: what a model does well by itself becomes rows to learn from."""

import sys
from typing import TYPE_CHECKING, Annotated, cast

import typer

from agentlab.cli import options, training
from agentlab.cli.tuning import agents_world, require_library

if TYPE_CHECKING:
    from agentlab.rollouts import Sampled
    from finetune.policy_config import GrpoConfig

EXAMPLES = """\b
Rows, one a line (answers is empty where nothing answers):
  {"prompt": "a question", "answers": ["a right answer"], "route": "search_documents"}

\b
Examples:
  agentlab data synthesise --kind questions --out asked.jsonl
  agentlab finetune rollouts --data asked.jsonl --model starter --out own
  agentlab finetune rollouts --data asked.jsonl --model starter --out own --set generations=8
  agentlab finetune sft --data own/best.jsonl --model starter --out adapters/better
  agentlab finetune dpo --data own/pairs.jsonl --model starter --out adapters/preferred
"""


def rollouts(
    *,
    recipe: training.Recipe = None,
    data: training.Data = None,
    model: training.Language = None,
    out: training.Folder = None,
    least: Annotated[
        float,
        typer.Option(
            "--least",
            min=0,
            max=1,
            metavar="SHARE",
            help="best.jsonl: what an episode must earn of what there is to earn.",
        ),
    ] = 0.9,
    margin: Annotated[
        float,
        typer.Option(
            "--margin",
            min=0.01,
            max=1,
            metavar="SHARE",
            help="pairs.jsonl: how much more the better one must earn.",
        ),
    ] = 0.2,
    change: training.Change = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print settings and how much is written; stop.")
    ] = False,
    config: options.Config = None,
) -> None:
    """Let the agent act, and keep its better tries.

    It acts several times on each question: it searches your library, and the web where the settings
    allow it, as grpo does, with the same settings (generations, temperature, turns, adapter) and
    rewards. The best episodes are conversations for sft, which is called rejection sampling; the
    best beside a worse one makes a pair for dpo, orpo or reward, of the message in which the two
    first differ. The same command goes on with what a killed one had done.
    """
    import yaml

    from agentlab.agent import index_version
    from agentlab.cli.models import tell
    from agentlab.console import make_console
    from agentlab.progress import Bar
    from finetune.data.reading import read_prompts
    from finetune.method_config import load_config

    given = {"data": data, "model": model, "out": out}
    given |= training.values(change)
    settings = training.settings_of(lambda values: load_config("grpo", recipe, values), given)
    plan = training.with_template(cast("GrpoConfig", settings))
    require_library([plan], config)
    prompts = read_prompts(plan.data)
    if dry_run:
        sys.stdout.write(yaml.safe_dump(plan.resolved(), sort_keys=False))
        episodes = len(prompts) * plan.generations
        sys.stdout.write(
            f"# {len(prompts)} questions, {episodes} episodes of at most {plan.turns} messages, "
            f"each of at most {plan.turn_tokens} tokens\n"
        )
        return
    plan, base = training.with_base(plan, config)
    try:
        from agentlab.rollouts import BEST, PAIRS, sample
        from finetune.rejection import Actor
    except ImportError as error:
        raise training.not_installed(error) from error
    told: Sampled | None = None
    with agents_world(config) as world, Bar(make_console(stderr=True)) as bar:
        decided = plan.model_dump_json(exclude={"data", "out"})
        about = f"{decided} {world.settings!r} {index_version(world.collection)}"
        actor = Actor(plan, base, world)
        for told in sample(
            prompts, actor, plan.out, tools=world.tools, least=least, margin=margin, about=about
        ):
            bar.show("acting", told.done, told.total, f"{told.best} best, {told.pairs} pairs")
    if told:
        _tell_rewards(told, plan)
        tell(
            f"{plan.out / BEST}: {told.best} conversations; {plan.out / PAIRS}: {told.pairs} pairs"
        )
    sys.stdout.write(f"{plan.out}\n")


def _tell_rewards(told: "Sampled", plan: "GrpoConfig") -> None:
    """Draw what the first and the best episodes earned."""
    from agentlab.console import draw_rows, make_console

    highest = told.highest
    rows = [(name, f"{mean:.3f}", f"{highest[name]:.3f}") for name, mean in told.first.items()]
    header = (f"{told.total} questions", "first episode", f"best of {plan.generations}")
    draw_rows(make_console(stderr=True), header, rows)
