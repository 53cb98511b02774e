"""Folder: a sentence-transformers model on the disk, what its files ask for and what they weigh."""

import hashlib
import json
from pathlib import Path
from typing import Literal

from ingest.embedding.errors import EmbedderError

_LONGEST = 256
_POOLING = "1_Pooling/config.json"
_MODULES = "modules.json"
_KNOWN = {"Transformer", "Pooling", "Normalize"}
_DECIDES = ("*.safetensors", "pytorch_model*.bin", "config.json", "tokenizer.json", _POOLING)


def pooling_of(folder: Path) -> Literal["mean", "first"]:
    """Tell how a model makes one vector of its tokens' vectors: their mean, or the first one.

    Raises EmbedderError where it does something else, or something more.
    """
    _check_modules(folder)
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


def _check_modules(folder: Path) -> None:
    """Refuse a model with a layer that would be left out: its vectors would be others."""
    file = folder / _MODULES
    if not file.is_file():
        return
    modules = json.loads(file.read_text(encoding="utf-8"))
    more = {each["type"].rpartition(".")[2] for each in modules} - _KNOWN
    if more:
        raise EmbedderError(
            f"{folder} has more layers than are known here ({', '.join(sorted(more))}): choose an "
            "embedder that only pools its tokens' vectors, or serve it and set embedder_backend "
            "to openai."
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
