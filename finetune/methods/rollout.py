"""Rollout: answers that the model wrote, as PPO learns from them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from peft.peft_model import PeftModel
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor
from transformers import GenerationConfig, PreTrainedTokenizerBase

from finetune.run_folder import write

ROLLOUT = "rollout.safetensors"


@dataclass(frozen=True)
class Written:
    """Prompts, padded on the left, with the answers to them, padded on the right.

    `mask` (answers, tokens) is 1 where an answer has a token, its end mark included; `ended` says
    which have one. `input_ids` and `attention_mask` hold the prompts too.
    """

    input_ids: Tensor
    attention_mask: Tensor
    mask: Tensor
    ended: Tensor

    def answers(self) -> list[list[int]]:
        """Return the token ids of each answer."""
        tokens = self.input_ids[:, -self.mask.shape[1] :]
        return [row[kept.bool()].tolist() for row, kept in zip(tokens, self.mask, strict=True)]


@dataclass(frozen=True)
class Rollout:
    """Answers with what the policy that wrote them thought, and what that was worth.

    All but `input_ids` and `attention_mask` are (answers, tokens).
    """

    number: int
    input_ids: Tensor
    attention_mask: Tensor
    mask: Tensor
    log_probs: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor
    measures: Mapping[str, float]

    def rows(self, which: Tensor) -> dict[str, Any]:
        """Return some of the answers, without the columns that are padding in all of them."""
        mask = self.mask[which]
        length = int(mask.sum(-1).max())
        width = self.mask.shape[1]
        prompts = self.input_ids.shape[1] - width
        first = int(self.attention_mask[which].argmax(-1).min())
        whole = slice(first, prompts + length)
        return {
            "input_ids": self.input_ids[which, whole],
            "attention_mask": self.attention_mask[which, whole],
            "mask": mask[:, :length],
            "log_probs": self.log_probs[which, :length],
            "values": self.values[which, :length],
            "advantages": self.advantages[which, :length],
            "returns": self.returns[which, :length],
        }

    def save(self, folder: Path, **more: float) -> None:
        """Write the rollout into a checkpoint, with numbers that belong to it."""
        facts = {"number": self.number, "measures": dict(self.measures), "more": more}
        tensors = {name: getattr(self, name).cpu().contiguous() for name in _TENSORS}
        write(folder / ROLLOUT, save(tensors, metadata={"facts": json.dumps(facts)}))


_TENSORS = tuple(each.name for each in fields(Rollout) if each.name not in ("number", "measures"))


def load_rollout(folder: Path, device: torch.device) -> tuple[Rollout, dict[str, float]]:
    """Read a checkpoint's rollout, and the numbers that were saved with it."""
    with safe_open(folder / ROLLOUT, framework="pt") as file:
        facts = json.loads(file.metadata()["facts"])
        tensors = {name: file.get_tensor(name).to(device) for name in _TENSORS}
    return Rollout(number=facts["number"], measures=facts["measures"], **tensors), facts["more"]


@torch.no_grad()
def write_answers(
    policy: PeftModel,
    prompts: Sequence[Sequence[int]],
    how: GenerationConfig,
    *,
    seed: int,
    width: int,
) -> Written:
    """Let the policy answer prompts, padded to `width`; the same seed gives the same answers."""
    device = next(policy.parameters()).device
    pad = int(how.pad_token_id)
    asked = torch.full((len(prompts), width), pad, device=device)
    known = torch.zeros_like(asked)
    for at, ids in enumerate(prompts):
        asked[at, width - len(ids) :] = torch.tensor(ids, device=device)
        known[at, width - len(ids) :] = 1
    with torch.random.fork_rng(), _written_only_as(how, policy.get_base_model()):
        torch.manual_seed(seed)
        whole = policy.generate(input_ids=asked, attention_mask=known, generation_config=how)
    ends = torch.isin(whole[:, width:], torch.tensor(how.eos_token_id, device=device))
    # what follows the first end mark is padding, which may look like another one
    mask = (ends.long().cumsum(-1) - ends.long() == 0).long()
    return Written(whole, torch.cat([known, mask], dim=1), mask, ends.any(-1))


@contextmanager
def _written_only_as(how: GenerationConfig, base: Any) -> Iterator[None]:
    """Put aside the model's own settings: they would fill in what `how` leaves out."""
    own, base.generation_config = base.generation_config, how
    try:
        yield
    finally:
        base.generation_config = own


def generation_config(
    policy: PeftModel, tokenizer: PreTrainedTokenizerBase, *, length: int, temperature: float
) -> GenerationConfig:
    """Return how the policy writes: from its own probabilities, until any of its end marks.

    The model's own settings, which may narrow what is drawn, give nothing but those marks.
    """
    base: Any = policy.get_base_model()
    own = base.generation_config.eos_token_id
    ends = {tokenizer.eos_token_id, *(own if isinstance(own, list) else [own])} - {None}
    return GenerationConfig(
        do_sample=True,
        temperature=temperature,
        top_k=0,
        top_p=1.0,
        max_new_tokens=length,
        eos_token_id=sorted(ends),
        pad_token_id=tokenizer.pad_token_id,
    )
