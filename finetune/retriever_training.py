"""A retriever's run: queries with right and wrong texts in, a complete embedder out."""

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, set_seed

from finetune.base_model import load_tokenizer
from finetune.config import RetrieverConfig
from finetune.curve import draw_curve
from finetune.events import Evaluated, Event, RetrieverStarted
from finetune.methods.encoder import load_encoder, pools_first, write_encoder
from finetune.methods.retriever import held_out, make_retriever_trainer
from finetune.retriever_rows import Searches, encode_searches, read_retriever_rows
from finetune.run_folder import data_hashes, sha256, step_of
from finetune.running import Run, events_of, summary


def train_retriever(
    config: RetrieverConfig, *, base: Path | None = None, resume: bool = False
) -> Iterator[Event]:
    """Tune an embedder as the settings say, and yield what happens.

    `base` is the folder of the model that `config.model` names; without it `config.model` is that
    folder. Stopped and resumed it behaves as `finetune.training.train` does.
    """
    yield from events_of(_RetrieverRun(config, base, resume=resume))


class _RetrieverRun(Run):
    """Load an embedder, train all of it, and save a folder that loads like its base."""

    held_out: Searches | None = None
    first = False

    def __init__(self, config: RetrieverConfig, base: Path | None, *, resume: bool) -> None:
        super().__init__(config, base, resume=resume)
        self.config = config

    def carry_out(self) -> None:
        """Do the run."""
        config, self.first = self.config, pools_first(self.base)
        tokenizer = load_tokenizer(self.base)

        def read(paths: tuple[Path, ...]) -> Searches:
            rows = read_retriever_rows(paths)
            return encode_searches(rows, tokenizer, max_length=config.max_length)

        searches = read(config.data)
        self.held_out = read(config.eval_data) if config.eval_data else None
        set_seed(config.seed)
        model = load_encoder(self.base, max_length=config.max_length)
        record = data_hashes((*config.data, *config.eval_data))
        checkpoint = self.folder.open(config, record, resume=self.resume)
        trainer = make_retriever_trainer(
            config, model, tokenizer, searches, self.folder.checkpoints, first=self.first
        )
        self.events.put(
            RetrieverStarted(
                rows=len(searches.rows),
                texts=len(searches.texts),
                negatives=sum(len(row.negatives) for row in searches.rows),
                tokens=searches.tokens,
                steps=trainer.args.max_steps,
                first_step=step_of(checkpoint) if checkpoint else 0,
                trainable=model.num_parameters(only_trainable=True),
                parameters=model.num_parameters(),
            )
        )
        before = self._evaluate(model, 0) if self.held_out else None
        if self.drive(trainer, checkpoint, lambda step: self._evaluate(model, step)):
            self._finish(model, {"lineage": record}, before)

    def _evaluate(self, model: PreTrainedModel, step: int) -> dict[str, float]:
        assert self.held_out is not None  # noqa: S101 - the settings ask for what is evaluated
        seen = held_out(model, self.held_out, config=self.config, first=self.first)
        measures = {name: value for name, value in seen.items() if name != "loss"}
        self.events.put(Evaluated(step, seen["loss"], measures))
        return seen

    def _finish(
        self, model: PreTrainedModel, facts: Mapping[str, Any], before: dict[str, float] | None
    ) -> None:
        folder, lines = self.folder.path, self.folder.lines()
        metrics: dict[str, Any] = {"base": self.config.model} | summary(lines) | dict(facts)
        if self.held_out and before:
            after = self._evaluate(model, metrics["steps"])
            metrics |= {f"held_out_{name}": value for name, value in after.items()}
            metrics |= {"held_out_before": before, "held_out_texts": len(self.held_out.texts)}
        draw_curve(lines, folder / "loss.png", loss="loss per query")
        weights = write_encoder(model, self.base, folder)
        metrics |= {
            "parameters": model.num_parameters(only_trainable=True),
            "model_sha256": sha256(weights),
            "versions": {name: version(name) for name in ("torch", "transformers")},
        }
        self.finish(metrics)
