"""Servability: how a tuned model will be served, told from its settings before it is trained.

The rules are those of vLLM 0.32 (its PEFT helper and its LoRA configuration): an adapter with DoRA,
biases or saved modules is refused, and so is any type but LoRA; `--max-lora-rank` takes certain
numbers only. bitsandbytes left vLLM at 0.28. The engine in the process and `transformers serve`
load whole models.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import yaml

from finetune.errors import ModelError

MAX_LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM's --max-lora-rank may be."""

WORDS = frozenset({"embed_tokens", "lm_head"})

Engine = Literal["vllm", "transformers"]
Form = Literal["adapter", "padded", "converted", "merged", "model"]

FORMS: dict[Form, str] = {
    "adapter": "the adapter as it is, on the bf16 base",
    "padded": "the adapter with its rank padded by zeros, on the bf16 base",
    "converted": "an ordinary LoRA made from it by SVD, on the bf16 base",
    "merged": "a model in bf16 with the adapter merged in",
    "model": "the whole tuned model",
}


class Tuned(Protocol):
    """Settings that say what is trained."""

    @property
    def tuner(self) -> str:
        """Return what is trained: lora, rslora, dora, neural or full."""

    @property
    def lora_rank(self) -> int:
        """Return the adapter's rank."""

    @property
    def target_modules(self) -> str | tuple[str, ...]:
        """Return the names of the modules, or a preset's."""

    @property
    def quantize_4bit(self) -> bool:
        """Return whether the base is in 4 bits while it is trained on."""


@dataclass(frozen=True)
class Adaptation:
    """What an adapter is, as its settings or its folder say."""

    tuner: str
    lora_rank: int
    target_modules: str | tuple[str, ...] = "all"
    quantize_4bit: bool = False
    modules_to_save: tuple[str, ...] = ()
    lora_bias: bool = False


@dataclass(frozen=True)
class Servability:
    """How the result will be served, and why; `max_lora_rank` is vLLM's, where it serves a LoRA."""

    served_as: Form
    reasons: tuple[str, ...] = field(default=())
    max_lora_rank: int | None = None

    @property
    def refused(self) -> bool:
        """Return whether the result as it is trained cannot be served by the engine."""
        return self.served_as not in ("adapter", "model")

    def __str__(self) -> str:
        """Say it in one line."""
        why = f" ({'; '.join(self.reasons)})" if self.reasons else ""
        return f"served as {FORMS[self.served_as]}{why}"


def check(config: Tuned | Adaptation, *, engine: Engine = "vllm") -> Servability:
    """Return how the engine will serve what these settings train, and which export that needs."""
    if config.tuner == "full":
        return Servability("model", ("every weight is tuned",))
    if engine == "transformers":
        return Servability("merged", ("this engine loads whole models, no adapters",))
    faults = _refused(config)
    if faults:
        return Servability("merged", (*faults, *_notes(config)))
    rank = next_rank(config.lora_rank)
    if config.tuner == "neural":
        why = "vLLM knows no neural adapters; what the SVD keeps is measured at the export"
        return Servability("converted", (why, *_notes(config)), rank)
    if rank != config.lora_rank:
        why = f"vLLM's --max-lora-rank takes no {config.lora_rank}, but {rank}"
        return Servability("padded", (why, *_notes(config)), rank)
    return Servability("adapter", _notes(config), rank)


def next_rank(rank: int) -> int:
    """Return the smallest of vLLM's ranks that holds this one; the largest where none does."""
    return next((each for each in MAX_LORA_RANKS if each >= rank), MAX_LORA_RANKS[-1])


def adaptation_of(folder: Path) -> Adaptation:
    """Read what an adapter is from its folder, whoever trained it."""
    path = folder / "adapter_config.json"
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(
            f"{folder} is no folder of an adapter: {path.name} is missing. Give the folder of a "
            "finished run."
        ) from error
    except ValueError as error:
        raise ModelError(f"{path} is no valid JSON: {error}. Give an undamaged adapter.") from error
    modules = settings.get("target_modules") or ()
    patterns = (settings.get("rank_pattern") or {}).values()
    return Adaptation(
        tuner=_tuner(settings),
        lora_rank=max([settings.get("r", 1), *patterns]),
        target_modules=modules if isinstance(modules, str) else tuple(sorted(modules)),
        quantize_4bit=bool(recipe_of(folder).get("quantize_4bit")),
        modules_to_save=tuple(settings.get("modules_to_save") or ()),
        lora_bias=bool(settings.get("lora_bias")) or settings.get("bias", "none") != "none",
    )


def recipe_of(run: Path) -> dict[str, Any]:
    """Return the settings that a run wrote beside its result; none of another trainer's adapter."""
    try:
        recipe = yaml.safe_load((run / "resolved.yaml").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except yaml.YAMLError as error:
        raise ModelError(f"{run / 'resolved.yaml'} is no valid YAML: {error}. Mend it.") from error
    return recipe if isinstance(recipe, dict) else {}


def _tuner(settings: dict[str, Any]) -> str:
    kind = str(settings.get("peft_type", "")).lower()
    if kind != "lora":
        return kind
    if settings.get("use_dora"):
        return "dora"
    return "rslora" if settings.get("use_rslora") else "lora"


def _refused(config: Tuned | Adaptation) -> tuple[str, ...]:
    """Return why vLLM loads neither the adapter nor what a conversion would make of it."""
    faults = []
    if config.tuner not in ("lora", "rslora", "neural"):
        name = "DoRA" if config.tuner == "dora" else f"{config.tuner} adapters"
        faults.append(f"vLLM refuses {name}")
    if config.lora_rank > MAX_LORA_RANKS[-1]:
        faults.append(f"rank {config.lora_rank} is above vLLM's largest, {MAX_LORA_RANKS[-1]}")
    if isinstance(config, Adaptation) and config.modules_to_save:
        faults.append(f"vLLM refuses modules_to_save ({', '.join(config.modules_to_save)})")
    if isinstance(config, Adaptation) and config.lora_bias:
        faults.append("vLLM refuses adapters with biases")
    words = WORDS & {name.rsplit(".", 1)[-1] for name in _names(config.target_modules)}
    if words:
        faults.append(f"vLLM takes a LoRA on {' and '.join(sorted(words))} for some models only")
    return tuple(faults)


def _names(modules: str | tuple[str, ...]) -> tuple[str, ...]:
    return (modules,) if isinstance(modules, str) else tuple(modules)


def _notes(config: Tuned | Adaptation) -> tuple[str, ...]:
    if not config.quantize_4bit:
        return ()
    return ("trained on a 4-bit base, which vLLM has not",)
