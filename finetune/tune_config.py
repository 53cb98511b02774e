"""TuneConfig: the settings that every method on a language model has."""

from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from finetune.config import RunConfig

ATTENTION = ("q_proj", "k_proj", "v_proj")
"""The `attention` preset: the modules' names in the Llama family and its many relatives."""


class TuneConfig(RunConfig):
    """Settings that every method on a language model has.

    `adapter` is the folder of an adapter on the model which the run trains further. `frequency` is
    that of a neural adapter's sine: the larger, the less it is a LoRA. `micro_batch` rows go
    through the model at once, padded to the longest; `batch` of them make a step, in all of the
    `processes`, each of which takes a GPU of its own. With `effects` the run measures what it did
    to general text and to the variety of what the model writes. With `compare`, as a neural adapter
    has it unless it is set, the run trains a LoRA and an rsLoRA of as many parameters for as many
    steps when it is done, and puts them beside its own numbers.
    """

    method: ClassVar[str]

    adapter: Path | None = None
    chat_template: Path | None = None

    tuner: Literal["lora", "rslora", "dora", "neural", "full"] = "lora"
    lora_rank: int = Field(32, ge=1, le=512)
    lora_alpha: int | None = Field(None, ge=1)
    lora_dropout: float = Field(0.0, ge=0, lt=1)
    frequency: float = Field(200.0, gt=0)
    target_modules: Literal["all", "attention"] | tuple[str, ...] = "all"
    quantize_4bit: bool = False
    micro_batch: int = Field(1, ge=1)
    processes: int = Field(1, ge=1)
    effects: bool = True
    compare: bool | None = None

    @property
    def compares(self) -> bool:
        """Return whether other adapters are trained beside: for a neural one unless it is set."""
        if self.compare is None:
            return self.tuner == "neural" and self.adapter is None and self.processes == 1
        return self.compare

    @property
    def rows_a_step(self) -> int:
        """Return how many rows go through the model for a step, in all processes."""
        return self.batch

    @property
    def accumulation(self) -> int:
        """Return how many micro batches each process takes for a step."""
        return self.rows_a_step // (self.micro_batch * self.processes)

    @property
    def alpha(self) -> int:
        """Return LoRA's alpha: twice the rank unless it is set."""
        return self.lora_alpha or 2 * self.lora_rank

    @model_validator(mode="after")
    def _fit_the_tuner(self) -> Self:
        if self.target_modules == ():
            msg = "target_modules names no module: use 'all', 'attention' or a list of names"
            raise ValueError(msg)
        if self.tuner == "full" and (self.quantize_4bit or self.adapter):
            wrong = "quantize_4bit" if self.quantize_4bit else "adapter"
            msg = f"tuner=full trains the model's own weights: leave {wrong} out"
            raise ValueError(msg)
        if self.compare and (self.tuner == "full" or self.adapter):
            msg = "compare trains adapters from the start: leave it out with tuner=full or adapter"
            raise ValueError(msg)
        if self.rows_a_step % (self.micro_batch * self.processes):
            shares = "" if self.processes == 1 else f" times processes={self.processes}"
            rows = f"batch={self.batch}"
            if self.rows_a_step > self.batch:
                rows = f"the {self.rows_a_step} rows of a step"
            msg = f"micro_batch={self.micro_batch}{shares} does not divide {rows}"
            raise ValueError(msg)
        if self.processes > 1 and self.compare:
            msg = "compare trains the others in one process: leave it out with processes"
            raise ValueError(msg)
        return self

    def resolved(self) -> dict[str, Any]:
        """Return every setting as plain data, derived ones filled in."""
        return super().resolved() | {"lora_alpha": self.alpha, "compare": self.compares}
