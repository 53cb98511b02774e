"""Forgetting: how well a model still writes general text, tuned or not."""

from collections.abc import Iterable
from pathlib import Path

import torch
from peft.peft_model import PeftModel
from torch.nn import functional
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from finetune.base_model import load_tokenizer, no_bars
from finetune.errors import ExampleError, ModelError
from finetune.precision import fast_dtype


@torch.no_grad()
def text_loss(
    model: Path | PreTrainedModel | PeftModel,
    texts: Iterable[str],
    *,
    tokenizer: PreTrainedTokenizerBase | None = None,
    max_tokens: int = 512,
) -> float:
    """Return the mean loss in nats over every token of the texts but the first of each.

    The texts are read as they are, without a chat template, each up to `max_tokens`. A folder is
    loaded in bf16, or in fp32 where that is faster, and let go before this returns; a model that is
    loaded already needs its `tokenizer`. What a tuned model forgot is its loss divided by its
    base's, on the same texts.
    """
    if isinstance(model, Path):
        loaded = _load(model)
        return text_loss(loaded, texts, tokenizer=load_tokenizer(model), max_tokens=max_tokens)
    if tokenizer is None:
        raise ModelError("A model that is loaded already needs its tokenizer: give tokenizer=.")
    was_training = model.training
    model.eval()
    total, count = 0.0, 0
    for text in texts:
        ids = tokenizer(text, return_tensors="pt", truncation=True, max_length=max_tokens)
        tokens = ids["input_ids"].to(model.device)
        if tokens.shape[1] > 1:
            logits = model(input_ids=tokens, use_cache=False).logits[0, :-1].float()
            total += functional.cross_entropy(logits, tokens[0, 1:], reduction="sum").item()
            count += tokens.shape[1] - 1
    model.train(was_training)
    if not count:
        raise ExampleError("No text has two tokens to measure on. Give texts of a few sentences.")
    return total / count


def _load(folder: Path) -> PreTrainedModel:
    try:
        with no_bars():
            model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
                folder, dtype=fast_dtype(), local_files_only=True
            )
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder} holds no model that loads: {error}. Fetch it again.") from error
    if torch.cuda.is_available():
        model.to("cuda")  # type: ignore[arg-type]
    return model
