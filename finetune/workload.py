"""Workload: what of a run's settings decides its memory and its time."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from finetune.errors import ConfigError
from finetune.hardware import Hardware
from finetune.shape import ModelShape

MethodName = Literal["cpt", "sft", "dpo", "kto", "orpo", "reward", "ppo", "grpo", "rag"]
TunerName = Literal["lora", "rslora", "dora", "neural", "full"]
Device = Literal["cpu", "cuda"]

ATTENTION = ("q_proj", "k_proj", "v_proj")

PAIRED = frozenset({"dpo", "orpo", "reward"})
"""Methods whose row is two sequences, both of which go through the model."""

REFERRED = frozenset({"dpo", "kto", "ppo"})
"""Methods that hold the model to a reference."""

GENERATING = frozenset({"ppo", "grpo"})
"""Methods that write answers while they train."""

OPTIMIZER_BYTES = {
    "adamw": 8.0,
    "adamw_torch": 8.0,
    "adamw_torch_fused": 8.0,
    "adamw_8bit": 2.0,
    "adamw_bnb_8bit": 2.0,
    "paged_adamw_8bit": 2.0,
    "adafactor": 0.1,
    "sgd": 0.0,
}
"""Bytes of state for each trained parameter: two moments in fp32, or in 8 bits, or row sums."""


@dataclass(frozen=True)
class Workload:
    """One training step and what it is made of.

    `micro_batch` rows of at most `length` tokens go through the model at once, `batch` make a step;
    the vocabulary is projected at `learned` of their positions. `completion` tokens are generated
    for each of `generations` answers a row, where the method generates; each row comes with that
    many `passages`, where it is asked of several.
    """

    method: MethodName = "sft"
    tuner: TunerName = "lora"
    rank: int = 32
    targets: Literal["all", "attention"] | tuple[str, ...] = "all"
    quantize_4bit: bool = False
    bf16: bool = True
    micro_batch: int = 1
    batch: int = 8
    length: int = 1024
    learned: float = 1.0
    optimizer: str = "adamw"
    device: Device = "cpu"
    checkpointing: bool | None = None
    completion: int = 256
    generations: int = 1
    passages: int = 1

    @property
    def sequences(self) -> int:
        """Return how many sequences go through the model at once."""
        return self.micro_batch * (2 if self.method in PAIRED else self.passages)

    @property
    def tokens(self) -> int:
        """Return how many tokens go through the model at once, at most."""
        return self.sequences * self.length

    @property
    def written_at_once(self) -> int:
        """Return how many answers are written together, where the method generates."""
        return self.batch * self.generations

    @property
    def checkpoints(self) -> bool:
        """Return whether layers are computed again backwards: on a GPU unless it is set."""
        return self.device == "cuda" if self.checkpointing is None else self.checkpointing

    @property
    def optimizer_bytes(self) -> float:
        """Return the optimizer's bytes for each trained parameter."""
        if self.optimizer not in OPTIMIZER_BYTES:
            known = ", ".join(OPTIMIZER_BYTES)
            raise ConfigError(f"Nothing is known of optimizer={self.optimizer!r}; known: {known}.")
        return OPTIMIZER_BYTES[self.optimizer]

    def adapted(self, shape: ModelShape) -> dict[str, tuple[int, int]]:
        """Return the modules of one layer that get an adapter, with their widths."""
        if self.tuner == "full":
            return {}
        names = {"all": tuple(shape.modules), "attention": ATTENTION}.get(
            self.targets if isinstance(self.targets, str) else "", self.targets
        )
        return {name: sizes for name, sizes in shape.modules.items() if name in names}

    def trained(self, shape: ModelShape) -> int:
        """Count the parameters that are trained: r (in + out) a module, and DoRA's magnitudes."""
        if self.tuner == "full":
            return shape.parameters
        modules = self.adapted(shape).values()
        count = sum(self.rank * (width + out) for width, out in modules)
        if self.tuner == "dora":
            count += sum(out for _, out in modules)
        return count * shape.layers


def workload_of(
    settings: Mapping[str, Any], *, method: str, hardware: Hardware, learned: float = 1.0
) -> Workload:
    """Read a workload from a run's resolved settings (`config.resolved()`); others are ignored.

    It is for the device of `hardware` that trains, and in bf16 only where that computes in it.
    """
    if method not in get_args(MethodName):
        raise ConfigError(f"No method {method!r}. Use one of: {', '.join(get_args(MethodName))}.")
    names = {
        "tuner": "tuner",
        "lora_rank": "rank",
        "target_modules": "targets",
        "quantize_4bit": "quantize_4bit",
        "bf16": "bf16",
        "micro_batch": "micro_batch",
        "batch": "batch",
        "max_length": "length",
        "optimizer": "optimizer",
        "completion_length": "completion",
        "max_completion_length": "completion",
        "generations": "generations",
        "num_generations": "generations",
        "passages": "passages",
    }
    given = {names[key]: value for key, value in settings.items() if key in names}
    given = {key: value for key, value in given.items() if value is not None}
    if isinstance(given.get("targets"), list):
        given["targets"] = tuple(given["targets"])
    if "turns" in settings:  # what an episode's turns may be long, together
        given["completion"] = settings["turns"] * settings["turn_tokens"]
    given["bf16"] = given.get("bf16", True) and hardware.computes_bf16
    device: Device = "cuda" if hardware.gpus else "cpu"
    return Workload(method=method, device=device, learned=learned, **given)  # type: ignore[arg-type]
