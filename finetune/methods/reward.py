"""Reward model on TRL's RewardTrainer: learns from pairs to say how good an answer is."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import TaskType
from torch.nn.functional import logsigmoid
from transformers import AutoModelForSequenceClassification, Trainer
from trl.trainer.reward_config import RewardConfig as TrlConfig
from trl.trainer.reward_trainer import RewardTrainer as TrlRewardTrainer

from finetune.base_model import add_adapter, load_adapter, load_base, without_report
from finetune.continuing import Earlier
from finetune.data.reading import read_pairs
from finetune.method_config import RewardConfig
from finetune.methods.common import QuietTrainer
from finetune.methods.method import Model, Rows, model_of, ready
from finetune.methods.preference import Preference
from finetune.precision import in_bf16
from finetune.reward_model import Scale, score_ids, write_scale
from finetune.row_checks import margin_of

SCALED_ON = 128
"""Pairs whose rewards make the scale of what the model says later."""


class Reward(Preference[RewardConfig]):
    """The chosen answer scored above the rejected one: -log sigmoid(r_chosen - r_rejected)."""

    rows_are = "pairs"
    loss_is = "loss per pair"
    writes = False

    def read(self, paths: Sequence[Path]) -> Rows:
        """Read pairs, and rankings as all of their pairs."""
        rows: list[Any] = []
        for pair in read_pairs(paths):
            chosen = self.complete(pair.prompt, pair.chosen, pair.tools)
            rejected = self.complete(pair.prompt, pair.rejected, pair.tools)
            fields: dict[str, Any] = {
                "chosen_ids": list(chosen.ids),
                "rejected_ids": list(rejected.ids),
            }
            if self.config.margins:
                fields["margin"] = margin_of(pair)
            rows.append((pair.place, fields, (chosen, rejected)))
        return self.rows_within(rows)

    def load(self, base: Path, earlier: Earlier | None) -> Model:
        """Load the base with a head that scores; an earlier adapter may have one or none."""
        config = self.config
        with without_report():
            model = load_base(config, base, kind=AutoModelForSequenceClassification, num_labels=1)
        model.config.pad_token_id = self.tokenizer.pad_token_id
        if config.tuner == "full":
            return model
        if earlier:
            return load_adapter(model, config, earlier, task=TaskType.SEQ_CLS)
        return add_adapter(model, config, task=TaskType.SEQ_CLS)

    def make_trainer(self, model: Model, rows: Rows, folder: Path) -> Trainer:
        """Build the trainer, which takes pairs of like length together."""
        config = self.config
        total = config.steps(len(rows.items))
        trainer = RewardTrainer(
            model=model,
            args=TrlConfig(
                **self.arguments(folder, total=total),
                center_rewards_coefficient=config.centering,
            ),
            train_dataset=self.laid_out(rows, total=total),
            processing_class=self.tokenizer,
        )
        ready(trainer)
        return trainer

    def measure(self, trainer: Trainer, held_out: Rows) -> Mapping[str, float]:
        """Return the loss, how many pairs are told right, and the AUC over all their answers."""
        chosen, rejected = self._scores(model_of(trainer), held_out.items)
        margins = [better - worse for better, worse in zip(chosen, rejected, strict=True)]
        return {
            "loss": float(-logsigmoid(torch.tensor(margins)).mean()),
            "accuracy": sum(margin > 0 for margin in margins) / len(margins),
            "auc": auc(chosen, rejected),
        }

    def conclude(self, trainer: Trainer, rows: Rows, folder: Path) -> None:
        """Write what puts the model's rewards on a scale of mean 0 and deviation 1."""
        chosen, rejected = self._scores(model_of(trainer), rows.items[:SCALED_ON])
        write_scale(Scale.of([*chosen, *rejected]), folder)

    def _scores(self, model: Model, rows: Sequence[Any]) -> tuple[list[float], list[float]]:
        """Return the raw rewards of the chosen and of the rejected answers."""
        ids = [row[name] for name in ("chosen_ids", "rejected_ids") for row in rows]
        scores = score_ids(
            model, ids, pad=self.tokenizer.pad_token_id, bf16=in_bf16(self.config), batch=8
        )
        return scores[: len(rows)], scores[len(rows) :]


class RewardTrainer(QuietTrainer, TrlRewardTrainer):
    """TRL's trainer on encoded pairs."""


def auc(better: Sequence[float], worse: Sequence[float]) -> float:
    """Return how often one of the better scores lies above one of the worse; a tie counts half.

    The area under the ROC curve, by Mann and Whitney's ranks.
    """
    found = torch.tensor(better, dtype=torch.float64).unsqueeze(1)
    others = torch.tensor(worse, dtype=torch.float64).unsqueeze(0)
    return float(((found > others).double() + 0.5 * (found == others).double()).mean())
