"""RunConfig: everything that decides a run, frozen and written beside its result."""

import math
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from finetune.errors import ConfigError

PLACE = frozenset({"threads", "processes", "save_every", "out", "tensorboard", "compare"})
"""Settings that change where or how fast a run goes, not what it learns."""


def _several(value: object) -> object:
    return [value] if isinstance(value, str | Path) else value


Paths = Annotated[tuple[Path, ...], BeforeValidator(_several)]


class RunConfig(BaseModel):
    """What every run is told; `model` is a name or a folder, whatever `train` is told.

    With `bf16` a run computes in bf16 where the hardware does (elsewhere in fp32, which is then
    faster), and its weights are written in bf16; without it all is fp32.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Paths = Field(min_length=1)
    model: str
    out: Path
    eval_data: Paths = ()
    bf16: bool = True

    learning_rate: float = Field(8e-4, gt=0)
    schedule: Literal["cosine", "linear", "constant_with_warmup"] = "cosine"
    warmup_ratio: float = Field(0.03, ge=0, lt=1)
    weight_decay: float = Field(0.0, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)
    batch: int = Field(8, ge=1)
    epochs: float = Field(1.0, gt=0)
    max_steps: int | None = Field(None, ge=1)
    max_length: int = Field(1024, ge=8)

    seed: int = Field(0, ge=0)
    save_every: int = Field(50, ge=1)
    eval_every: int | None = Field(None, ge=1)
    threads: int | None = Field(None, ge=1)
    tensorboard: bool = False

    @model_validator(mode="after")
    def _has_what_it_evaluates(self) -> Self:
        if self.eval_every and not self.eval_data:
            msg = f"eval_every={self.eval_every} needs eval_data"
            raise ValueError(msg)
        return self

    def steps(self, rows: int) -> int:
        """Return how many optimizer steps a run over so many rows takes."""
        return self.max_steps or max(1, math.ceil(rows * self.epochs / self.batch))

    def resolved(self) -> dict[str, Any]:
        """Return every setting as plain data, derived ones filled in."""
        return self.model_dump(mode="json")

    def learned(self) -> dict[str, Any]:
        """Return the settings that decide what is learned."""
        return {key: value for key, value in self.resolved().items() if key not in PLACE}


class ReaderConfig(RunConfig):
    """Settings of one run that trains a reader.

    Each passage is cut to a random number of words between the two of `crop_words`, in whole
    sentences around its answer; None leaves the passages as they are. `reader` is the folder of a
    reader to go on from; what is written is then `blend` of the new weights and the rest of the
    earlier ones, which keeps what it could do (Wortsman et al. 2022, "Robust fine-tuning of
    zero-shot models").
    """

    reader: Path | None = None
    blend: float = Field(1.0, gt=0, le=1)
    learning_rate: float = Field(1.5e-4, gt=0)
    schedule: Literal["cosine", "linear", "constant_with_warmup"] = "linear"
    warmup_ratio: float = Field(0.05, ge=0, lt=1)
    weight_decay: float = Field(0.01, ge=0)
    batch: int = Field(24, ge=1)
    max_length: int = Field(320, ge=8)
    dropout: float = Field(0.05, ge=0, lt=1)
    crop_words: tuple[int, int] | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.crop_words and not 1 <= self.crop_words[0] <= self.crop_words[1]:
            msg = f"crop_words={list(self.crop_words)}: give the smaller number of words first"
            raise ValueError(msg)
        if self.blend < 1 and not self.reader:
            msg = f"blend={self.blend} needs reader, the folder of the earlier weights"
            raise ValueError(msg)
        return self


class RouterConfig(RunConfig):
    """Settings of one run that trains a router.

    The last `layers` layers of the encoder are trained, with the pooler and the head. The share
    `lower_share` of the texts is read in lower case and without its last "?", drawn each time anew.
    """

    layers: int = Field(2, ge=0)
    learning_rate: float = Field(3e-4, gt=0)
    schedule: Literal["cosine", "linear", "constant_with_warmup"] = "linear"
    warmup_ratio: float = Field(0.1, ge=0, lt=1)
    weight_decay: float = Field(0.01, ge=0)
    batch: int = Field(32, ge=1)
    epochs: float = Field(2.0, gt=0)
    max_length: int = Field(64, ge=8)
    label_smoothing: float = Field(0.05, ge=0, lt=1)
    lower_share: float = Field(0.2, ge=0, le=1)
    save_every: int = Field(200, ge=1)


class RetrieverConfig(RunConfig):
    """Settings of one run that tunes a sentence embedder for retrieval.

    Each time that a row is seen, `hard_negatives` of its own are drawn beside those of the batch.
    Cosines are divided by `temperature`. `max_length` cuts queries and texts; ingest reads 256.
    """

    learning_rate: float = Field(3e-5, gt=0)
    schedule: Literal["cosine", "linear", "constant_with_warmup"] = "linear"
    warmup_ratio: float = Field(0.1, ge=0, lt=1)
    weight_decay: float = Field(0.01, ge=0)
    batch: int = Field(24, ge=2)
    max_length: int = Field(256, ge=8)
    temperature: float = Field(0.05, gt=0)
    hard_negatives: int = Field(1, ge=0)
    save_every: int = Field(100, ge=1)


Config = TypeVar("Config", bound=RunConfig)


def read_recipe(name: str | Path | None) -> dict[str, Any]:
    """Read a recipe: the name of one that is shipped, or the path of a YAML file; None is empty."""
    if name is None:
        return {}
    shipped = resources.files("finetune.recipes") / f"{name}.yaml"
    path = Path(name)
    if not path.suffix and shipped.is_file():
        text = shipped.read_text(encoding="utf-8")
    elif path.is_file():
        text = path.read_text(encoding="utf-8")
    else:
        known = ", ".join(recipes())
        raise ConfigError(f"No recipe {str(name)!r}. Give a YAML file or one of: {known}.")
    try:
        settings = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise ConfigError(f"{name} is no valid YAML: {error}. Mend that line.") from error
    if not isinstance(settings, dict):
        raise ConfigError(f"{name} holds a {type(settings).__name__}, not `setting: value` lines.")
    return settings


def recipes() -> tuple[str, ...]:
    """Return the names of the recipes that are shipped."""
    folder = resources.files("finetune.recipes")
    return tuple(
        sorted(
            entry.name.removesuffix(".yaml")
            for entry in folder.iterdir()
            if entry.name.endswith(".yaml")
        )
    )


def load_reader_config(
    recipe: str | Path | None = "reader", overrides: Mapping[str, Any] | None = None
) -> ReaderConfig:
    """Build a reader's settings: the recipe's, then what `overrides` sets (not None)."""
    return build(ReaderConfig, read_recipe(recipe), overrides)


def load_router_config(
    recipe: str | Path | None = "router", overrides: Mapping[str, Any] | None = None
) -> RouterConfig:
    """Build a router's settings: the recipe's, then what `overrides` sets (not None)."""
    return build(RouterConfig, read_recipe(recipe), overrides)


def load_retriever_config(
    recipe: str | Path | None = "retriever", overrides: Mapping[str, Any] | None = None
) -> RetrieverConfig:
    """Build a retriever's settings: the recipe's, then what `overrides` sets (not None)."""
    return build(RetrieverConfig, read_recipe(recipe), overrides)


def build(
    kind: type[Config], recipe: Mapping[str, Any], overrides: Mapping[str, Any] | None
) -> Config:
    """Build settings of a kind: the recipe's, then what `overrides` sets (not None)."""
    settings = dict(recipe)
    settings |= {key: value for key, value in (overrides or {}).items() if value is not None}
    try:
        return kind(**settings)
    except ValidationError as error:
        raise ConfigError(explain(error, kind)) from error


def explain(error: ValidationError, kind: type[BaseModel]) -> str:
    """Say which settings do not hold, each with its value, and which there are."""
    lines = []
    faults = error.errors(include_url=False)
    for fault in faults:
        name = ".".join(str(part) for part in fault["loc"]) or "settings"
        if fault["type"] == "missing":
            lines.append(f"{name} is not set: give --{name}, or write it into the recipe")
            continue
        value = "" if fault["type"] == "value_error" else f" (got {fault['input']!r})"
        lines.append(f"{name}: {fault['msg']}{value}")
    told = "These settings do not hold:\n  " + "\n  ".join(lines)
    if any(fault["type"] == "extra_forbidden" for fault in faults):
        told += f"\nKnown settings: {', '.join(kind.model_fields)}."
    return told
