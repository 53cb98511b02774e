"""A router's run: labelled texts in, a small file beside its base out."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from transformers import BertForSequenceClassification, set_seed

from finetune.base_model import load_tokenizer
from finetune.config import RouterConfig
from finetune.curve import draw_curve
from finetune.events import Evaluated, Event, RouterStarted
from finetune.methods.router import held_out, load_router, make_router_trainer
from finetune.router_export import write_router
from finetune.router_rows import EncodedText, encode_texts, labels_of, read_router_rows
from finetune.run_folder import data_hashes, sha256, step_of
from finetune.running import Run, events_of, summary


def train_router(
    config: RouterConfig, *, base: Path | None = None, resume: bool = False
) -> Iterator[Event]:
    """Train a router as the settings say, and yield what happens.

    `base` is the folder of the model that `config.model` names; without it `config.model` is that
    folder. Stopped and resumed it behaves as `finetune.training.train` does.
    """
    yield from events_of(_RouterRun(config, base, resume=resume))


class _RouterRun(Run):
    """Load a base model, train its last layers and a new head, save both."""

    def __init__(self, config: RouterConfig, base: Path | None, *, resume: bool) -> None:
        super().__init__(config, base, resume=resume)
        self.config = config
        self.labels: tuple[str, ...] = ()
        self.held_out: Sequence[EncodedText] = ()

    def carry_out(self) -> None:
        """Do the run."""
        config = self.config
        tokenizer = load_tokenizer(self.base)
        texts = read_router_rows(config.data)
        self.labels = labels_of(texts)
        encode = partial(encode_texts, labels=self.labels, max_length=config.max_length)
        rows = encode(texts, tokenizer)
        if config.eval_data:
            self.held_out = encode(read_router_rows(config.eval_data), tokenizer)
        set_seed(config.seed)
        model = load_router(config, self.base, labels=len(self.labels))
        record = data_hashes((*config.data, *config.eval_data))
        checkpoint = self.folder.open(config, record, resume=self.resume)
        trainer = make_router_trainer(
            config, model, tokenizer, rows, self.folder.checkpoints, labels=len(self.labels)
        )
        counts = Counter(row.label for row in texts)
        self.events.put(
            RouterStarted(
                rows=len(rows),
                labels={label: counts[label] for label in self.labels},
                tokens=sum(len(row.input_ids) for row in rows),
                steps=trainer.args.max_steps,
                first_step=step_of(checkpoint) if checkpoint else 0,
                trainable=model.num_parameters(only_trainable=True),
                parameters=model.num_parameters(),
            )
        )
        if self.drive(trainer, checkpoint, lambda step: self._evaluate(model, step)):
            self._finish(model, record, rows=len(rows))

    def _evaluate(self, model: BertForSequenceClassification, step: int) -> dict[str, Any]:
        loss, found = held_out(model, self.held_out, labels=self.labels, config=self.config)
        self.events.put(Evaluated(step, loss))
        right = sum(each for each, _ in found.values())
        return {
            "held_out_loss": loss,
            "held_out_accuracy": right / len(self.held_out),
            "held_out_labels": {
                label: {"right": each, "rows": rows} for label, (each, rows) in found.items()
            },
        }

    def _finish(
        self, model: BertForSequenceClassification, record: Mapping[str, str], *, rows: int
    ) -> None:
        config, folder, lines = self.config, self.folder.path, self.folder.lines()
        metrics: dict[str, Any] = {"rows": rows} | summary(lines)
        if self.held_out:
            metrics |= self._evaluate(model, metrics["steps"])
        weights = write_router(
            model,
            folder,
            base=config.model,
            labels=self.labels,
            max_length=config.max_length,
            layers=config.layers,
            facts={name: metrics[name] for name in ("rows", "tokens", "steps")},
        )
        metrics |= {
            "parameters": model.num_parameters(only_trainable=True),
            "router_sha256": sha256(weights),
            "lineage": dict(record),
            "versions": {name: version(name) for name in ("torch", "transformers")},
        }
        draw_curve(lines, folder / "loss.png", loss="loss per text")
        self.finish(metrics)
