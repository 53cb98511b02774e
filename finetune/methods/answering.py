"""Answerer: lets the policy answer prompts, and has each answer scored and each token judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import GenerationConfig, PreTrainedTokenizerBase

from finetune.data.rows import Prompt
from finetune.methods.actor_critic import ActorCritic
from finetune.methods.rollout import Written, write_answers
from finetune.policy_config import PpoConfig
from finetune.precision import in_bf16
from finetune.processes import company
from finetune.scoring import Scorer

BATCHES_A_ROLLOUT = 100_003
"""By how much the seeds of neighbouring rollouts lie apart: more than one has batches."""


@dataclass(frozen=True)
class Asked:
    """A prompt and its token ids, up to where the assistant begins."""

    prompt: Prompt
    ids: tuple[int, ...]


@dataclass(frozen=True)
class Judged:
    """Answers, what the policy and the reference thought of each token, and each one's reward."""

    written: Written
    log_probs: Tensor
    reference: Tensor
    values: Tensor
    rewards: Tensor

    def scores(self, unended_penalty: float) -> Tensor:
        """Return the reward of each answer, less the penalty where the answer was cut off."""
        return self.rewards - unended_penalty * (~self.written.ended).float()

    @property
    def measures(self) -> Mapping[str, float]:
        """Return the means over the answers."""
        kl = ((self.log_probs - self.reference) * self.written.mask).sum(-1)
        return {
            "reward": float(self.rewards.mean()),
            "kl": float(kl.mean()),
            "length": float(self.written.mask.sum(-1).float().mean()),
            "ended": float(self.written.ended.float().mean()),
        }

    def to(self, device: torch.device | str) -> "Judged":
        """Return the same on another device."""
        moved = {name: value.to(device) for name, value in vars(self.written).items()}
        own = {name: value.to(device) for name, value in vars(self).items() if name != "written"}
        return Judged(Written(**moved), **own)


@dataclass(frozen=True)
class Answerer:
    """What answers prompts, with what says how good an answer is."""

    config: PpoConfig
    actor: ActorCritic
    scorer: Scorer
    how: GenerationConfig
    tokenizer: PreTrainedTokenizerBase

    def answer(self, asked: Sequence[Asked], *, seed: int) -> Judged:
        """Answer prompts, `batch` at a time, and judge the answers; the same seed gives the same.

        Where several processes share the run each takes its turn at the batches, and all of them
        get all answers.
        """
        device, crew, size = self._device, company(), self.config.batch
        width = max(len(each.ids) for each in asked)
        own = {
            at: self._batch(
                asked[at * size : (at + 1) * size], seed=seed * BATCHES_A_ROLLOUT + at, width=width
            ).to("cpu")
            for at in range(crew.rank, -(-len(asked) // size), crew.size)
        }
        batches: dict[int, Judged] = {}
        for found in crew.gather(own):
            batches |= found
        filler = int(self.how.pad_token_id)
        return joined([batches[at] for at in sorted(batches)], filler=filler).to(device)

    def _batch(self, asked: Sequence[Asked], *, seed: int, width: int) -> Judged:
        was_training = self.actor.training
        self.actor.eval()
        with self._autocast():
            written = write_answers(
                self.actor.policy, [each.ids for each in asked], self.how, seed=seed, width=width
            )
        log_probs, values = self._judge(written)
        with self.actor.reference():
            reference, _ = self._judge(written)
        self.actor.train(was_training)
        tokenizer: Any = self.tokenizer
        texts = tokenizer.batch_decode(written.answers(), skip_special_tokens=True)
        rewards = self.scorer.score([each.prompt for each in asked], texts)
        return Judged(written, log_probs, reference, values, torch.tensor(rewards))

    @torch.no_grad()
    def _judge(self, written: Written) -> tuple[Tensor, Tensor]:
        """Return log-probabilities and values of the answers' tokens, `micro_batch` at a time."""
        log_probs, values = [], []
        for at in range(0, len(written.mask), self.config.micro_batch):
            some = slice(at, at + self.config.micro_batch)
            with self._autocast():
                found, _, worth = self.actor(
                    written.input_ids[some], written.attention_mask[some], written.mask.shape[1]
                )
            log_probs.append(found)
            values.append(worth)
        return torch.cat(log_probs), torch.cat(values)

    @property
    def _device(self) -> torch.device:
        return next(self.actor.parameters()).device

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=in_bf16(self.config))


def joined(parts: Sequence[Judged], *, filler: int) -> Judged:
    """Put batches together, whose answers are padded to the longest of all."""
    longest = max(part.written.mask.shape[1] for part in parts)
    grown = [_grown(part, longest, filler) for part in parts]
    names = ("log_probs", "reference", "values", "rewards")
    return Judged(
        Written(
            **{
                name: torch.cat([getattr(part.written, name) for part in grown])
                for name in ("input_ids", "attention_mask", "mask", "ended")
            }
        ),
        **{name: torch.cat([getattr(part, name) for part in grown]) for name in names},
    )


def _grown(part: Judged, longest: int, filler: int) -> Judged:
    more = (0, longest - part.written.mask.shape[1])
    written = replace(
        part.written,
        input_ids=pad(part.written.input_ids, more, value=filler),
        attention_mask=pad(part.written.attention_mask, more),
        mask=pad(part.written.mask, more),
    )
    return Judged(
        written,
        pad(part.log_probs, more),
        pad(part.reference, more),
        pad(part.values, more),
        part.rewards,
    )
