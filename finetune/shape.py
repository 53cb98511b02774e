"""ModelShape: the sizes from which a model's memory and time follow."""

import csv
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from finetune.errors import ModelError

Commercial = Literal["yes", "no", "terms"]

_KEYS = ("num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads")


@dataclass(frozen=True)
class ModelShape:
    """A dense decoder of the Llama family's build; `counted` is the number that its files hold."""

    name: str
    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    context: int
    tied: bool = True
    counted: int | None = field(default=None, compare=False)

    @property
    def query(self) -> int:
        """Return the width of all query heads."""
        return self.heads * self.head_dim

    @property
    def key_value(self) -> int:
        """Return the width of all key heads, which is that of the value heads."""
        return self.kv_heads * self.head_dim

    @property
    def modules(self) -> dict[str, tuple[int, int]]:
        """Return one layer's linear modules: name -> (width in, width out)."""
        return {
            "q_proj": (self.hidden, self.query),
            "k_proj": (self.hidden, self.key_value),
            "v_proj": (self.hidden, self.key_value),
            "o_proj": (self.query, self.hidden),
            "gate_proj": (self.hidden, self.intermediate),
            "up_proj": (self.hidden, self.intermediate),
            "down_proj": (self.intermediate, self.hidden),
        }

    @property
    def linear(self) -> int:
        """Return the parameters of all linear modules, which is what 4 bits shrink."""
        return self.layers * sum(width * out for width, out in self.modules.values())

    @property
    def rest(self) -> int:
        """Return the parameters that are never in 4 bits: embeddings, head and norms."""
        return self.parameters - self.linear

    @property
    def parameters(self) -> int:
        """Return all parameters: counted in the files, or else from the sizes."""
        if self.counted is not None:
            return self.counted
        embeddings = self.vocabulary * self.hidden * (1 if self.tied else 2)
        return self.linear + embeddings + (2 * self.layers + 1) * self.hidden


@dataclass(frozen=True)
class KnownModel:
    """A model that can be named without its files, with what its licence allows.

    `commercial` is `terms` where the licence allows it with terms of its own.
    """

    shape: ModelShape
    licence: str
    commercial: Commercial

    @property
    def name(self) -> str:
        """Return the model's whole name."""
        return self.shape.name


def known_models() -> tuple[KnownModel, ...]:
    """Return the table of known open models, smallest first."""
    file = resources.files("finetune") / "known_models.csv"
    rows = csv.DictReader(file.read_text(encoding="utf-8").splitlines())
    models = [_known(row) for row in rows]
    return tuple(sorted(models, key=lambda model: model.shape.parameters))


def find_model(name: str) -> KnownModel | None:
    """Return the known model of that name, whole or without its owner."""
    wanted = name.casefold()
    for model in known_models():
        whole = model.name.casefold()
        short = whole.split("/")[-1]
        if wanted in (whole, short, short.removesuffix("-instruct")):
            return model
    return None


def shape_of(model: str | Path) -> ModelShape:
    """Return the shape of a model's folder, or of a known name; raise ModelError for others."""
    if Path(model).is_dir():
        return read_shape(Path(model))
    known = find_model(str(model))
    if known is None:
        raise ModelError(
            f"Nothing is known of the size of {str(model)!r}: give the model's folder, or a known "
            "name such as Qwen/Qwen3-4B."
        )
    return known.shape


def read_shape(folder: Path) -> ModelShape:
    """Read the shape from a folder's config.json, and the parameters from its safetensors."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}. Give the folder of a model.") from error
    config = config.get("text_config") or config
    missing = [key for key in _KEYS if not isinstance(config.get(key), int)]
    if missing or "vocab_size" not in config:
        named = ", ".join(missing) or "vocab_size"
        raise ModelError(f"{path} has no {named}: no shape to estimate memory and time from.")
    if (config.get("num_local_experts") or config.get("num_experts") or 0) > 1:
        raise ModelError(f"{path} is a mixture of experts: only dense models can be estimated.")
    return _from_config(config, folder)


def count_parameters(folder: Path) -> int | None:
    """Count the parameters in the headers of a folder's safetensors; None where they pack bits."""
    total = 0
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb") as handle:
            start = handle.read(8)
            if len(start) < 8:
                return None
            header = json.loads(handle.read(struct.unpack("<Q", start)[0]))
        for name, tensor in header.items():
            if name == "__metadata__":
                continue
            if not tensor["dtype"].startswith(("F", "BF")):
                return None
            size = 1
            for width in tensor["shape"]:
                size *= width
            total += size
    return total or None


def _from_config(config: Mapping[str, Any], folder: Path) -> ModelShape:
    heads = config["num_attention_heads"]
    return ModelShape(
        name=folder.name,
        layers=config["num_hidden_layers"],
        hidden=config["hidden_size"],
        intermediate=config["intermediate_size"],
        heads=heads,
        kv_heads=config.get("num_key_value_heads") or heads,
        head_dim=config.get("head_dim") or config["hidden_size"] // heads,
        vocabulary=config["vocab_size"],
        context=config.get("max_position_embeddings") or 2048,
        tied=bool(config.get("tie_word_embeddings", True)),
        counted=count_parameters(folder),
    )


def _known(row: Mapping[str, str]) -> KnownModel:
    numbers = {key: int(row[key]) for key in _NUMBERS}
    shape = ModelShape(name=row["name"], tied=row["tied"] == "yes", **numbers)
    commercial: Commercial = "yes" if row["commercial"] == "yes" else "terms"
    return KnownModel(shape, row["licence"], "no" if row["commercial"] == "no" else commercial)


_NUMBERS = (
    "layers",
    "hidden",
    "intermediate",
    "heads",
    "kv_heads",
    "head_dim",
    "vocabulary",
    "context",
)
