"""Scorer: what the rewards of a run say of answers, added up."""

from collections.abc import Sequence
from pathlib import Path

from finetune.answer_rewards import AnyReward, Model
from finetune.data.rows import Prompt
from finetune.errors import CollapsedError, ExampleError
from finetune.reward_folder import read_reward_config
from finetune.reward_model import RewardModel, load_reward


class Scorer:
    """Scores answers by a run's rewards, of which the reward models are loaded once.

    A reward model that was trained on `model`, as the run's own, finds it in the folder `base`.
    """

    def __init__(self, rewards: Sequence[AnyReward], *, model: str, base: Path) -> None:
        self.rewards = rewards
        self.models: dict[int, RewardModel] = {
            at: load_reward(reward.folder, base=reward.base or _shared(reward.folder, model, base))
            for at, reward in enumerate(rewards)
            if isinstance(reward, Model)
        }

    def score(self, prompts: Sequence[Prompt], answers: Sequence[str]) -> list[float]:
        """Return the reward of each answer; raise CollapsedError at one that is no number."""
        totals = [0.0] * len(answers)
        for at, reward in enumerate(self.rewards):
            for row, value in enumerate(self._said(at, reward, prompts, answers)):
                totals[row] += reward.weight * value
        for prompt, answer, total in zip(prompts, answers, totals, strict=True):
            if not abs(total) < float("inf"):
                raise CollapsedError(
                    f"The reward of an answer to {prompt.place} is {total}: {answer[:80]!r}. Look "
                    "at what gives the reward; a model of it that overflows in bf16 may need "
                    "bf16=false."
                )
        return totals

    def _said(
        self, at: int, reward: AnyReward, prompts: Sequence[Prompt], answers: Sequence[str]
    ) -> list[float]:
        if isinstance(reward, Model):
            asked = [prompt.prompt for prompt in prompts]
            return self.models[at].score(asked, answers, [prompt.tools for prompt in prompts])
        found = []
        for prompt, answer in zip(prompts, answers, strict=True):
            try:
                found.append(reward.of(answer, prompt.extra))
            except ExampleError as error:
                raise ExampleError(f"{prompt.place}: {error}") from error
        return found


def _shared(folder: Path, model: str, base: Path) -> Path | None:
    return base if read_reward_config(folder).model == model else None
