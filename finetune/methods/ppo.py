"""Proximal policy optimisation: the model writes answers, and learns from what they earn.

TRL has none since 1.16, so the trainer is this package's own (`ppo_trainer`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from peft.peft_model import PeftModel
from transformers import PreTrainedTokenizerBase, Trainer, TrainingArguments

from finetune.answer_rewards import Model as RewardModelAt
from finetune.completed import encode_prompt
from finetune.continuing import ADAPTER_WEIGHTS, Earlier
from finetune.data.reading import read_prompts
from finetune.encoding import require_template
from finetune.errors import ExampleError
from finetune.methods.actor_critic import VALUE_WEIGHTS, ActorCritic, keep_reference
from finetune.methods.answering import Answerer, Asked
from finetune.methods.common import arguments
from finetune.methods.method import Method, Model, Rows, ready
from finetune.methods.ppo_trainer import PpoTrainer
from finetune.methods.rollout import generation_config
from finetune.policy_config import PpoConfig
from finetune.saving import MODEL_WEIGHTS
from finetune.scoring import Scorer


class Ppo(Method[PpoConfig]):
    """Rewards made more likely by a clipped policy gradient, near to the model as it began."""

    rows_are = "prompts"
    loss_is = "loss of policy and values"

    def __init__(self, config: PpoConfig, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__(config, tokenizer)
        self.template: str = require_template(config.chat_template, tokenizer)
        self.rewards = config.needed_rewards()
        self.files = tuple(
            path
            for reward in self.rewards
            if isinstance(reward, RewardModelAt)
            for path in (reward.folder / ADAPTER_WEIGHTS, reward.folder / MODEL_WEIGHTS)
            if path.is_file()
        )

    def read(self, paths: Sequence[Path]) -> Rows:
        """Read prompts; one that leaves no room for an answer in `max_length` is left out."""
        config = self.config
        room = config.max_length - config.completion_length
        rows = [
            Asked(
                prompt,
                encode_prompt(
                    prompt.prompt, prompt.tools, tokenizer=self.tokenizer, template=self.template
                ),
            )
            for prompt in read_prompts(paths)
        ]
        kept = [row for row in rows if len(row.ids) <= room]
        if not kept:
            raise ExampleError(
                f"All {len(rows)} prompts are longer than {room} tokens, which is max_length less "
                "completion_length. Raise max_length or shorten them."
            )
        left_out = tuple(row.prompt.place for row in rows if len(row.ids) > room)
        return Rows(kept, sum(len(row.ids) for row in kept), 0, left_out)

    def load(self, base: Path, earlier: Earlier | None) -> Model:
        """Load the policy, with a copy of an earlier adapter for its reference, and the rewards."""
        config = self.config
        self.scorer = Scorer(self.rewards, model=config.model, base=base)
        model = super().load(base, earlier)
        if earlier and isinstance(model, PeftModel):
            keep_reference(model)
        return model

    def make_trainer(self, model: Model, rows: Rows, folder: Path) -> Trainer:
        """Build the trainer; an earlier adapter's value head is taken where it has one."""
        config = self.config
        assert isinstance(model, PeftModel)  # noqa: S101 - the settings refuse full tuning
        actor = ActorCritic(model, temperature=config.temperature)
        if config.adapter and (config.adapter / VALUE_WEIGHTS).is_file():
            actor.load_value_head(config.adapter)
        trainer = PpoTrainer(
            config,
            Answerer(
                config,
                actor,
                self.scorer,
                generation_config(
                    model,
                    self.tokenizer,
                    length=config.completion_length,
                    temperature=config.temperature,
                ),
                self.tokenizer,
            ),
            rows.items,
            args=TrainingArguments(
                **arguments(config, folder, total=config.steps(len(rows.items))),
                per_device_train_batch_size=config.micro_batch,
                gradient_accumulation_steps=config.accumulation,
                gradient_checkpointing=torch.cuda.is_available(),
                train_sampling_strategy="sequential",
                remove_unused_columns=False,
            ),
            processing_class=self.tokenizer,
        )
        ready(trainer)
        return trainer

    def measure(self, trainer: Trainer, held_out: Rows) -> Mapping[str, float]:
        """Return what answers to held-out prompts earn; the loss is the KL's cost less that."""
        assert isinstance(trainer, PpoTrainer)  # noqa: S101 - it is the one made above
        seen = trainer.answerer.answer(held_out.items, seed=self.config.seed).measures
        return {"loss": trainer.kl * seen["kl"] - seen["reward"], **seen}

    def conclude(self, trainer: Trainer, rows: Rows, folder: Path) -> None:  # noqa: ARG002
        """Write the value head, where it is wanted for a later run."""
        assert isinstance(trainer, PpoTrainer)  # noqa: S101 - it is the one made above
        if self.config.keep_value_head:
            trainer.actor.save_value_head(folder)
