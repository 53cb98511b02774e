"""A reader's run: questions on passages in, a small file beside its base out."""

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from transformers import BertForQuestionAnswering, PreTrainedTokenizerBase, set_seed

from finetune.base_model import load_tokenizer
from finetune.config import ReaderConfig
from finetune.curve import draw_curve
from finetune.events import Evaluated, Event, ReaderStarted
from finetune.methods.reader import held_out_loss, load_reader, make_reader_trainer
from finetune.reader_export import WEIGHTS, blend, write_reader
from finetune.reader_rows import EncodedRow, encode_rows, read_reader_rows
from finetune.run_folder import data_hashes, sha256, step_of
from finetune.running import Run, events_of, summary


def train_reader(
    config: ReaderConfig, *, base: Path | None = None, resume: bool = False
) -> Iterator[Event]:
    """Train a reader as the settings say, and yield what happens.

    `base` is the folder of the model that `config.model` names; without it `config.model` is that
    folder. Stopped and resumed it behaves as `finetune.training.train` does.
    """
    yield from events_of(_ReaderRun(config, base, resume=resume))


class _ReaderRun(Run):
    """Load a base model, train its encoder and a new head, save both."""

    def __init__(self, config: ReaderConfig, base: Path | None, *, resume: bool) -> None:
        super().__init__(config, base, resume=resume)
        self.config = config

    def carry_out(self) -> None:
        """Do the run."""
        config = self.config
        tokenizer = load_tokenizer(self.base)
        rows, left_out = self._rows(config.data, tokenizer)
        held_out: Sequence[EncodedRow] = ()
        if config.eval_data:
            held_out, _ = self._rows(config.eval_data, tokenizer)
        set_seed(config.seed)
        model = load_reader(config, self.base)
        record = _lineage(config)
        checkpoint = self.folder.open(config, record, resume=self.resume)
        trainer = make_reader_trainer(config, model, tokenizer, rows, self.folder.checkpoints)
        self.events.put(
            ReaderStarted(
                rows=len(rows),
                answered=sum(row.end > 0 for row in rows),
                tokens=sum(len(row.input_ids) for row in rows),
                left_out=left_out,
                steps=trainer.args.max_steps,
                first_step=step_of(checkpoint) if checkpoint else 0,
                trainable=model.num_parameters(only_trainable=True),
                parameters=model.num_parameters(),
            )
        )
        if self.drive(trainer, checkpoint, lambda step: self._evaluate(model, held_out, step)):
            self._finish(model, held_out, record, rows=len(rows))

    def _rows(
        self, paths: Sequence[Path], tokenizer: PreTrainedTokenizerBase
    ) -> tuple[list[EncodedRow], tuple[str, ...]]:
        return encode_rows(
            read_reader_rows(paths),
            tokenizer,
            max_length=self.config.max_length,
            crop_words=self.config.crop_words,
            seed=self.config.seed,
        )

    def _evaluate(
        self, model: BertForQuestionAnswering, held_out: Sequence[EncodedRow], step: int
    ) -> float:
        loss = held_out_loss(model, held_out, config=self.config)
        self.events.put(Evaluated(step, loss))
        return loss

    def _finish(
        self,
        model: BertForQuestionAnswering,
        held_out: Sequence[EncodedRow],
        record: Mapping[str, str],
        *,
        rows: int,
    ) -> None:
        folder, lines = self.folder.path, self.folder.lines()
        metrics: dict[str, Any] = {"rows": rows} | summary(lines)
        if self.config.reader:
            blend(model, self.config.reader, share=self.config.blend)
        if held_out:
            metrics["held_out_loss"] = self._evaluate(model, held_out, metrics["steps"])
        weights = write_reader(
            model.state_dict(),
            folder,
            base=self.config.model,
            max_length=self.config.max_length,
            facts={name: metrics[name] for name in ("rows", "tokens", "steps")},
        )
        metrics |= {
            "parameters": model.num_parameters(only_trainable=True),
            "reader_sha256": sha256(weights),
            "lineage": dict(record),
            "versions": {name: version(name) for name in ("torch", "transformers")},
        }
        draw_curve(lines, folder / "loss.png", loss="loss per question")
        self.finish(metrics)


def _lineage(config: ReaderConfig) -> dict[str, str]:
    files = data_hashes((*config.data, *config.eval_data))
    if config.reader:
        files["reader"] = sha256(config.reader / WEIGHTS)
    return files
