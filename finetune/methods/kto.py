"""Kahneman-Tversky optimisation on TRL's KTOTrainer: answers with a thumb up or down."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import Trainer
from trl.trainer.kto_config import KTOConfig as TrlConfig
from trl.trainer.kto_trainer import KTOTrainer

from finetune.data.reading import read_labels
from finetune.method_config import KtoConfig
from finetune.methods.common import QuietTrainer, arrange
from finetune.methods.method import Model, Rows, ready
from finetune.methods.preference import Preference
from finetune.row_checks import check_both_labels


class Kto(Preference[KtoConfig]):
    """What people found good made likelier than the model as it began, the rest less so."""

    rows_are = "labelled answers"

    def read(self, paths: Sequence[Path]) -> Rows:
        """Read answers with their labels, which must be of both kinds."""
        rows: list[Any] = []
        for label in read_labels(paths):
            completed = self.complete(label.prompt, label.completion, label.tools)
            fields = {
                "prompt_ids": list(completed.prompt_ids),
                "completion_ids": list(completed.completion_ids),
                "label": label.label,
            }
            rows.append((label.place, fields, (completed,)))
        found = self.rows_within(rows)
        check_both_labels([row["label"] for row in found.items])
        return found

    def make_trainer(self, model: Model, rows: Rows, folder: Path) -> Trainer:
        """Build the trainer, which takes the rows in an order laid down for the whole run."""
        config = self.config
        good = sum(row["label"] for row in rows.items)
        share = (len(rows.items) - good) / good
        total = config.steps(len(rows.items))
        trainer = KtoTrainer(
            model=model,
            args=TrlConfig(
                **self.arguments(folder, total=total),
                beta=config.beta,
                desirable_weight=config.desirable_weight or max(1.0, share),
                undesirable_weight=config.undesirable_weight or max(1.0, 1 / share),
            ),
            train_dataset=self._laid_out(rows, total),
            processing_class=self.tokenizer,
        )
        ready(trainer)
        return trainer

    def _laid_out(self, rows: Rows, total: int) -> Dataset:
        """Lay out the rows of all steps, each with another row's completion of its micro batch.

        TRL estimates the KL divergence from those, and takes the rows one after the other for it.
        """
        config = self.config
        # not by length, which often tells good answers from bad ones: a batch needs both
        order = arrange([1] * len(rows.items), batch=config.batch, total=total, seed=config.seed)
        return Dataset.from_list(paired([rows.items[at] for at in order], config.micro_batch))

    def measure(self, trainer: Trainer, held_out: Rows) -> Any:
        """Return the held-out loss and rewards."""
        size = self.config.micro_batch
        whole = len(held_out.items) - len(held_out.items) % size or len(held_out.items)
        laid = paired(list(held_out.items[:whole]), size)
        return super().measure(trainer, Rows(laid, held_out.tokens, held_out.learned))


def paired(rows: Sequence[dict[str, Any]], size: int) -> list[dict[str, Any]]:
    """Give each row of a batch the completion of the one before, the first that of the last."""
    found: list[dict[str, Any]] = []
    for start in range(0, len(rows), size):
        some = rows[start : start + size]
        found += [
            row | {"KL_completion_ids": some[number - 1]["completion_ids"]}
            for number, row in enumerate(some)
        ]
    return found


class KtoTrainer(QuietTrainer, KTOTrainer):
    """TRL's trainer on encoded answers."""
