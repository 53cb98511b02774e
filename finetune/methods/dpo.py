"""Direct preference optimisation on TRL's DPOTrainer: the better of two answers, more likely."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import Trainer
from trl.trainer.dpo_config import DPOConfig as TrlConfig
from trl.trainer.dpo_trainer import DPOTrainer

from finetune.completed import of_one_prompt
from finetune.data.reading import read_pairs
from finetune.method_config import DpoConfig
from finetune.methods.common import QuietTrainer
from finetune.methods.method import Model, Rows, ready
from finetune.methods.preference import Preference


class Dpo(Preference[DpoConfig]):
    """The margin between a chosen and a rejected answer, against the model as it began."""

    rows_are = "pairs"

    def read(self, paths: Sequence[Path]) -> Rows:
        """Read pairs, and rankings as all of their pairs."""
        rows: list[Any] = []
        for pair in read_pairs(paths):
            chosen, rejected = of_one_prompt(
                self.complete(pair.prompt, pair.chosen, pair.tools),
                self.complete(pair.prompt, pair.rejected, pair.tools),
            )
            fields = {
                "prompt_ids": list(chosen.prompt_ids),
                "chosen_ids": list(chosen.completion_ids),
                "rejected_ids": list(rejected.completion_ids),
            }
            rows.append((pair.place, fields, (chosen, rejected)))
        return self.rows_within(rows)

    def make_trainer(self, model: Model, rows: Rows, folder: Path) -> Trainer:
        """Build the trainer; the reference is a frozen copy of the adapter as it begins."""
        total = self.config.steps(len(rows.items))
        trainer = DpoTrainer(
            model=model,
            args=TrlConfig(
                **self.arguments(folder, total=total),
                beta=self.config.beta,
                loss_type=[self.config.loss],
                label_smoothing=self.config.label_smoothing,
            ),
            train_dataset=self.laid_out(rows, total=total),
            processing_class=self.tokenizer,
        )
        ready(trainer)
        return trainer


class DpoTrainer(QuietTrainer, DPOTrainer):
    """TRL's trainer on encoded pairs."""
