"""RlmfConfig: everything that decides rounds of machine feedback."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from finetune.config import Paths, explain, read_recipe
from finetune.errors import ConfigError
from finetune.method_config import load_config
from finetune.tune_config import TuneConfig


class RlmfConfig(BaseModel):
    """Settings of the rounds.

    `discriminator` holds settings of `reward`, and `generator` of the method that tunes it, which
    is `tune_by`: ORPO also learns the preferred answers themselves, DPO only the preference.

    `data` are answers that people labelled good or bad. `eval_data`, or `honest_share` of the
    prompts, keep the discriminator honest: below `min_auc` on them the rounds end, as they do where
    the variety of the answers falls below `min_variety` of the first round's. `min_margin` is in
    deviations of the discriminator's scores.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Paths = Field(min_length=1)
    eval_data: Paths = ()
    model: str
    out: Path
    adapter: Path | None = None
    chat_template: Path | None = None
    bf16: bool = True
    seed: int = Field(0, ge=0)

    rounds: int = Field(3, ge=1)
    samples: int = Field(4, ge=2)
    answer_tokens: int = Field(96, ge=1)
    temperature: float = Field(1.0, gt=0)
    honest_share: float = Field(0.3, gt=0, le=0.5)
    min_auc: float = Field(0.6, ge=0.5, le=1)
    min_variety: float = Field(0.5, ge=0, le=1)
    min_margin: float = Field(0.5, ge=0)

    tune_by: Literal["dpo", "orpo"] = "dpo"
    discriminator: dict[str, Any] = Field(default_factory=dict)
    generator: dict[str, Any] = Field(default_factory=dict)

    def of_run(self, method: str, *, data: Path, out: Path, adapter: Path | None) -> TuneConfig:
        """Return the settings of a run of a round; raise ConfigError where they do not hold."""
        who = "discriminator" if method == "reward" else "generator"
        own: dict[str, Any] = getattr(self, who)
        given = {
            "data": data,
            "out": out,
            "model": self.model,
            "adapter": adapter,
            "chat_template": self.chat_template,
            "bf16": self.bf16,
            "seed": self.seed,
            "effects": False,
        }
        if taken := own.keys() & given.keys() - {"effects"}:
            raise ConfigError(f"{who} sets {min(taken)}, which the rounds set themselves.")
        try:
            return load_config(method, None, given | own)
        except ConfigError as error:
            raise ConfigError(f"{who}: {error}") from error


def load_rlmf_config(
    recipe: str | Path | None = None, overrides: Mapping[str, Any] | None = None
) -> RlmfConfig:
    """Build the settings: the recipe's, then what `overrides` sets (not None)."""
    settings = read_recipe(recipe)
    settings |= {key: value for key, value in (overrides or {}).items() if value is not None}
    try:
        return RlmfConfig(**settings)
    except ValidationError as error:
        raise ConfigError(explain(error, RlmfConfig)) from error
