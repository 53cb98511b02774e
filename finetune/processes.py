"""Company: the processes that share one run, as their environment tells each of them."""

import os
from dataclasses import dataclass


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


def company() -> Company:
    """Return the processes that this one was started with; alone it leads itself."""
    return Company(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))
