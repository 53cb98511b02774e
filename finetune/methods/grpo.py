"""Group-relative policy optimisation on TRL's GRPOTrainer: answers judged beside their siblings.

TRL generates single answers; here a model acts in a world of tools, over several turns, and what
the tools say is masked (Jin et al. 2025, "Search-R1").
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerBase, Trainer
from trl.trainer.grpo_config import GRPOConfig as TrlConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from finetune.data.reading import read_prompts
from finetune.data.rows import Prompt
from finetune.encoding import require_template
from finetune.errors import ConfigError
from finetune.methods.common import QuietTrainer, arguments, arrange
from finetune.methods.method import Method, Model, Rows, model_of, ready
from finetune.policy_config import GrpoConfig
from finetune.rollouts import Roller, Rollout, Sampling, World


class Grpo(Method[GrpoConfig]):
    """Several episodes a prompt; what did better than their mean becomes likelier."""

    rows_are = "prompts"
    loss_is = "loss"

    def __init__(self, config: GrpoConfig, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__(config, tokenizer)
        self.template: str = require_template(config.chat_template, tokenizer)

    def read(self, paths: Sequence[Path]) -> Rows:
        """Read prompts; what else stands in their rows is for the rewards."""
        prompts = read_prompts(paths)
        tokens = sum(len(self.tokenizer(str(each.prompt))["input_ids"]) for each in prompts)
        return Rows(prompts, tokens, learned=0)

    def make_trainer(self, model: Model, rows: Rows, folder: Path) -> Trainer:
        """Build the trainer, each of whose steps acts `generations` times on `batch` prompts."""
        config = self.config
        weights = self.weights()
        total = config.steps(len(rows.items))
        asked: Sequence[int] = range(len(rows.items))
        if len(asked) < config.batch:  # TRL leaves out a batch that is not full: here all there is
            asked = arrange([0] * len(asked), batch=config.batch, total=total, seed=config.seed)
        settings = TrlConfig(
            **arguments(config, folder, total=total),
            per_device_train_batch_size=config.micro_batch,
            gradient_accumulation_steps=config.accumulation,
            gradient_checkpointing=torch.cuda.is_available(),
            generation_batch_size=config.rows_a_step,
            num_generations=config.generations,
            max_completion_length=config.max_length,
            beta=config.beta,
            epsilon=config.epsilon,
            temperature=config.temperature,
            reward_weights=list(weights.values()),
        )
        with warnings.catch_warnings():
            # rollout_func may change, which this module is the only one to mind
            warnings.filterwarnings("ignore", message=".*rollout_func.*")
            trainer = GrpoTrainer(
                rows.items,
                self.roller(config.temperature),
                model=model,
                reward_funcs=[_reward(name) for name in weights],
                args=settings,
                train_dataset=Dataset.from_list([{"prompt": "", "row": row} for row in asked]),
                processing_class=self.tokenizer,
            )
        ready(trainer)
        return trainer

    def measure(self, trainer: Trainer, held_out: Rows) -> Mapping[str, float]:
        """Return the mean of each reward where the model always takes the likeliest token."""
        rollouts = self.roller(0.0).roll(model_of(trainer), held_out.items)
        judged = [each.episode.rewards() for each in rollouts]
        weights = self.weights()
        return {f"reward/{name}": fmean(each[name] for each in judged) for name in weights} | {
            "reward": fmean(sum(weights[name] * each[name] for name in weights) for each in judged)
        }

    def weights(self) -> dict[str, float]:
        """Return each reward's weight: what the settings say, else 1 for all of the world's."""
        return self.config.weights(self._world().rewards)

    def roller(self, temperature: float) -> Roller:
        """Return who lets a model act in the world, as the settings say."""
        config = self.config
        sampling = Sampling(config.turns, config.turn_tokens, config.max_length, temperature)
        return Roller(self.tokenizer, self.template, self._world(), sampling)

    def _world(self) -> World:
        if self.world is None:
            raise ConfigError("grpo acts in a world: give train(..., world=...).")
        return self.world


def _reward(name: str) -> Callable[..., list[float]]:
    """Return TRL's kind of reward function, which looks a reward up in what was judged."""

    def reward(judged: list[Mapping[str, float]], **_: Any) -> list[float]:
        return [each[name] for each in judged]

    reward.__name__ = name
    return reward


class GrpoTrainer(QuietTrainer, GRPOTrainer):
    """TRL's trainer on episodes of a world."""

    def __init__(self, prompts: Sequence[Prompt], roller: Roller, **given: Any) -> None:
        self.prompts, self.roller = prompts, roller
        self.asked: list[int] = []
        super().__init__(rollout_func=self._act, **given)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> Any:
        """Note which rows these are, of which TRL tells the rollout the prompts alone."""
        self.asked = [row["row"] for row in inputs]
        return super()._generate_and_score_completions(inputs)

    def _act(self, _prompts: Sequence[Any], _trainer: Any) -> dict[str, list[Any] | None]:
        """Act once on each row and return the tokens, whose they are, and how they were judged."""
        rollouts: list[Rollout] = self.roller.roll(
            model_of(self), [self.prompts[row] for row in self.asked]
        )
        return {
            "prompt_ids": [each.prompt_ids for each in rollouts],
            "completion_ids": [each.completion_ids for each in rollouts],
            "logprobs": None,
            "env_mask": [each.own for each in rollouts],
            "judged": [each.episode.rewards() for each in rollouts],
            "turns": [each.turns for each in rollouts],
        }
