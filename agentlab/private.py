"""Private: files that only their owner reads, since they hold what people asked."""

import os
from pathlib import Path


def make_private(path: Path) -> None:
    """Make an empty file where there is none, and its folder, for the owner alone."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
