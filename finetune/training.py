"""A training run: tells its events, survives being killed, and ends in an adapter."""

import copy
import hashlib
import queue
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from filelock import FileLock, Timeout
from peft import get_peft_model_state_dict
from peft.peft_model import PeftModel
from safetensors.torch import save
from transformers import (
    PreTrainedTokenizerBase,
    set_seed,
)

from finetune.base_model import add_lora, load_base, load_lora, load_tokenizer
from finetune.config import SftConfig
from finetune.continuing import Earlier, agree, read_earlier
from finetune.curve import draw_curve
from finetune.encoding import Encoded, encode_all, read_template
from finetune.errors import ModelError, RunBusyError, StoppedError
from finetune.events import Evaluated, Event, Finished, Started
from finetune.examples import read_examples
from finetune.methods.sft import held_out_loss, make_trainer
from finetune.run_folder import RunFolder, data_hashes, sha256, step_of, write
from finetune.telling import Teller

Lineage = dict[str, str]


def train(config: SftConfig, *, base: Path | None = None, resume: bool = False) -> Iterator[Event]:
    """Tune a model as the settings say, and yield what happens.

    `base` is the folder of the model that `config.model` names; without it `config.model` is that
    folder. Closing the iterator saves a checkpoint first, and so does Ctrl-C, which ends in a
    StoppedError; `resume` goes on from the last one, with the losses of a run never stopped.
    """
    folder = RunFolder(config.out)
    config.out.mkdir(parents=True, exist_ok=True)
    lock = FileLock(config.out / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise RunBusyError(
            f"Another process trains into {config.out}. Wait for it, or give another `out`."
        ) from error
    try:
        yield from _events(_Run(config, base or Path(config.model), folder, resume=resume))
        (config.out / ".lock").unlink(missing_ok=True)
    finally:
        lock.release()


def _events(run: "_Run") -> Iterator[Event]:
    """Run in a thread of its own, so that the trainer's callbacks become an iterator."""
    worker = threading.Thread(target=run.work, name="training", daemon=True)
    with _first_ctrl_c_sets(run.stop):
        worker.start()
        try:
            while (item := run.events.get()) is not None:
                yield item
        except KeyboardInterrupt:  # the second one: the last checkpoint has to do
            raise
        except BaseException:
            run.stop.set()
            worker.join()
            raise
    worker.join()
    if run.error:
        raise run.error
    if not run.finished:
        raise StoppedError(run.how_to_go_on())


@contextmanager
def _first_ctrl_c_sets(stop: threading.Event) -> Iterator[None]:
    """Let Ctrl-C ask for the end, wherever the reader of the events is; a second one is harsh."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def leave(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        stop.set()

    signal.signal(signal.SIGINT, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _Run:
    """One run in its thread: load, train, save."""

    def __init__(self, config: SftConfig, base: Path, folder: RunFolder, *, resume: bool) -> None:
        self.config, self.base, self.folder, self.resume = config, base, folder, resume
        self.events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self.stop = threading.Event()
        self.finished = False
        self.error: BaseException | None = None

    def work(self) -> None:
        """Do the run, keep what went wrong, and end the queue with None."""
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that iterates
            self.error = error
        finally:
            self.events.put(None)

    def how_to_go_on(self) -> str:
        """Say what a stopped run left behind."""
        checkpoint = self.folder.last_checkpoint()
        if checkpoint is None:
            return f"Stopped before the first checkpoint. Run it into {self.folder.path} again."
        return (
            f"Stopped after step {step_of(checkpoint)}; the checkpoint is {checkpoint}. "
            "The same command with resume goes on from there."
        )

    def _work(self) -> None:
        earlier = read_earlier(self.config.adapter) if self.config.adapter else None
        if earlier:
            self.config = agree(self.config, earlier)
        config = self.config
        if config.threads:
            torch.set_num_threads(config.threads)
        if not (self.base / "config.json").is_file():
            raise ModelError(f"{self.base} is no model folder (no config.json). Fetch the model.")
        tokenizer = load_tokenizer(self.base)
        template = read_template(config.chat_template, tokenizer)
        conversations, left_out = self._conversations(config.data, tokenizer, template)
        held_out: Sequence[Encoded] = ()
        if config.eval_data:
            held_out, _ = self._conversations(config.eval_data, tokenizer, template)
        record = _lineage(config, template, earlier)
        checkpoint = self.folder.open(config, record, resume=self.resume)
        set_seed(config.seed)
        plain = load_base(config, self.base)
        model = load_lora(plain, config, earlier) if earlier else add_lora(plain, config)
        trainer = make_trainer(config, model, tokenizer, conversations, self.folder.checkpoints)
        trainer.add_callback(
            Teller(
                self.folder,
                tell=self.events.put,
                stop=self.stop,
                evaluate=lambda step: self._evaluate(model, held_out, step),
                eval_every=config.eval_every,
            )
        )
        trainable, parameters = model.get_nb_trainable_parameters()
        self.events.put(
            Started(
                conversations=len(conversations),
                tokens=sum(len(c.input_ids) for c in conversations),
                learned_tokens=sum(c.learned for c in conversations),
                left_out=left_out,
                steps=trainer.args.max_steps,
                first_step=step_of(checkpoint) if checkpoint else 0,
                trainable=trainable,
                parameters=parameters,
                continued=earlier.name if earlier else None,
            )
        )
        if self.stop.is_set():
            return
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        if trainer.state.global_step >= trainer.args.max_steps:
            self._finish(model, held_out, template, record, earlier)

    def _conversations(
        self, paths: Sequence[Path], tokenizer: PreTrainedTokenizerBase, template: str
    ) -> tuple[list[Encoded], tuple[str, ...]]:
        return encode_all(
            read_examples(paths), tokenizer, template, max_length=self.config.max_length
        )

    def _evaluate(self, model: PeftModel, held_out: Sequence[Encoded], step: int) -> float:
        loss = held_out_loss(model, held_out, bf16=self.config.bf16)
        self.events.put(Evaluated(step, loss))
        return loss

    def _finish(
        self,
        model: PeftModel,
        held_out: Sequence[Encoded],
        template: str,
        record: Lineage,
        earlier: Earlier | None,
    ) -> None:
        folder = self.folder
        adapter = save_adapter(model, folder.path, self.config)
        write(folder.path / "chat_template.jinja", template)
        lines = folder.lines()
        metrics: dict[str, Any] = (
            summary(lines)
            | continued(lines, earlier)
            | {
                "parameters": model.get_nb_trainable_parameters()[0],
                "adapter_sha256": sha256(adapter),
                "lineage": record,
                "versions": {
                    name: version(name) for name in ("torch", "transformers", "peft", "trl")
                },
            }
        )
        if held_out:
            metrics["held_out_loss"] = self._evaluate(model, held_out, metrics["steps"])
        draw_curve(lines, folder.path / "loss.png")
        folder.finish(metrics)
        self.finished = True
        self.events.put(Finished(folder.path, metrics))


def summary(lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Sum up the lines of a run."""
    tenth = max(1, len(lines) // 10)
    last = lines[-1]
    return {
        "steps": last["step"],
        "tokens": last["tokens"],
        "seconds": last["seconds"],
        "tokens_per_second": round(last["tokens"] / last["seconds"], 1),
        "first_loss": lines[0]["loss"],
        "last_loss": sum(line["loss"] for line in lines[-tenth:]) / tenth,
        "memory": max(line["memory"] for line in lines),
    }


def continued(lines: Sequence[Mapping[str, Any]], earlier: Earlier | None) -> dict[str, Any]:
    """Say which adapter the run went on from, and the tokens of both where they are known."""
    if earlier is None:
        return {}
    before = {"continued": {"adapter": earlier.name, "tokens": earlier.tokens}}
    if earlier.tokens is None:
        return before
    return before | {"total_tokens": earlier.tokens + lines[-1]["tokens"]}


def save_adapter(model: PeftModel, folder: Path, config: SftConfig) -> Path:
    """Write PEFT's two files; the weights in the precision that the base computes in."""
    dtype = torch.bfloat16 if config.bf16 else torch.float32
    weights = {
        name: tensor.detach().to("cpu", dtype).contiguous()
        for name, tensor in get_peft_model_state_dict(model, save_embedding_layers=False).items()
    }
    path = folder / "adapter_model.safetensors"
    temporary = path.with_name(f".{path.name}")
    temporary.write_bytes(save(weights, metadata={"format": "pt"}))
    temporary.replace(path)
    settings = copy.deepcopy(model.peft_config["default"])
    settings.base_model_name_or_path = config.model
    settings.inference_mode = True
    settings.save_pretrained(str(folder))
    return path


def _lineage(config: SftConfig, template: str, earlier: Earlier | None) -> Lineage:
    files = data_hashes((*config.data, *config.eval_data))
    if earlier:
        files["adapter"] = earlier.sha256
    return files | {"chat_template": hashlib.sha256(template.encode()).hexdigest()}
