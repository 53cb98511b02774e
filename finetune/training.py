"""A supervised run: conversations in, an adapter out."""

import copy
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model_state_dict
from peft.peft_model import PeftModel
from safetensors.torch import save
from transformers import PreTrainedTokenizerBase, set_seed

from finetune.base_model import add_lora, load_base, load_lora, load_tokenizer
from finetune.config import SftConfig
from finetune.continuing import ADAPTER_WEIGHTS, Earlier, agree, read_earlier
from finetune.curve import draw_curve
from finetune.data.reading import read_examples
from finetune.encoding import Encoded, encode_all, read_template
from finetune.events import Evaluated, Event, Started
from finetune.methods.sft import SftTrainer, held_out_loss, make_trainer
from finetune.run_folder import data_hashes, sha256, step_of, write
from finetune.running import Run, events_of, summary

Lineage = dict[str, str]


def train(config: SftConfig, *, base: Path | None = None, resume: bool = False) -> Iterator[Event]:
    """Tune a model as the settings say, and yield what happens.

    `base` is the folder of the model that `config.model` names; without it `config.model` is that
    folder. Closing the iterator saves a checkpoint first, and so does Ctrl-C, which ends in a
    StoppedError; `resume` goes on from the last one, with the losses of a run never stopped.
    """
    yield from events_of(_SftRun(config, base, resume=resume))


class _SftRun(Run):
    """Load a base model, train a LoRA on it, save the LoRA."""

    def __init__(self, config: SftConfig, base: Path | None, *, resume: bool) -> None:
        super().__init__(config, base, resume=resume)
        self.config = config
        self.earlier: Earlier | None = None

    def carry_out(self) -> None:
        """Do the run."""
        if self.config.adapter:
            self.earlier = read_earlier(self.config.adapter)
            self.config = agree(self.config, self.earlier)
        config = self.config
        tokenizer = load_tokenizer(self.base)
        template = read_template(config.chat_template, tokenizer)
        conversations, left_out = self._conversations(config.data, tokenizer, template)
        held_out: Sequence[Encoded] = ()
        if config.eval_data:
            held_out, _ = self._conversations(config.eval_data, tokenizer, template)
        record = _lineage(config, template, self.earlier)
        checkpoint = self.folder.open(config, record, resume=self.resume)
        set_seed(config.seed)
        model = self._model()
        trainer = make_trainer(config, model, tokenizer, conversations, self.folder.checkpoints)
        self.events.put(self._started(trainer, model, conversations, left_out, checkpoint))
        if self.drive(trainer, checkpoint, lambda step: self._evaluate(model, held_out, step)):
            self._finish(model, held_out, template, record)

    def _conversations(
        self, paths: Sequence[Path], tokenizer: PreTrainedTokenizerBase, template: str
    ) -> tuple[list[Encoded], tuple[str, ...]]:
        return encode_all(
            read_examples(paths), tokenizer, template, max_length=self.config.max_length
        )

    def _model(self) -> PeftModel:
        plain = load_base(self.config, self.base)
        if self.earlier:
            return load_lora(plain, self.config, self.earlier)
        return add_lora(plain, self.config)

    def _started(
        self,
        trainer: SftTrainer,
        model: PeftModel,
        conversations: Sequence[Encoded],
        left_out: tuple[str, ...],
        checkpoint: Path | None,
    ) -> Started:
        trainable, parameters = model.get_nb_trainable_parameters()
        return Started(
            conversations=len(conversations),
            tokens=sum(len(c.input_ids) for c in conversations),
            learned_tokens=sum(c.learned for c in conversations),
            left_out=left_out,
            steps=trainer.args.max_steps,
            first_step=step_of(checkpoint) if checkpoint else 0,
            trainable=trainable,
            parameters=parameters,
            continued=self.earlier.name if self.earlier else None,
        )

    def _evaluate(self, model: PeftModel, held_out: Sequence[Encoded], step: int) -> float:
        loss = held_out_loss(model, held_out, bf16=self.config.bf16)
        self.events.put(Evaluated(step, loss))
        return loss

    def _finish(
        self, model: PeftModel, held_out: Sequence[Encoded], template: str, record: Lineage
    ) -> None:
        folder, lines = self.folder.path, self.folder.lines()
        adapter = save_adapter(model, folder, self.config)
        write(folder / "chat_template.jinja", template)
        metrics: dict[str, Any] = summary(lines) | continued(lines, self.earlier)
        metrics |= {
            "parameters": model.get_nb_trainable_parameters()[0],
            "adapter_sha256": sha256(adapter),
            "lineage": record,
            "versions": {name: version(name) for name in ("torch", "transformers", "peft", "trl")},
        }
        if held_out:
            metrics["held_out_loss"] = self._evaluate(model, held_out, metrics["steps"])
        draw_curve(lines, folder / "loss.png", loss="loss per learned token")
        self.finish(metrics)


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
    path = folder / ADAPTER_WEIGHTS
    write(path, save(weights, metadata={"format": "pt"}))
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
