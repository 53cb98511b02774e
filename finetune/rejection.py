"""Rejection sampling: what a model does well by itself, and what badly, as rows to learn from.

It acts several times on each prompt, in a world that judges it. The best episode is a conversation
to imitate (Yuan et al. 2023, "Scaling Relationship on Learning Mathematical Reasoning", RFT). The
best beside a worse one is a pair, of the first message in which the two differ, so that nothing
that a tool said is learned.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from peft import PeftModel

from finetune.base_model import load_tokenizer
from finetune.continuing import agree, read_earlier
from finetune.data.rows import Conversation, Message, Pair, Prompt
from finetune.methods.grpo import Grpo
from finetune.policy_config import GrpoConfig
from finetune.rollouts import Rollout, World


@dataclass(frozen=True)
class Judged:
    """An episode: how it began, what was said since, and what that earned.

    `total` is the rewards' weighted mean, 0 to 1 where each of them is.
    """

    opening: tuple[Message, ...]
    said: tuple[Message, ...]
    rewards: Mapping[str, float]
    total: float


class Actor:
    """A model that acts in a world, several times on each prompt, as the settings of grpo say.

    It is what a run of grpo with these settings would begin from.
    """

    def __init__(self, config: GrpoConfig, base: Path, world: World) -> None:
        earlier = read_earlier(config.adapter) if config.adapter else None
        self.config = agree(config, earlier) if earlier else config
        method = Grpo(self.config, load_tokenizer(base))
        method.world = world
        self.weights, self.roller = method.weights(), method.roller(config.temperature)
        self.model = cast("Any", method.load(base, earlier))
        if isinstance(self.model, PeftModel) and not config.quantize_4bit:
            # it learns nothing here, and in one matrix it writes sooner than beside it
            self.model = cast("Any", self.model).merge_and_unload()
        if torch.cuda.is_available() and not config.quantize_4bit:
            self.model.to("cuda")

    def act(self, prompt: Prompt, number: int) -> list[Judged]:
        """Act on a prompt `generations` times; the same `number` acts the same each time."""
        with torch.random.fork_rng():
            torch.manual_seed(self.config.seed * 1_000_003 + number)
            rollouts = self.roller.roll(self.model, [prompt] * self.config.generations)
        return [self._judged(each) for each in rollouts]

    def _judged(self, rollout: Rollout) -> Judged:
        rewards = dict(rollout.episode.rewards())
        weighted = sum(weight * rewards[name] for name, weight in self.weights.items())
        total = weighted / sum(self.weights.values())
        return Judged(tuple(rollout.episode.messages), tuple(rollout.said), rewards, total)


def highest(episodes: Sequence[Judged]) -> Judged:
    """Return the episode that earns most, of several the first."""
    return max(episodes, key=lambda each: each.total)


def best_of(
    prompt: Prompt, episodes: Sequence[Judged], tools: Sequence[Mapping[str, Any]], *, least: float
) -> Conversation | None:
    """Return the best episode to imitate, or None where it earns less than `least`."""
    best = highest(episodes)
    if best.total < least:
        return None
    return Conversation((*best.opening, *best.said), tuple(tools) or None, extra=_origin(prompt))


def pair_of(
    prompt: Prompt, episodes: Sequence[Judged], tools: Sequence[Mapping[str, Any]], *, margin: float
) -> Pair | None:
    """Return what to prefer to what: the best to one that earns less by `margin` or more.

    Of several it is the one that goes the same way the longest, which tells best what was wrong;
    of those the worst. None where none is so much worse.
    """
    best = highest(episodes)
    found = [
        (shared, -each.total, each)
        for each in episodes
        if best.total - each.total >= margin
        and (shared := _shared(best.said, each.said)) is not None
    ]
    if not found:
        return None
    shared, _, worse = max(found, key=lambda each: each[:2])
    return Pair(
        (*best.opening, *best.said[:shared]),
        (best.said[shared],),
        (worse.said[shared],),
        tuple(tools) or None,
        extra=_origin(prompt),
    )


def _shared(best: Sequence[Message], worse: Sequence[Message]) -> int | None:
    """Count the messages that are alike; None where it is no words of the model that differ."""
    for count, (one, other) in enumerate(zip(best, worse, strict=False)):
        if one != other:
            told = all(
                each["role"] == "assistant" and str(each["content"]).strip()
                for each in (one, other)
            )
            return count if told else None
    return None


def _origin(prompt: Prompt) -> dict[str, Any]:
    """Return where a row's prompt came from."""
    return {"lineage": prompt.lineage} if prompt.lineage else {}
