"""The settings of each method of tuning a language model, and how they are read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from finetune.config import build, read_recipe
from finetune.errors import ConfigError
from finetune.policy_config import GrpoConfig, PpoConfig
from finetune.tune_config import TuneConfig


class CptConfig(TuneConfig):
    """Continued pre-training: every token of plain text, packed into blocks of `max_length`."""

    method: ClassVar[str] = "cpt"

    learning_rate: float = Field(1e-4, gt=0)


class SftConfig(TuneConfig):
    """Supervised tuning on what the assistant writes in conversations."""

    method: ClassVar[str] = "sft"

    learning_rate: float = Field(2e-4, gt=0)
    max_tokens: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if self.max_steps and self.max_tokens:
            msg = "max_steps and max_tokens both end the run: keep one of them"
            raise ValueError(msg)
        return self


class DpoConfig(TuneConfig):
    """Direct preference optimisation (Rafailov et al. 2023): pairs against a frozen reference.

    `beta` holds the model to the reference; `loss` is TRL's name of the loss on the margin.
    """

    method: ClassVar[str] = "dpo"

    learning_rate: float = Field(2e-5, gt=0)
    beta: float = Field(0.1, gt=0)
    loss: Literal["sigmoid", "ipo", "hinge", "robust"] = "sigmoid"
    label_smoothing: float = Field(0.0, ge=0, lt=0.5)


class KtoConfig(TuneConfig):
    """Kahneman-Tversky optimisation (Ethayarajh et al. 2024): thumbs up or down, no pairs.

    The weights say how much a row of each kind counts; None balances the two kinds. A micro batch
    needs two rows, whose completions are swapped to estimate the KL divergence.
    """

    method: ClassVar[str] = "kto"

    learning_rate: float = Field(2e-5, gt=0)
    beta: float = Field(0.1, gt=0)
    desirable_weight: float | None = Field(None, gt=0)
    undesirable_weight: float | None = Field(None, gt=0)
    micro_batch: int = Field(4, ge=2)


class OrpoConfig(TuneConfig):
    """Odds-ratio preference optimisation (Hong et al. 2024): pairs in one stage, no reference.

    `beta` weighs the odds ratio beside the supervised loss (lambda in the paper).
    """

    method: ClassVar[str] = "orpo"

    learning_rate: float = Field(5e-5, gt=0)
    beta: float = Field(0.1, gt=0)


class RewardConfig(TuneConfig):
    """A reward model: one number for how good an answer is (Bradley and Terry 1952).

    `centering` pulls the two rewards of a pair towards a sum of 0 (Eisenstein et al. 2023, 0.01
    there). With `margins` each row's field `margin` is by how much the better answer has to win.
    """

    method: ClassVar[str] = "reward"

    learning_rate: float = Field(1e-4, gt=0)
    micro_batch: int = Field(4, ge=1)
    centering: float | None = Field(None, gt=0)
    margins: bool = False


class RagConfig(TuneConfig):
    """Retriever and generator together: RAG-sequence (Lewis et al. 2020) on a frozen index.

    `encoder` names the embedder of the index, whose copy for questions learns at a rate of its own;
    0 leaves it as it is. A step weighs the best `passages` of a row's first `candidates` by their
    cosines divided by `temperature`. `prompt` is the template by which passage, question and answer
    are written.
    """

    method: ClassVar[str] = "rag"

    learning_rate: float = Field(2e-4, gt=0)
    max_length: int = Field(512, ge=8)
    encoder: str = "sentence-transformers/all-MiniLM-L6-v2"
    encoder_learning_rate: float = Field(2e-5, ge=0)
    passages: int = Field(4, ge=2)
    candidates: int = Field(8, ge=2)
    temperature: float = Field(0.05, gt=0)
    prompt: str = "chat"

    @model_validator(mode="after")
    def _of_candidates_by_an_adapter(self) -> Self:
        if self.tuner == "full":
            msg = "rag trains an adapter beside the encoder: leave tuner=full out"
            raise ValueError(msg)
        if self.processes > 1:
            msg = "rag trains encoder and model in one process on one GPU: leave processes out"
            raise ValueError(msg)
        if self.passages > self.candidates:
            msg = (
                f"passages={self.passages} are weighed of candidates={self.candidates}: raise those"
            )
            raise ValueError(msg)
        return self


METHODS: dict[str, type[TuneConfig]] = {
    kind.method: kind
    for kind in (
        CptConfig,
        SftConfig,
        DpoConfig,
        KtoConfig,
        OrpoConfig,
        RewardConfig,
        PpoConfig,
        GrpoConfig,
        RagConfig,
    )
}
"""The settings of each method on a language model, in the order in which they are usually run."""


def load_config(
    method: str, recipe: str | Path | None = None, overrides: Mapping[str, Any] | None = None
) -> TuneConfig:
    """Build a method's settings: the recipe's, then what `overrides` sets (not None).

    A recipe may name the method that it is for, and is then refused to any other.
    """
    if method not in METHODS:
        raise ConfigError(f"No method {method!r}. Use one of: {', '.join(METHODS)}.")
    settings = read_recipe(recipe)
    meant = settings.pop("method", method)
    if meant != method:
        raise ConfigError(f"The recipe {recipe} is for {meant}, not for {method}.")
    return build(METHODS[method], settings, overrides)
