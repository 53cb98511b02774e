"""Settings of the methods that learn from what the model itself writes: PPO and GRPO."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from finetune.answer_rewards import Rewards
from finetune.errors import ConfigError
from finetune.tune_config import TuneConfig


class GrpoConfig(TuneConfig):
    """Group-relative policy optimisation (Shao et al. 2024) on whole episodes with tools.

    A step takes `batch` prompts, each acted on `generations` times: `turns` messages of at most
    `turn_tokens` tokens, `max_length` tokens with what the tools say. `rewards` weighs the world's
    rewards by name; `beta` adds a KL penalty, `epsilon` clips the ratio.
    """

    method: ClassVar[str] = "grpo"

    learning_rate: float = Field(2e-5, gt=0)
    batch: int = Field(4, ge=1)
    generations: int = Field(4, ge=2)
    temperature: float = Field(1.0, gt=0)
    turns: int = Field(3, ge=1)
    turn_tokens: int = Field(160, ge=4)
    rewards: dict[str, float] | None = None
    beta: float = Field(0.0, ge=0)
    epsilon: float = Field(0.2, gt=0, lt=1)

    @property
    def rows_a_step(self) -> int:
        """Return how many episodes a step learns from."""
        return self.batch * self.generations

    def weights(self, known: Sequence[str]) -> dict[str, float]:
        """Return the weight of each reward, 1 for all that are known where none is set.

        Raises ConfigError for rewards that are not known, or that all weigh nothing.
        """
        weights = self.rewards or dict.fromkeys(known, 1.0)
        unknown = weights.keys() - set(known)
        if unknown:
            raise ConfigError(f"No reward {min(unknown)!r} here. Use: {', '.join(known)}.")
        if not any(weights.values()):
            raise ConfigError(f"rewards weighs all by 0: give one of {', '.join(known)} a weight.")
        return weights


class PpoConfig(TuneConfig):
    """Proximal policy optimisation (Schulman et al. 2017) of answers that the model writes itself.

    Of each `rollout` answers (4 batches or more unless it is set), at most `completion_length`
    tokens long, steps of `batch` learn in `passes` passes. `rewards` say how good an answer is; one
    that was not ended loses `unended_penalty`. `kl` is what a nat away from the reference costs,
    which `kl_target`, nats an answer, adapts (Ziegler et al. 2019); beyond `kl_limit`, nats a
    token, the run stops.
    """

    method: ClassVar[str] = "ppo"

    rewards: Rewards | None = None
    rollout: int | None = Field(None, ge=1)
    passes: int = Field(2, ge=1)
    completion_length: int = Field(64, ge=1)
    temperature: float = Field(1.0, gt=0)
    unended_penalty: float = Field(1.0, ge=0)

    learning_rate: float = Field(5e-5, gt=0)
    batch: int = Field(16, ge=1)
    micro_batch: int = Field(4, ge=1)
    kl: float = Field(0.05, ge=0)
    kl_target: float | None = Field(None, gt=0)
    kl_limit: float = Field(1.0, gt=0)
    gamma: float = Field(1.0, gt=0, le=1)
    lam: float = Field(0.95, ge=0, le=1)
    clip: float = Field(0.2, gt=0, lt=1)
    value_clip: float = Field(0.2, gt=0)
    value_weight: float = Field(0.1, ge=0)
    entropy_weight: float = Field(0.0, ge=0)
    keep_value_head: bool = False

    @property
    def answers(self) -> int:
        """Return how many answers a rollout has."""
        return self.rollout or self.batch * self.processes * math.ceil(4 / self.processes)

    def needed_rewards(self) -> Rewards:
        """Return the rewards; raise ConfigError where there are none."""
        if self.rewards is None:
            raise ConfigError(
                "ppo needs rewards, which say how good an answer is. Set one or a list of them: "
                "the folder of a reward model that `agentlab finetune reward` trained (--set "
                "rewards=FOLDER), or a rule (--set 'rewards={reward: contains, text: please}', "
                "contains with field: NAME of the row, {reward: length, words: 40}, {reward: "
                "form, pattern: '...'}). In a plan, a stage `reward` before this one gives one."
            )
        return self.rewards

    def steps(self, rows: int) -> int:
        """Return the steps over the rollouts that take each of the prompts `epochs` times."""
        rollouts = max(1, math.ceil(rows * self.epochs / self.answers))
        return self.max_steps or rollouts * self.passes * self.answers // self.batch

    @model_validator(mode="after")
    def _fit_the_rollout(self) -> Self:
        if self.tuner == "full":
            msg = (
                "ppo holds the model to the one that it was, which is the base with its adapter "
                "switched off: tuner=full has none. Use lora"
            )
            raise ValueError(msg)
        if self.lora_dropout:
            msg = (
                "ppo compares the model with itself a moment earlier, and dropout would make the "
                "two differ: leave lora_dropout out"
            )
            raise ValueError(msg)
        if self.answers % self.batch:
            msg = f"batch={self.batch} does not divide rollout={self.answers}"
            raise ValueError(msg)
        if self.answers // self.batch % self.processes:
            whole = self.batch * self.processes
            msg = (
                f"each of processes={self.processes} writes as many batches of a rollout: make "
                f"rollout={self.answers} a multiple of {whole}"
            )
            raise ValueError(msg)
        if self.completion_length >= self.max_length:
            msg = f"completion_length={self.completion_length} leaves no room in max_length"
            raise ValueError(msg)
        if self.kl_target and not self.kl:
            msg = "kl_target adapts kl, which is 0: set kl to where it begins"
            raise ValueError(msg)
        return self

    def resolved(self) -> dict[str, Any]:
        """Return every setting as plain data, derived ones filled in."""
        return super().resolved() | {"rollout": self.answers}
