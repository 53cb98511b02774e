"""PpoTrainer: transformers' trainer, which learns from answers that the model has just written.

A rollout is written, scored and judged when its first micro batch is asked for; then several passes
go over it, as TRL's GRPOTrainer does. Which answer stands in which micro batch is laid down for the
whole run, and a checkpoint holds the rollout that it falls in, so a resumed run goes on exactly.
"""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig

from finetune.data.rows import Prompt
from finetune.errors import CollapsedError, ConfigError
from finetune.method_config import PpoConfig
from finetune.methods.actor_critic import ActorCritic
from finetune.methods.common import FiniteTrainer, arrange
from finetune.methods.ppo_loss import (
    adapted_coefficient,
    advantages_of,
    kl_to_earlier,
    masked_mean,
    policy_loss,
    token_rewards,
    value_loss,
    whiten,
)
from finetune.methods.rollout import Rollout, Written, load_rollout, write_answers
from finetune.scoring import Scorer

SEEDS_A_RUN = 1_000_003
"""By how much the seeds of neighbouring runs lie apart: more than a run has rollouts."""


@dataclass(frozen=True)
class Asked:
    """A prompt and its token ids, up to where the assistant begins."""

    prompt: Prompt
    ids: tuple[int, ...]


@dataclass(frozen=True)
class Judged:
    """Answers, what the policy and the reference thought of each token, and each answer's score."""

    written: Written
    log_probs: Tensor
    reference: Tensor
    values: Tensor
    scores: Tensor
    measures: Mapping[str, float]


class PpoTrainer(FiniteTrainer):
    """A trainer whose rows are places in rollouts."""

    def __init__(
        self,
        config: PpoConfig,
        actor: ActorCritic,
        asked: Sequence[Asked],
        scorer: Scorer,
        how: GenerationConfig,
        **given: Any,
    ) -> None:
        args = given["args"]
        if args.world_size > 1 or args.n_gpu > 1:
            raise ConfigError(
                "ppo runs in one process on one GPU, as a rollout is written by one model. Set "
                "CUDA_VISIBLE_DEVICES to one GPU, and start it without a launcher."
            )
        total = args.max_steps
        self.places = places(config, total)
        super().__init__(
            model=actor,
            train_dataset=self.places,
            data_collator=lambda rows: {
                name: torch.tensor([row[name] for row in rows]) for name in ("rollout", "row")
            },
            **given,
        )
        self.config, self.actor, self.asked = config, actor, asked
        self.scorer, self.how = scorer, how
        self.kl = config.kl
        self.rollout: Rollout | None = None
        self.seen: dict[str, list[float]] = defaultdict(list)
        rollouts = -(-total * config.batch // (config.answers * config.passes))
        lengths = [len(each.ids) for each in asked]
        self.order = arrange(lengths, batch=config.answers, total=rollouts, seed=config.seed)

    def _prepare_inputs(self, inputs: Any) -> Any:
        """Turn places in a rollout into its answers; write the rollout if it is a new one."""
        inputs = super()._prepare_inputs(inputs)
        number = int(inputs["rollout"][0])
        if self.rollout is None or self.rollout.number != number:
            self.rollout = self._roll_out(number)
        batch = self.rollout.rows(inputs["row"])
        batch["share"] = batch["mask"].sum() / self._tokens_of_step(self.rollout)
        self.state.num_input_tokens_seen += int(batch["attention_mask"].sum())
        return batch

    def _tokens_of_step(self, rollout: Rollout) -> Tensor:
        """Return how many tokens the answers of the step that is being taken have."""
        first = self.state.global_step * self.config.batch
        rows = [place["row"] for place in self.places[first : first + self.config.batch]]
        return rollout.mask[rows].sum()

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,  # noqa: ARG002
        num_items_in_batch: Tensor | int | None = None,  # noqa: ARG002
    ) -> Any:
        """Return the micro batch's loss: of the policy, of the values, and less the entropy."""
        config, mask = self.config, inputs["mask"]
        log_probs, entropies, values = model(
            inputs["input_ids"], inputs["attention_mask"], mask.shape[1]
        )
        of_policy, clipped = policy_loss(
            log_probs, inputs["log_probs"], inputs["advantages"], mask, clip=config.clip
        )
        of_values = value_loss(
            values, inputs["values"], inputs["returns"], mask, clip=config.value_clip
        )
        entropy = masked_mean(entropies, mask)
        self._note(
            entropy=entropy,
            value_loss=of_values,
            clipped=clipped,
            step_kl=kl_to_earlier(log_probs.detach(), inputs["log_probs"], mask),
        )
        loss = of_policy + config.value_weight * of_values - config.entropy_weight * entropy
        # every token of the step counts alike; the trainer takes the mean over micro batches
        return loss * inputs["share"] * self.current_gradient_accumulation_steps

    def answer(self, asked: Sequence[Asked], *, seed: int) -> Judged:
        """Let the policy answer prompts, and have each answer scored and each token judged.

        The score is the reward, less `unended_penalty` where the answer was cut off.
        """
        config, device = self.config, self.args.device
        was_training = self.actor.training
        self.actor.eval()
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=config.bf16):
            written = write_answers(
                self.actor.policy,
                [each.ids for each in asked],
                self.how,
                seed=seed,
                batch=config.batch,
            )
        log_probs, values = self._judge(written)
        with self.actor.reference():
            reference, _ = self._judge(written)
        self.actor.train(was_training)
        tokenizer: Any = self.processing_class
        texts = tokenizer.batch_decode(written.answers(), skip_special_tokens=True)
        rewards = torch.tensor(
            self.scorer.score([each.prompt for each in asked], texts), device=device
        )
        kl = ((log_probs - reference) * written.mask).sum(-1)
        lengths = written.mask.sum(-1).float()
        measures = {
            "reward": float(rewards.mean()),
            "kl": float(kl.mean()),
            "length": float(lengths.mean()),
            "ended": float(written.ended.float().mean()),
        }
        scores = rewards - config.unended_penalty * (~written.ended).float()
        return Judged(written, log_probs, reference, values, scores, measures)

    @torch.no_grad()
    def _judge(self, written: Written) -> tuple[Tensor, Tensor]:
        """Return log-probabilities and values of the answers' tokens, `micro_batch` at a time."""
        config, device = self.config, self.args.device
        log_probs, values = [], []
        for at in range(0, len(written.mask), config.micro_batch):
            some = slice(at, at + config.micro_batch)
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=config.bf16):
                found, _, worth = self.actor(
                    written.input_ids[some], written.attention_mask[some], written.mask.shape[1]
                )
            log_probs.append(found)
            values.append(worth)
        return torch.cat(log_probs), torch.cat(values)

    def _roll_out(self, number: int) -> Rollout:
        """Write and judge a rollout, and adapt the KL coefficient for the next one."""
        config = self.config
        which = self.order[number * config.answers : (number + 1) * config.answers]
        asked = [self.asked[at] for at in which]
        judged = self.answer(asked, seed=config.seed * SEEDS_A_RUN + number)
        written = judged.written
        self._check(judged)
        rewards = token_rewards(
            judged.scores, judged.log_probs, judged.reference, written.mask, coefficient=self.kl
        )
        advantages, returns = advantages_of(
            rewards, judged.values, written.mask, gamma=config.gamma, lam=config.lam
        )
        measures = {**judged.measures, "kl_coefficient": self.kl}
        if config.kl_target:
            self.kl = adapted_coefficient(self.kl, measures["kl"], target=config.kl_target)
        return Rollout(
            number=number,
            input_ids=written.input_ids,
            attention_mask=written.attention_mask,
            mask=written.mask,
            log_probs=judged.log_probs,
            values=judged.values,
            advantages=whiten(advantages, written.mask),
            returns=returns,
            measures=measures,
        )

    def _check(self, judged: Judged) -> None:
        """Stop a policy that has left its reference: it games the reward, and writes no language.

        Far from the reference no reward model was ever right, and the way back is a checkpoint.
        """
        kl, limit = judged.measures["kl"] / judged.measures["length"], self.config.kl_limit
        if not kl <= limit:
            raise CollapsedError(
                f"After step {self.state.global_step} the answers are {kl:.2f} nats a token away "
                f"from the reference, more than kl_limit={limit:g}; reward "
                f"{judged.measures['reward']:.3g}. The last checkpoint is from before it, but the "
                "course was set earlier: begin again with a lower learning_rate (try half), a "
                "larger kl, or kl_target to hold it; and read some answers, as a reward that can "
                "be had by nonsense will be."
            )

    def _note(self, **values: Tensor) -> None:
        for name, value in values.items():
            self.seen[name].append(float(value.detach()))

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the rollout's measures and the step's."""
        if self.rollout and "loss" in logs:
            logs |= self.rollout.measures
            logs |= {name: sum(values) / len(values) for name, values in self.seen.items()}
            self.seen.clear()
        super().log(logs, start_time)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:  # noqa: ARG002
        """Write what is trained, and not the base below it."""
        folder = Path(output_dir or str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        self.actor.save(folder)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Write a checkpoint with the rollout that it falls in."""
        super()._save_checkpoint(model, trial)
        if self.rollout:
            folder = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}"
            self.rollout.save(folder, kl=self.kl)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:  # noqa: ARG002
        """Read what was trained, and the rollout."""
        folder = Path(resume_from_checkpoint)
        self.actor.load(folder)
        self.rollout, more = load_rollout(folder, self.args.device)
        self.kl = more["kl"]


def places(config: PpoConfig, total: int) -> list[dict[str, int]]:
    """Return, for `total` steps, which answer of which rollout stands where.

    Each rollout is gone through in `passes` passes, each in an order of its own.
    """
    found: list[dict[str, int]] = []
    number = 0
    while len(found) < total * config.batch:
        for each in range(config.passes):
            rows = list(range(config.answers))
            random.Random(f"{config.seed} {number} {each}").shuffle(rows)
            found += [{"rollout": number, "row": row} for row in rows]
        number += 1
    return found[: total * config.batch]
