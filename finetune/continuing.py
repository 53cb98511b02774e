"""Earlier: the adapter that a run goes on from, and what the settings owe to it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from finetune.errors import ConfigError, ModelError
from finetune.run_folder import sha256
from finetune.servability import adaptation_of
from finetune.tune_config import ATTENTION, TuneConfig

ADAPTER_WEIGHTS = "adapter_model.safetensors"
Settings = TypeVar("Settings", bound=TuneConfig)


@dataclass(frozen=True)
class Earlier:
    """An adapter as its folder describes it; `tokens` and `frequency` are None where it has none.

    `modules` are the last parts of their names, of which PEFT at times writes the whole path.
    """

    folder: Path
    sha256: str
    tuner: str
    rank: int
    alpha: int
    modules: tuple[str, ...]
    tokens: int | None
    frequency: float | None = None

    @property
    def name(self) -> str:
        """Return the first letters of its weights' SHA-256, which are its name on any machine."""
        return self.sha256[:12]


def read_earlier(folder: Path) -> Earlier:
    """Read what an adapter's folder says; raise ModelError where none can go on from it."""
    settings = _json(folder / "adapter_config.json")
    if not settings or not (folder / ADAPTER_WEIGHTS).is_file():
        raise ModelError(
            f"{folder} is no folder of an adapter: it needs adapter_config.json and "
            f"{ADAPTER_WEIGHTS}. Give the folder that an earlier run wrote."
        )
    modules = settings.get("target_modules")
    kind = settings.get("peft_type")
    if kind not in ("LORA", "NEURAL") or not isinstance(modules, list):
        raise ModelError(
            f"{folder} holds a {kind} adapter on {modules!r}. Only a LoRA or a neural adapter "
            "whose target_modules is a list of names can be trained further."
        )
    seen = _json(folder / "metrics.json")
    return Earlier(
        folder=folder,
        sha256=sha256(folder / ADAPTER_WEIGHTS),
        tuner=adaptation_of(folder).tuner,
        rank=settings["r"],
        alpha=int(settings["alpha" if kind == "NEURAL" else "lora_alpha"]),
        modules=tuple(sorted({name.rsplit(".", 1)[-1] for name in modules})),
        tokens=seen.get("total_tokens", seen.get("tokens")),
        frequency=settings.get("frequency"),
    )


def agree(config: Settings, earlier: Earlier) -> Settings:
    """Take what is not set from the adapter; raise ConfigError where a setting contradicts it.

    Whether `target_modules: all` names the adapter's modules shows only on the model itself.
    """
    chosen = config.model_fields_set
    wanted: dict[str, Any] = {
        "tuner": earlier.tuner,
        "lora_rank": earlier.rank,
        "lora_alpha": earlier.alpha,
    }
    if earlier.frequency:
        wanted["frequency"] = earlier.frequency
    said = {name: getattr(config, name) for name in wanted} | {"lora_alpha": config.alpha}
    faults = [name for name in wanted if name in chosen and said[name] != wanted[name]]
    taken = dict(wanted)
    if "target_modules" not in chosen:
        taken["target_modules"] = earlier.modules
    elif config.target_modules != "all":
        named = ATTENTION if config.target_modules == "attention" else config.target_modules
        wanted["target_modules"], said["target_modules"] = list(earlier.modules), list(named)
        if set(named) != set(earlier.modules):
            faults.append("target_modules")
    if faults:
        lines = "; ".join(
            f"{name} is {said[name]}, the adapter's {wanted[name]}" for name in faults
        )
        raise ConfigError(
            f"These settings contradict the adapter {earlier.folder}: {lines}. "
            "Leave them out, or set them to the adapter's."
        )
    return config.model_copy(update=taken)


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ModelError(f"{path} is no valid JSON: {error}. Give an undamaged adapter.") from error
    return value if isinstance(value, dict) else {}
