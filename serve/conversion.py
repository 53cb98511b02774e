"""Conversion: the model in a GGUF file becomes a folder of bf16 safetensors."""

from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path

import torch
from gguf import GGUFReader
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
from transformers.utils import logging

from serve.errors import ModelFolderError

CHAT_MARKS = ("<|im_start|>", "<|im_end|>")


def convert(gguf: Path, folder: Path, *, name: str) -> None:
    """Write the model, its tokenizer and its chat template to the folder.

    Raises ModelFolderError if the tokenizer does not know the marks of a chat.
    """
    with _quiet_transformers():
        tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
        model = AutoModelForCausalLM.from_pretrained(
            str(gguf.parent),
            gguf_file=gguf.name,
            dtype=torch.bfloat16,
            quantization_config=GgufConfig(dequantize=True),
        )
        _mend_digits(tokenizer, gguf)
        _check_chat(tokenizer, gguf)
        tokenizer.model_max_length = model.config.max_position_embeddings
        model.config.name_or_path = name
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _mend_digits(tokenizer: object, gguf: Path) -> None:
    """Split numbers into digits before anything else, as the SmolLM tokenizer does.

    The file says so by a name only (`tokenizer.ggml.pre`), which transformers does not read; blanks
    before a number would be cut elsewhere than the model has seen in its training.
    """
    field = GGUFReader(gguf).fields.get("tokenizer.ggml.pre")
    if field is None or field.contents() != "smollm":
        return
    backend = tokenizer.backend_tokenizer  # type: ignore[attr-defined]
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )


def _check_chat(tokenizer: object, gguf: Path) -> None:
    encode = tokenizer.encode  # type: ignore[attr-defined]
    broken = [m for m in CHAT_MARKS if len(encode(m, add_special_tokens=False)) != 1]
    eos = tokenizer.eos_token  # type: ignore[attr-defined]
    if broken or eos != CHAT_MARKS[1] or tokenizer.pad_token is None:  # type: ignore[attr-defined]
        raise ModelFolderError(
            f"{gguf.name} is no ChatML model: {', '.join(broken) or f'turns end with {eos}'}; "
            "take a model in the transformers format instead"
        )


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Keep its bars and warnings off the terminal, which belongs to whoever called."""
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with redirect_stderr(StringIO()):  # one of its bars heeds no setting
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
