"""Delivery: what a run made, in the form that a server takes, with its model card."""

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from finetune.card import Facts, licence_of, read_facts, write_card
from finetune.continuing import ADAPTER_WEIGHTS
from finetune.conversion import ENERGY, Converted, Done, convert, pad
from finetune.errors import ConversionError, ModelError, RunExistsError
from finetune.export import write_merged
from finetune.gguf import Quantization, find_converter, modelfile, write_gguf
from finetune.run_folder import QUERY_ENCODER, sha256, write
from finetune.saving import MODEL_WEIGHTS
from finetune.servability import (
    Engine,
    Form,
    Servability,
    adaptation_of,
    check,
    next_rank,
    recipe_of,
)

Target = Literal["auto", "adapter", "merged", "gguf"]
TEMPLATE = "chat_template.jinja"


@dataclass(frozen=True)
class Order:
    """What is to be delivered; `base` is the folder of the base model, where one is needed."""

    run: Path
    out: Path
    target: Target = "auto"
    engine: Engine = "vllm"
    base: Path | None = None
    base_name: str | None = None
    rank: int | None = None
    energy: float = ENERGY
    quantization: Quantization = "q8_0"
    converter: Path | None = None
    licence: str | None = None
    data_licence: str | None = None


@dataclass(frozen=True)
class Delivery:
    """What was delivered: the folder, its form, and what a conversion kept."""

    folder: Path
    form: Form
    servability: Servability
    converted: Converted | None = None
    gguf: Path | None = None
    encoder: Path | None = None
    """The tuned encoder of questions that the run has too."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Return why it has this form, what a conversion kept, and what is left in the run."""
        notes = self.servability.reasons if self.form == self.servability.served_as else ()
        if self.encoder:
            left = f"`agentlab store reembed --embedder {self.encoder}` searches by it"
            notes = (*notes, f"the run's encoder of questions stays there: {left}")
        if self.converted is None or self.form != "converted":
            return notes
        made = self.converted
        kept = (
            f"rank {made.rank} keeps {made.kept:.2%} of the update's energy "
            f"({made.lowest:.2%} in the worst layer, {made.layer})"
        )
        return (*notes, kept)

    @property
    def max_lora_rank(self) -> int | None:
        """Return what vLLM's --max-lora-rank must be to serve it, where it is an adapter."""
        if self.form in ("merged", "model"):
            return None
        return next_rank(self.converted.rank) if self.converted else self.servability.max_lora_rank


def deliver(order: Order, *, done: Done | None = None) -> Delivery:
    """Make the folder that `order.out` names, whole or not at all, and return what it holds.

    `auto` is the form in which the engine serves the run; raise ConversionError where a form is
    asked for that the run cannot take, and RunExistsError where the folder is taken.
    """
    told = _servability(order)
    form = _form(order, told)
    out = order.out
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunExistsError(f"{out} exists already. Give another --out, or remove it.")
    converter = find_converter(order.converter) if order.target == "gguf" else None
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        converted = _fill(order, form, part, done)
        gguf = _to_gguf(order, part, converter) if converter else None
        encoder = order.run / QUERY_ENCODER
        delivery = Delivery(
            out,
            form,
            told,
            converted,
            gguf=out / gguf.name if gguf else None,
            encoder=encoder if encoder.is_dir() else None,
        )
        _describe(order, delivery, part)
        if out.exists():
            out.rmdir()
        part.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return delivery


def needs_base(order: Order) -> bool:
    """Return whether the delivery merges, and so needs the folder of the base model."""
    return _form(order, _servability(order)) == "merged"


def base_name(order: Order) -> str:
    """Return the base model's name: the given one, or what the run's files say."""
    said = {}
    if not is_model(order.run):
        path = order.run / "adapter_config.json"
        said = json.loads(path.read_text(encoding="utf-8"))
    named = said.get("base_model_name_or_path") or recipe_of(order.run).get("model")
    name = order.base_name or named
    if not name:
        raise ModelError(f"{order.run} names no base model. Give it as --model.")
    return str(name)


def _servability(order: Order) -> Servability:
    if _scores(order.run):
        raise ConversionError(f"{order.run} scores texts and writes none: load it by load_reward.")
    if is_model(order.run):
        return Servability("model", ("every weight is tuned",))
    engine: Engine = "vllm" if order.target == "adapter" else order.engine
    return check(adaptation_of(order.run), engine=engine)


def _scores(run: Path) -> bool:
    """Return whether the run made a reward model: of its files, the one that says so is read."""
    for name in ("adapter_config.json", "config.json"):
        if (run / name).is_file():
            said = json.loads((run / name).read_text(encoding="utf-8"))
            kinds = [str(said.get("task_type")), *(said.get("architectures") or [])]
            return any("SEQ_CLS" in kind or "SequenceClassification" in kind for kind in kinds)
    return False


def is_model(folder: Path) -> bool:
    """Return whether the folder holds a whole model, as full tuning leaves it."""
    return (folder / "config.json").is_file() and not (folder / "adapter_config.json").is_file()


def _form(order: Order, told: Servability) -> Form:
    if told.served_as == "model":
        if order.target == "adapter":
            raise ConversionError(f"{order.run} holds a whole model, no adapter: use --to merged.")
        return "model"
    if order.target in ("merged", "gguf"):
        return "merged"
    if order.target == "adapter" and told.served_as == "merged":
        why = "; ".join(told.reasons)
        raise ConversionError(f"{order.run} cannot be served as an adapter: {why}. --to merged.")
    return told.served_as


def _fill(order: Order, form: Form, part: Path, done: Done | None) -> Converted | None:
    template = _template(order.run)
    if form == "merged":
        if order.base is None:
            raise ModelError(f"Merging {order.run} needs the folder of its base model: give it.")
        write_merged(order.base, order.run, part, template)
        return None
    if form == "model":
        shutil.copytree(order.run, part, dirs_exist_ok=True, ignore=_of_the_run)
        return None
    if template is not None:
        write(part / TEMPLATE, template)
    if form == "converted":
        return convert(order.run, part, energy=order.energy, rank=order.rank, done=done)
    if form == "padded":
        return pad(order.run, part, rank=order.rank)
    for name in ("adapter_config.json", ADAPTER_WEIGHTS):
        shutil.copyfile(order.run / name, part / name)
    return None


def _of_the_run(_folder: str, names: list[str]) -> set[str]:
    """Name what tells of the run and is no part of the model."""
    kept = (".safetensors", ".json", ".jinja", ".txt", ".model")
    told = {"metrics.json", "run.json"}
    return {name for name in names if not name.endswith(kept) or name in told}


def _template(run: Path) -> str | None:
    try:
        return (run / TEMPLATE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _to_gguf(order: Order, part: Path, converter: Path) -> Path:
    """Replace the model's files in the folder by one GGUF and Ollama's Modelfile."""
    model = part / "model"
    model.mkdir()
    for path in list(part.iterdir()):
        if path != model:
            path.rename(model / path.name)
    name = f"model-{order.quantization}.gguf"
    gguf = write_gguf(model, part / name, converter=converter, quantization=order.quantization)
    write(part / "Modelfile", modelfile(name, _template(model)))
    shutil.rmtree(model)
    return gguf


def _describe(order: Order, delivery: Delivery, part: Path) -> None:
    """Write the card, and in export.json what was made of which weights."""
    base, form, converted = base_name(order), delivery.form, delivery.converted
    licences = {"model": order.licence, "data": order.data_licence}
    licences["base"] = licence_of(order.base) if order.base else None
    facts = Facts(
        order.out.name,
        base,
        form,
        notes=delivery.notes,
        licences={what: text for what, text in licences.items() if text},
        max_lora_rank=delivery.max_lora_rank,
        gguf=delivery.gguf.name if delivery.gguf else None,
    )
    facts = read_facts(order.run, facts)
    write(part / "README.md", write_card(facts))
    weights = order.run / (MODEL_WEIGHTS if form == "model" else ADAPTER_WEIGHTS)
    record = {
        "form": form,
        "target": order.target,
        "base": base,
        "sha256": sha256(weights),
        "converted": asdict(converted) if converted else None,
        "max_lora_rank": delivery.max_lora_rank,
    }
    write(part / "export.json", json.dumps(record, indent=2))
