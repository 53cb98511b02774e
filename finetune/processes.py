"""Company: the processes that share one run, as their environment tells each of them."""

import os
from dataclasses import dataclass
from typing import TypeVar

from finetune.errors import ConfigError

Given = TypeVar("Given")

SHARDING = {"ACCELERATE_USE_FSDP": "FSDP", "ACCELERATE_USE_DEEPSPEED": "DeepSpeed"}
"""What `accelerate launch` sets where its configuration asks for it."""


@dataclass(frozen=True)
class Company:
    """Which of how many processes this is; the first tells and writes, the others only train."""

    rank: int
    size: int

    @property
    def leads(self) -> bool:
        """Return whether this is the process that tells and writes."""
        return self.rank == 0

    def wait(self) -> None:
        """Wait until all processes have come this far."""
        if self.size > 1:
            from accelerate import PartialState

            PartialState().wait_for_everyone()

    def any(self, flag: bool) -> bool:
        """Return whether any of the processes says yes; all of them have to ask."""
        if self.size == 1:
            return flag
        import torch
        from accelerate import PartialState

        said = torch.tensor([int(flag)], device=PartialState().device)
        torch.distributed.all_reduce(said)
        return bool(said.item())

    def gather(self, given: Given) -> list[Given]:
        """Return what each of the processes gives, in their order; all of them have to give."""
        if self.size == 1:
            return [given]
        from accelerate.utils import gather_object

        found: list[Given] = gather_object([given])
        return found


def company() -> Company:
    """Return the processes that this one was started with; alone it leads itself."""
    return Company(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))


def check_launch(processes: int = 1) -> None:
    """Refuse what a launcher, such as `accelerate launch`, started otherwise than the run needs."""
    for variable, name in SHARDING.items():
        if os.environ.get(variable, "").lower() in ("1", "true"):
            raise ConfigError(
                f"{name} shares a model out among GPUs, which no run here can: each of its "
                "processes holds the whole model. Set quantize_4bit=true or take a smaller model, "
                "and start the command without a launcher; --set processes=N uses N GPUs."
            )
    size = company().size
    if size not in (1, processes):
        raise ConfigError(
            f"A launcher started this {size} times, and processes={processes}. Start the command "
            f"once, without `accelerate launch` or `torchrun`, and with --set processes={size}: it "
            "starts that many itself."
        )
