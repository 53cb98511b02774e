"""RewardModel: says how good an answer is, as a run of `reward` has learned it."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from peft.peft_model import PeftModel
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerBase

from finetune.base_model import load_base, load_tokenizer, no_bars, without_report
from finetune.completed import Tools, complete
from finetune.data.rows import Said
from finetune.encoding import require_template
from finetune.errors import ModelError
from finetune.method_config import RewardConfig
from finetune.precision import in_bf16
from finetune.reward_folder import SCALE, base_folder, read_reward_config
from finetune.run_folder import write

TEMPLATE = "chat_template.jinja"
BATCH = 8


@dataclass(frozen=True)
class Scale:
    """The mean and the deviation of a model's raw rewards, over answers that it learned from."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, rewards: Sequence[float]) -> "Scale":
        """Measure both; rewards that are all the same keep their size."""
        return cls(statistics.fmean(rewards), statistics.pstdev(rewards) or 1.0)


class RewardModel:
    """Scores answers to prompts; over the answers that it was trained on, the mean is about 0."""

    def __init__(
        self,
        model: torch.nn.Module,
        tokenizer: PreTrainedTokenizerBase,
        config: RewardConfig,
        *,
        template: str,
        scale: Scale,
    ) -> None:
        self.model, self.tokenizer, self.config = model, tokenizer, config
        self.template, self.scale = template, scale

    def score(
        self, prompts: Sequence[Said], answers: Sequence[Said], tools: Sequence[Tools] | None = None
    ) -> list[float]:
        """Return the reward of each answer to its prompt, in deviations from the mean.

        Of what is longer than the model was trained on, the beginning is left out.
        """
        given = tools or [None] * len(prompts)
        ids = [
            complete(prompt, answer, some, tokenizer=self.tokenizer, template=self.template).ids
            for prompt, answer, some in zip(prompts, answers, given, strict=True)
        ]
        raw = score_ids(
            self.model,
            [each[-self.config.max_length :] for each in ids],
            pad=int(self.tokenizer.pad_token_id),
            bf16=in_bf16(self.config),
            batch=BATCH,
        )
        return [(each - self.scale.mean) / self.scale.deviation for each in raw]


@torch.no_grad()
def score_ids(
    model: torch.nn.Module, rows: Sequence[Sequence[int]], *, pad: int, bf16: bool, batch: int
) -> list[float]:
    """Return the raw rewards of rows of token ids, in their order."""
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    rewards = [0.0] * len(rows)
    order = sorted(range(len(rows)), key=lambda at: len(rows[at]))
    for start in range(0, len(rows), batch):
        some = order[start : start + batch]
        longest = len(rows[some[-1]])
        ids = torch.full((len(some), longest), pad, device=device)
        mask = torch.zeros_like(ids)
        for at, row in enumerate(some):
            ids[at, : len(rows[row])] = torch.tensor(rows[row], device=device)
            mask[at, : len(rows[row])] = 1
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
            found = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        for row, reward in zip(some, found.float().squeeze(-1).tolist(), strict=True):
            rewards[row] = reward
    model.train(was_training)
    return rewards


def write_scale(scale: Scale, folder: Path) -> None:
    """Write the scale beside the model's weights."""
    write(folder / SCALE, json.dumps(asdict(scale), indent=2))


def load_reward(folder: Path, *, base: Path | None = None) -> RewardModel:
    """Load the reward model that a finished run of `reward` left in `folder`.

    `base` is the folder of the model that it was trained on; without it that is the one which the
    run's settings name, if they name a folder.
    """
    config = read_reward_config(folder)
    below = base_folder(folder, config, base)
    tokenizer = load_tokenizer(below)
    with without_report():
        model: Any = load_base(config, below, kind=AutoModelForSequenceClassification, num_labels=1)
    model.config.pad_token_id = tokenizer.pad_token_id
    if config.tuner != "full":
        try:
            with no_bars():
                model = PeftModel.from_pretrained(model, str(folder))
        except (OSError, ValueError, RuntimeError) as error:
            raise ModelError(f"{folder} does not fit the model {below}: {error}") from error
    if torch.cuda.is_available() and not config.quantize_4bit:
        model.to("cuda")
    model.eval()
    template = require_template(folder / TEMPLATE, tokenizer)
    scale = Scale(**json.loads((folder / SCALE).read_text(encoding="utf-8")))
    return RewardModel(model, tokenizer, config, template=template, scale=scale)
