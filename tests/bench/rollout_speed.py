"""CPU-seconds of tries on one question: what they have in common done once, against each by itself.

    AGENTLAB_HOME=runs/own/home AGENTLAB_WEB=off OMP_NUM_THREADS=1 \
        python tests/bench/rollout_speed.py runs/own/asked.jsonl --questions 4

The starter acts `--generations` times on each question, which `own_rollouts.py` wrote, in the
library there. By itself means: each try reads all that it is shown and makes each search, and the
adapter stays beside the weights, as where a trainer generates. Both act in turns.
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import cast
from unittest.mock import patch

from agentlab.cli.training import settings_of, with_base, with_template
from agentlab.resolving import load_settings
from agentlab.tuning_world import AgentWorld
from finetune.data.reading import read_prompts
from finetune.method_config import load_config
from finetune.policy_config import GrpoConfig
from finetune.rejection import Actor


@contextmanager
def each_by_itself() -> Iterator[None]:
    """Let nothing be done once for several tries."""
    with ExitStack() as stack:
        stack.enter_context(patch("finetune.rollouts.Roller._read", lambda *_: None))
        stack.enter_context(patch("finetune.rejection.PeftModel", ()))
        stack.enter_context(patch("agentlab.tuning_world.REMEMBERED", 0))
        yield


def main() -> None:
    """Print both and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--questions", type=int, default=4)
    parser.add_argument("--generations", type=int, default=4)
    given = parser.parse_args()
    values = {"data": given.data, "model": "starter", "out": given.data.parent / "speed"}
    values |= {"generations": given.generations}
    settings = settings_of(lambda each: load_config("grpo", None, each), values)
    plan, base = with_base(cast("GrpoConfig", with_template(settings)), None)
    prompts = read_prompts(plan.data)[: given.questions]
    with closing(AgentWorld.open(load_settings().settings)) as world:
        once = Actor(plan, base, world)
        with each_by_itself():
            apart = Actor(plan, base, AgentWorld(world.collection, world.provider, world.settings))
        taken = {"once": 0.0, "apart": 0.0}
        for number, prompt in enumerate(prompts):
            begun = time.process_time()
            once.act(prompt, number)
            taken["once"] += time.process_time() - begun
            with each_by_itself():
                begun = time.process_time()
                apart.act(prompt, number)
                taken["apart"] += time.process_time() - begun
    tries = len(prompts) * given.generations
    print(f"{tries} tries on {len(prompts)} questions, CPU-seconds a question:")
    for name, seconds in taken.items():
        print(f"{name} {seconds / len(prompts):.1f}")
    print(f"{taken['apart'] / taken['once']:.1f} times")


if __name__ == "__main__":
    main()
