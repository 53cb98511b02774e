"""A run of any method on a language model: rows in; an adapter, or a tuned model, out."""

import gc
import hashlib
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from peft.peft_model import PeftModel
from transformers import PreTrainedTokenizerBase, Trainer, set_seed

from finetune.base_model import load_tokenizer
from finetune.comparison import rivals, shown, train_beside
from finetune.continuing import Earlier, agree, read_earlier
from finetune.effects import Effects, compare, look
from finetune.errors import FinetuneError
from finetune.events import Compared, Evaluated, Event, Started
from finetune.forecast import less_memory, workload
from finetune.hardware import find_hardware
from finetune.methods.method import Method, Model, Rows
from finetune.neural import spread
from finetune.parallel import train_in_processes
from finetune.processes import check_launch, company
from finetune.report import write_report
from finetune.rollouts import World
from finetune.run_folder import data_hashes, sha256, step_of, write
from finetune.running import Run, events_of, summary
from finetune.saving import save_tuned
from finetune.servability import check
from finetune.shape import read_shape
from finetune.tune_config import TuneConfig

Lineage = dict[str, str]


def train(
    config: TuneConfig,
    *,
    base: Path | None = None,
    world: World | None = None,
    resume: bool = False,
) -> Iterator[Event]:
    """Tune a model as the settings say, and yield what happens.

    `base` is the folder of the model that `config.model` names; without it `config.model` is that
    folder. `world` is what the model acts in and is judged by, for the methods that let it act;
    with several `processes` each gets one of its own, by pickle.
    Closing the iterator saves a checkpoint first, and so does Ctrl-C, which ends in a StoppedError;
    `resume` goes on from the last one, with the losses of a run never stopped.
    """
    check_launch(config.processes)
    if config.processes > company().size:
        yield from train_in_processes(config, base=base, world=world, resume=resume)
    else:
        yield from events_of(_TuneRun(config, base, world, resume=resume))


def method_for(config: TuneConfig, tokenizer: PreTrainedTokenizerBase) -> Method[Any]:
    """Return the method that the settings are of: class `Sft` of the module `sft`, and so on."""
    name = config.method
    method: type[Method[Any]] = getattr(
        import_module(f"finetune.methods.{name}"), name.capitalize()
    )
    return method(config, tokenizer)


class _TuneRun(Run):
    """Read the rows, load the base, train on it, save what was trained."""

    method: Method[Any]
    model: Model
    trainer: Trainer
    rows: Rows
    held_out: Rows | None = None
    held_out_before: Mapping[str, float] | None = None

    def __init__(
        self, config: TuneConfig, base: Path | None, world: World | None, *, resume: bool
    ) -> None:
        super().__init__(config, base, resume=resume)
        self.config, self.world = config, world

    def carry_out(self) -> None:
        """Do the run."""
        earlier = read_earlier(self.config.adapter) if self.config.adapter else None
        if earlier:
            self.config = agree(self.config, earlier)
        config = self.config
        self.method = method = method_for(config, load_tokenizer(self.base))
        method.world = self.world
        self.rows = rows = method.read(config.data)
        if config.eval_data:
            self.held_out = method.read(config.eval_data)
        record = _lineage(config, method.template, earlier)
        record |= {str(path): sha256(path) for path in method.files}
        checkpoint = self._open(config, record)
        set_seed(config.seed)
        self.model = method.load(self.base, earlier)
        before = self._effects(base=True)
        self.trainer = method.make_trainer(self.model, rows, self.folder.checkpoints)
        self.events.put(self._started(rows, checkpoint, earlier))
        if self.held_out:
            self.held_out_before = method.measure(self.trainer, self.held_out)
        if not self.drive(self.trainer, checkpoint, self._measure):
            return
        if company().leads:
            method.conclude(self.trainer, rows, self.folder.path)
            self._finish({"lineage": record} | _continued(self.folder.lines(), earlier), before)
        else:
            if self.held_out:
                self._measure(self.trainer.state.global_step)  # the leader's, which all share
            self.finished = True

    def _open(self, config: TuneConfig, record: Lineage) -> Path | None:
        """Prepare the folder, which the leader does for all, and return what to go on from."""
        checkpoint = None
        if company().leads:
            checkpoint = self.folder.open(config, record, resume=self.resume)
        company().wait()
        if not company().leads and self.resume:
            checkpoint = self.folder.last_checkpoint()
        return checkpoint

    def what_takes_less(self, what: str) -> str:
        """Say which settings would take less memory, each with how much by the estimate."""
        try:
            work = workload(self.config, find_hardware())
            advice = "; ".join(less_memory(work, read_shape(self.base)))
        except FinetuneError:  # a model whose shape is not known
            advice = "quantize_4bit=true; a lower max_length"
        return f"{what}. Into another `out`, with one or more of these: {advice}."

    def _effects(self, *, base: bool = False) -> Effects | None:
        if not (self.config.effects and self.method.writes and company().leads):
            return None
        return look(self.model, self.method.tokenizer, template=self.method.template, base=base)

    def _started(self, rows: Rows, checkpoint: Path | None, earlier: Earlier | None) -> Started:
        return Started(
            rows=len(rows.items),
            kind=self.method.rows_are,
            tokens=rows.tokens,
            learned_tokens=rows.learned,
            left_out=rows.left_out,
            steps=self.trainer.args.max_steps,
            first_step=step_of(checkpoint) if checkpoint else 0,
            trainable=self._trainable(),
            parameters=sum(weight.numel() for weight in self.model.parameters()),
            continued=earlier.name if earlier else None,
        )

    def _trainable(self) -> int:
        return sum(weight.numel() for weight in self.model.parameters() if weight.requires_grad)

    def _measure(self, step: int) -> Mapping[str, float]:
        assert self.held_out is not None  # noqa: S101 - the settings ask for what is evaluated
        seen = dict(self.method.measure(self.trainer, self.held_out))
        rest = {name: value for name, value in seen.items() if name != "loss"}
        self.events.put(Evaluated(step, seen.get("loss"), rest))
        return seen

    def _finish(self, facts: Mapping[str, Any], before: Effects | None) -> None:
        config, folder, lines = self.config, self.folder.path, self.folder.lines()
        weights = save_tuned(self.model, folder, config, self.method.tokenizer)
        if self.method.template:
            write(folder / "chat_template.jinja", self.method.template)
        metrics: dict[str, Any] = {"method": config.method} | summary(lines) | dict(facts)
        metrics |= {
            "tuner": config.tuner,
            "served_as": str(check(config)),
            "parameters": self._trainable(),
            f"{'model' if config.tuner == 'full' else 'adapter'}_sha256": sha256(weights),
            "versions": {name: version(name) for name in ("torch", "transformers", "peft", "trl")},
        }
        if config.tuner == "neural" and isinstance(self.model, PeftModel):
            metrics["angle_rms"] = spread(self.model)
        if self.held_out:
            seen = self._measure(metrics["steps"])
            metrics |= {f"held_out_{name}": value for name, value in seen.items()}
            metrics["held_out_before"] = dict(self.held_out_before or {})
        if before and (after := self._effects()):
            metrics["effects"] = compare(before, after)
        write_report(folder, config, metrics, lines, loss=self.method.loss_is)
        if config.compares:
            self.folder.finish(metrics)  # safe, whatever becomes of what is trained beside it
            metrics["compared"] = self._compare(shown(metrics))
            write_report(folder, config, metrics, lines, loss=self.method.loss_is)
        self.finish(metrics)

    def _compare(self, own: Mapping[str, Any]) -> dict[str, Any]:
        """Train the plain adapters the same way, and return the numbers of all, by tuner."""
        rows = self.rows
        table: dict[str, Any] = {self.config.tuner: dict(own)}
        del self.model, self.trainer
        for rival in rivals(self.config):
            gc.collect()
            method = method_for(rival, self.method.tokenizer)
            method.world = self.world
            numbers = train_beside(
                method, self.base, rows, self.held_out, tell=self.events.put, stop=self.stop
            )
            if numbers is None:
                break
            table[rival.tuner] = numbers
        self.events.put(Compared(table))
        return table


def _continued(lines: list[dict[str, Any]], earlier: Earlier | None) -> dict[str, Any]:
    """Say which adapter the run went on from, and the tokens of both where they are known."""
    if earlier is None:
        return {}
    before = {"continued": {"adapter": earlier.name, "tokens": earlier.tokens}}
    if earlier.tokens is None:
        return before
    return before | {"total_tokens": earlier.tokens + lines[-1]["tokens"]}


def _lineage(config: TuneConfig, template: str | None, earlier: Earlier | None) -> Lineage:
    files = data_hashes((*config.data, *config.eval_data))
    if earlier:
        files["adapter"] = earlier.sha256
    if template:
        files["chat_template"] = hashlib.sha256(template.encode()).hexdigest()
    return files
