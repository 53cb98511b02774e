import math
from pathlib import Path

import pytest

pytest.importorskip("transformers")

import torch
from transformers import AutoModelForCausalLM

from finetune.base_model import load_tokenizer
from finetune.errors import ExampleError, ModelError
from finetune.forgetting import text_loss

TEXTS = ("What follows seven? The number eight follows.", "Answer with the next number.")


def test_the_loss_is_the_mean_over_every_predicted_token(tiny_base: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    tokenizer = load_tokenizer(tiny_base)
    losses = []
    for text in TEXTS:
        ids = tokenizer(text)["input_ids"]
        said = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        losses += [-said[place, ids[place + 1]].item() for place in range(len(ids) - 1)]
    expected = sum(losses) / len(losses)
    model.train()
    assert text_loss(model, TEXTS, tokenizer=tokenizer) == pytest.approx(expected, rel=1e-4)
    assert model.training
    assert text_loss(tiny_base, TEXTS) == pytest.approx(expected, rel=0.02)
    assert expected > math.log(400) / 2


def test_a_long_text_is_read_up_to_the_given_tokens(tiny_base: Path) -> None:
    short = load_tokenizer(tiny_base).decode(load_tokenizer(tiny_base)(TEXTS[0])["input_ids"][:6])
    cut = text_loss(tiny_base, TEXTS[:1], max_tokens=6)
    assert cut == pytest.approx(text_loss(tiny_base, [short]), rel=1e-6)
    assert cut != pytest.approx(text_loss(tiny_base, TEXTS[:1]), rel=1e-6)


def test_a_model_that_moved_has_another_loss(tiny_base: Path, tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_base)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1.5)
    model.save_pretrained(tmp_path)
    load_tokenizer(tiny_base).save_pretrained(tmp_path)
    assert text_loss(tmp_path, TEXTS) > 1.02 * text_loss(tiny_base, TEXTS)


def test_what_cannot_be_measured_is_said(tiny_base: Path, tmp_path: Path) -> None:
    with pytest.raises(ExampleError, match="No text has two tokens"):
        text_loss(tiny_base, ["", "a"])
    with pytest.raises(ModelError, match=r"none holds no model that loads"):
        text_loss(tmp_path / "none", TEXTS)
    with pytest.raises(ModelError, match="give tokenizer="):
        text_loss(AutoModelForCausalLM.from_pretrained(tiny_base), TEXTS)
