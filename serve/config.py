"""ServerConfig: what a model server is started with."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class ServerConfig(BaseModel):
    """Describe one vLLM server; everything that is not here is left to vLLM's own defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Path
    """A folder of a model, as `serve.models.resolve` returns it."""
    name: str = Field(min_length=1)
    """The name under which the endpoint offers the model."""
    log: Path
    """The server's output goes here; the end of it is quoted when the server fails."""

    python: Path = Path(sys.executable)
    """The interpreter of the environment that vLLM is installed in."""
    device: Literal["auto", "gpu", "cpu"] = "auto"
    """`auto` is decided as the server starts: a GPU where the machine has one."""
    port: int = Field(default=0, ge=0, le=65535)
    """0 takes a free one."""
    context: int | None = Field(default=None, ge=16)
    """Tokens of prompt and answer together; the model's own limit by default."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    chat_template: Path | None = None
    tool_parser: str = "hermes"
    """vLLM's name for the form in which the model was trained to write its tool calls."""
    compiled: bool | None = None
    """Compile the model at the start; by default on a GPU only, where it takes seconds."""

    gpu_memory: float = Field(default=0.9, gt=0, le=1)
    tensor_parallel: int = Field(default=1, ge=1)
    cpu_cache_gib: int = Field(default=1, ge=1)
    threads: int | None = Field(default=None, ge=1)
    """CPU threads of the server; one for each core by default."""

    adapters: Mapping[str, Path] = Field(default_factory=dict)
    """LoRA adapters that are offered beside the model, by name."""
    adapter_rank: Literal[1, 8, 16, 32, 64, 128, 256, 320, 512] = 32
    """The largest rank among the adapters."""

    start_timeout_s: float = Field(default=900, gt=0)
    stop_timeout_s: float = Field(default=15, gt=0)

    @model_validator(mode="after")
    def _refuse_a_name_used_twice(self) -> Self:
        if self.name in self.adapters:
            raise ValueError(
                f"the adapter {self.name!r} has the name of the model itself: give it another one"
            )
        return self
