"""Whole: whether a folder holds all of a model, or what a download that was cut off has left."""

import json
from pathlib import Path

from serve.errors import ModelFolderError

_TOKENIZERS = ("tokenizer.json", "vocab.*", "*.model", "*.tiktoken", "tekken.json", "tokenization*")


def checked(folder: Path) -> Path:
    """Return the folder if it holds a whole model, else raise ModelFolderError."""
    if (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file():
        raise ModelFolderError(
            f"{folder} is a LoRA adapter, not a whole model: merge it into its base first"
        )
    if not (folder / "config.json").is_file():
        raise ModelFolderError(
            f"{folder} holds no config.json: give the folder of a model in the transformers format"
        )
    if not any(folder.glob("*.safetensors")) and not any(folder.glob("pytorch_model*.bin")):
        raise ModelFolderError(
            f"{folder} has a config.json but no weights (*.safetensors): the copy is not complete"
        )
    if missing := _missing(folder):
        more = f" and {len(missing) - 1} more" if missing[1:] else ""
        raise ModelFolderError(
            f"{folder} lacks {missing[0]}{more}, which its index of weights names: the copy is not "
            "complete"
        )
    if not any(any(folder.glob(pattern)) for pattern in _TOKENIZERS):
        raise ModelFolderError(
            f"{folder} holds no tokenizer (tokenizer.json or its like): the copy is not complete"
        )
    return folder


def _missing(folder: Path) -> list[str]:
    """Name the files of weights that an index names and that are not there.

    Of two kinds of weights one is enough, and safetensors is the one that is fetched.
    """
    kinds = ("*.safetensors.index.json", "pytorch_model*.bin.index.json")
    indexes = next((found for kind in kinds if (found := list(folder.glob(kind)))), [])
    try:
        named = {
            name
            for index in indexes
            for name in json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelFolderError(
            f"{indexes[0]} cannot be read as an index of weights: the copy is not complete"
        ) from error
    return sorted(name for name in named if not (folder / name).is_file())
