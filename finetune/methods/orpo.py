"""Odds-ratio preference optimisation: pairs in a single stage, without a reference model.

TRL's trainer for it is experimental; it stays behind this module alone.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import Trainer

from finetune.completed import Completed
from finetune.data.reading import read_pairs
from finetune.method_config import OrpoConfig
from finetune.methods.common import QuietTrainer
from finetune.methods.method import Model, Rows, ready
from finetune.methods.preference import Preference, quiet_datasets

with warnings.catch_warnings():
    # It says on import that it is experimental, which is what this module is about.
    warnings.filterwarnings("ignore", message=".*experimental.*")
    from trl.experimental.orpo.orpo_config import ORPOConfig as TrlConfig
    from trl.experimental.orpo.orpo_trainer import ORPOTrainer


class Orpo(Preference[OrpoConfig]):
    """The chosen answer learned, and made likelier than the rejected one by its odds."""

    rows_are = "pairs"

    def read(self, paths: Sequence[Path]) -> Rows:
        """Read pairs, and rankings as all of their pairs."""
        rows: list[Any] = []
        for pair in read_pairs(paths):
            chosen = self.complete(pair.prompt, pair.chosen, pair.tools)
            rejected = self.complete(pair.prompt, pair.rejected, pair.tools)
            fields = _labelled("chosen", chosen) | _labelled("rejected", rejected)
            rows.append((pair.place, fields, (chosen, rejected)))
        return self.rows_within(rows)

    def make_trainer(self, model: Model, rows: Rows, folder: Path) -> Trainer:
        """Build the trainer."""
        total = self.config.steps(len(rows.items))
        with quiet_datasets():
            trainer = OrpoTrainer(
                model=model,
                args=TrlConfig(
                    **self.arguments(folder, total=total),
                    beta=self.config.beta,
                    remove_unused_columns=False,
                ),
                train_dataset=self.laid_out(rows, total=total),
                processing_class=self.tokenizer,
            )
        ready(trainer)
        return trainer


def _labelled(name: str, completed: Completed) -> dict[str, list[int]]:
    ids = [*completed.prompt_ids, *completed.completion_ids]
    return {
        f"{name}_input_ids": ids,
        f"{name}_attention_mask": [1] * len(ids),
        f"{name}_labels": [-100] * len(completed.prompt_ids) + list(completed.completion_ids),
    }


class OrpoTrainer(QuietTrainer, ORPOTrainer):
    """TRL's trainer on encoded pairs."""

    def tokenize_row(self, feature: dict[str, Any], *_: Any) -> dict[str, Any]:
        """Take the row as it is."""
        return feature
