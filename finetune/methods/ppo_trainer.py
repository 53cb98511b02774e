"""PpoTrainer: transformers' trainer, which learns from answers that the model has just written.

A rollout is written, scored and judged when its first micro batch is asked for; then several passes
go over it, as TRL's GRPOTrainer does. Which answer stands in which micro batch is laid down for the
whole run, and a checkpoint holds the rollout that it falls in, so a resumed run goes on exactly.
"""

import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from finetune.errors import CollapsedError
from finetune.methods.answering import Answerer, Asked, Judged
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
from finetune.methods.rollout import Rollout, load_rollout
from finetune.policy_config import PpoConfig
from finetune.processes import company

SEEDS_A_RUN = 1_000_003
"""By how much the seeds of neighbouring runs lie apart: more than a run has rollouts."""


class PpoTrainer(FiniteTrainer):
    """A trainer whose rows are places in rollouts."""

    def __init__(
        self,
        config: PpoConfig,
        answerer: Answerer,
        asked: Sequence[Asked],
        **given: Any,
    ) -> None:
        total = given["args"].max_steps
        self.places = places(config, total)
        super().__init__(
            model=answerer.actor,
            train_dataset=self.places,
            data_collator=lambda rows: {
                name: torch.tensor([row[name] for row in rows]) for name in ("rollout", "row")
            },
            **given,
        )
        self.config, self.asked = config, asked
        self.answerer, self.actor = answerer, answerer.actor
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
        seen = int(batch["attention_mask"].sum())
        self.state.num_input_tokens_seen += seen * company().size  # about, of all processes
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
        # every token of the step counts alike; the mean is taken over micro batches and processes
        parts = self.current_gradient_accumulation_steps * company().size
        return loss * inputs["share"] * parts

    def _roll_out(self, number: int) -> Rollout:
        """Write and judge a rollout, and adapt the KL coefficient for the next one."""
        config = self.config
        which = self.order[number * config.answers : (number + 1) * config.answers]
        asked = [self.asked[at] for at in which]
        judged = self.answerer.answer(asked, seed=config.seed * SEEDS_A_RUN + number)
        written = judged.written
        self._check(judged)
        rewards = token_rewards(
            judged.scores(config.unended_penalty),
            judged.log_probs,
            judged.reference,
            written.mask,
            coefficient=self.kl,
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
            own = {name: fmean(values) for name, values in self.seen.items()}
            everyone = company().gather(own)
            logs |= {name: fmean(each[name] for each in everyone) for name in own}
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
        if self.rollout and company().leads:
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
