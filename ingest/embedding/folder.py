"""Folder: a sentence-transformers model on the disk, what its files ask for and what they weigh."""

import hashlib
import json
from pathlib import Path
from typing import Literal

from ingest.embedding.errors import EmbedderError

_LONGEST = 256
_POOLING = "1_Pooling/config.json"
_DECIDES = ("*.safetensors", "pytorch_model*.bin", "config.json", "tokenizer.json", _POOLING)


def pooling_of(folder: Path) -> Literal["mean", "first"]:
    """Tell how a model makes one vector of its tokens' vectors: their mean, or the first one."""
    file = folder / _POOLING
    if not file.is_file():
        return "mean"
    modes = json.loads(file.read_text(encoding="utf-8"))
    on = {name for name, value in modes.items() if name.startswith("pooling_mode") and value}
    if on <= {"pooling_mode_mean_tokens"}:
        return "mean"
    if on == {"pooling_mode_cls_token"}:
        return "first"
    raise EmbedderError(
        f"{folder} pools its tokens by {', '.join(sorted(on))}, which is not known here: choose an "
        "embedder that takes their mean or the first one, or serve it and set embedder_backend to "
        "openai."
    )


def longest_of(positions: int) -> int:
    """Tell how many tokens are read by a model of so many positions."""
    return min(_LONGEST, positions)


def fingerprint(folder: Path) -> str:
    """Hash all files that decide a model's vectors, 16 hexadecimal digits."""
    total = hashlib.sha256()
    for path in sorted({path for pattern in _DECIDES for path in folder.glob(pattern)}):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{path.relative_to(folder)} {digest}\n".encode())
    return total.hexdigest()[:16]
