"""Rollouts: a model's own episodes in the agent's world, as rows to learn from."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol

from agentlab.kept import kept_beside
from finetune.data.rows import Prompt
from finetune.data.writing import write_rows
from finetune.rejection import Judged, best_of, highest, pair_of

EPISODES, BEST, PAIRS = "episodes.jsonl", "best.jsonl", "pairs.jsonl"


class Acts(Protocol):
    """Who acts on a prompt, several times."""

    def act(self, prompt: Prompt, number: int) -> list[Judged]:
        """Act, and be judged."""


@dataclass
class Sampled:
    """How far it is: `best` and `pairs` are rows so far; the means are over the prompts so far.

    `first` is what a prompt's first episode earned by each reward, `highest` its best one.
    """

    done: int = 0
    total: int = 0
    best: int = 0
    pairs: int = 0
    _first: list[Mapping[str, float]] = field(default_factory=list)
    _highest: list[Mapping[str, float]] = field(default_factory=list)

    @property
    def first(self) -> dict[str, float]:
        """Return the mean of each reward of the first episodes."""
        return _means(self._first)

    @property
    def highest(self) -> dict[str, float]:
        """Return the mean of each reward of the best episodes."""
        return _means(self._highest)

    def count(self, episodes: Sequence[Judged]) -> None:
        """Count a prompt's episodes."""
        self.done += 1
        for counted, each in ((self._first, episodes[0]), (self._highest, highest(episodes))):
            counted.append({**each.rewards, "total": each.total})


def _means(rewards: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: fmean(each[name] for each in rewards) for name in rewards[0]} if rewards else {}


def sample(
    prompts: Sequence[Prompt],
    actor: Acts,
    out: Path,
    *,
    tools: Sequence[Mapping[str, Any]],
    least: float,
    margin: float,
    about: str,
) -> Iterator[Sampled]:
    """Let the model act on all prompts, and tell of each; write three files into `out` at the end.

    They are all episodes, the best ones that earn `least`, and pairs of which one earns more by
    `margin`. `about` names all but the prompts that decides the episodes; what a killed run had is
    kept and gone on from.
    """
    out.mkdir(parents=True, exist_ok=True)
    asked = [json.dumps(each.to_dict(), sort_keys=True) for each in prompts]
    best, pairs = [], []
    sampled = Sampled(total=len(prompts))
    with kept_beside(out / EPISODES, about, *asked) as kept:
        earlier = [_read(line) for line in kept.lines()]
        for number, prompt in enumerate(prompts):
            if number < len(earlier):
                episodes = earlier[number]
            else:
                episodes = actor.act(prompt, number)
                kept.add({"prompt": prompt.prompt, "episodes": [asdict(one) for one in episodes]})
            sampled.count(episodes)
            if row := best_of(prompt, episodes, tools, least=least):
                best.append(row)
            if pair := pair_of(prompt, episodes, tools, margin=margin):
                pairs.append(pair)
            sampled.best, sampled.pairs = len(best), len(pairs)
            yield sampled
        write_rows(out / BEST, (row.to_dict() for row in best))
        write_rows(out / PAIRS, (pair.to_dict() for pair in pairs))
        write_rows(out / EPISODES, kept.lines())


def _read(line: Mapping[str, Any]) -> list[Judged]:
    return [
        Judged(tuple(each["opening"]), tuple(each["said"]), each["rewards"], each["total"])
        for each in line["episodes"]
    ]
