"""Export: a base model and an adapter become one merged folder, made once."""

import hashlib
import json
import os
import shutil
from pathlib import Path

from filelock import FileLock

from finetune.continuing import ADAPTER_WEIGHTS
from finetune.errors import ModelError

MANIFEST = "merged.json"
EDGE = 1 << 20


def merge(base: Path, adapter: Path, out: Path, *, chat_template: str | None) -> Path:
    """Return the folder below `out` with the adapter folded into the base, in bf16.

    The folder's name ends in the fingerprint of base, adapter and template, so a new adapter makes
    a new folder and the same one is made once. It appears whole or not at all: several processes,
    and one that was killed half-way, are no harm. Without `chat_template` the base's own is kept.
    """
    mark = fingerprint(base, adapter, chat_template)
    target = out / f"{adapter.name}-{mark[:12]}"
    if (target / MANIFEST).is_file():
        return target
    out.mkdir(parents=True, exist_ok=True)
    with FileLock(out / f".{target.name}.lock"):
        if (target / MANIFEST).is_file():
            return target
        for stale in out.glob(f".{target.name}.*.part"):
            shutil.rmtree(stale, ignore_errors=True)
        part = out / f".{target.name}.{os.getpid()}.part"
        try:
            write_merged(base, adapter, part, chat_template)
            manifest = {"fingerprint": mark, "adapter": adapter.name}
            (part / MANIFEST).write_text(json.dumps(manifest, indent=2), encoding="utf-8")
            part.rename(target)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return target


def fingerprint(base: Path, adapter: Path, chat_template: str | None) -> str:
    """Return a SHA-256 over what the merged folder is made of.

    Of the base's weights, which may be tens of gigabytes, it takes the size and both ends.
    """
    digest = hashlib.sha256()
    for path in (adapter / "adapter_config.json", adapter / ADAPTER_WEIGHTS):
        digest.update(_bytes_of(path, adapter, "an adapter"))
    digest.update(_bytes_of(base / "config.json", base, "a model"))
    for path in sorted(base.glob("*.safetensors")) + sorted(base.glob("tokenizer*.json")):
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(EDGE)
            file.seek(max(0, size - EDGE))
            digest.update(f"{path.name}:{size}:".encode() + head + file.read(EDGE))
    digest.update(b"template:" + (chat_template or "").encode())
    return digest.hexdigest()


def _bytes_of(path: Path, folder: Path, kind: str) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ModelError(
            f"{folder} is no folder of {kind}: {path.name} is missing. Give the right folder."
        ) from error


def write_merged(base: Path, adapter: Path, folder: Path, chat_template: str | None) -> None:
    """Write a base with an adapter of any kind folded in, and its tokenizer, into `folder`.

    The sum is made in fp32 and rounded to bf16 once; PEFT would round the update before it is
    added. Raise ModelError where the adapter does not fit the base.
    """
    import torch
    from peft.peft_model import PeftModel
    from transformers import AutoModelForCausalLM

    from finetune.base_model import let_save, load_tokenizer, no_bars

    with no_bars():
        try:
            model = AutoModelForCausalLM.from_pretrained(
                base, dtype=torch.float32, local_files_only=True
            )
            let_save(model)
            adapted = PeftModel.from_pretrained(model, str(adapter))
        except (OSError, ValueError, RuntimeError) as error:
            raise ModelError(f"{adapter} does not fit the base model {base}: {error}") from error
        merged = adapted.merge_and_unload(safe_merge=True).to(torch.bfloat16)
        merged.config.dtype = torch.bfloat16
        merged.save_pretrained(folder)
    tokenizer = load_tokenizer(base)
    if chat_template is not None:
        tokenizer.chat_template = chat_template
    tokenizer.save_pretrained(folder)
