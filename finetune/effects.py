"""Effects: what tuning does beside its aim, to general text and to the variety of writing."""

from contextlib import nullcontext
from dataclasses import asdict, dataclass
from importlib import resources
from typing import Any

import torch
from peft.peft_model import PeftModel
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from finetune.diversity import distinct, self_bleu
from finetune.forgetting import text_loss

TOKENS_READ = 192
TOKENS_WRITTEN = 40
WORDS_BEGUN = 12

QUESTIONS = (
    "Describe a market in the morning.",
    "Why do leaves change colour in autumn?",
    "Write two sentences about a lighthouse.",
    "How does one bake bread?",
    "Give me an idea for a walk on Sunday.",
    "What is a good name for a small boat, and why?",
    "Explain to a child what money is for.",
    "Tell me about a river that you like.",
)
"""What a model that chats is asked; one without a template goes on with the general texts."""


@dataclass(frozen=True)
class Effects:
    """How well a model reads general text, in nats a token, and how varied its writing is.

    `distinct_2` is the share of different pairs of words, `self_bleu` the likeness of its texts.
    """

    general_loss: float
    distinct_2: float
    self_bleu: float


def general_texts() -> list[str]:
    """Return the texts, written for this, on which forgetting is measured."""
    text = (resources.files("finetune") / "general.txt").read_text(encoding="utf-8")
    return [paragraph for paragraph in text.split("\n\n") if paragraph.strip()]


def look(
    model: PeftModel | PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    template: str | None,
    base: bool = False,
) -> Effects:
    """Measure a model, with `base` the one below its adapter; nothing random is left changed."""
    below = model.disable_adapter() if base and isinstance(model, PeftModel) else nullcontext()
    texts = general_texts()
    with below:
        loss = text_loss(model, texts, tokenizer=tokenizer, max_tokens=TOKENS_READ)
        if template:
            prompts = [_asked(question, tokenizer, template) for question in QUESTIONS]
        else:
            prompts = [" ".join(text.split()[:WORDS_BEGUN]) for text in texts[: len(QUESTIONS)]]
        written = _write(model, tokenizer, prompts)
    return Effects(loss, distinct([text.split() for text in written], 2), self_bleu(written))


def compare(before: Effects, after: Effects) -> dict[str, Any]:
    """Return both, and how much worse general text is read, in per cent (negative is better)."""
    lost = 100 * (after.general_loss / before.general_loss - 1)
    return {"base": asdict(before), "tuned": asdict(after), "forgotten_percent": round(lost, 2)}


def _asked(question: str, tokenizer: PreTrainedTokenizerBase, template: str) -> str:
    messages = [{"role": "user", "content": question}]
    text = tokenizer.apply_chat_template(
        messages, chat_template=template, add_generation_prompt=True, tokenize=False
    )
    return str(text)


@torch.no_grad()
def _write(
    model: PeftModel | PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: list[str]
) -> list[str]:
    """Sample one text a prompt, at temperature 1 and always from the same seed."""
    was_training, side = model.training, tokenizer.padding_side
    model.eval()
    tokenizer.padding_side = "left"
    try:
        batch = tokenizer(prompts, return_tensors="pt", padding=True).to(model.device)
    finally:
        tokenizer.padding_side = side
    how = GenerationConfig(
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        repetition_penalty=1.0,
        max_new_tokens=TOKENS_WRITTEN,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        written: torch.Tensor = model.generate(  # type: ignore[operator]
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            generation_config=how,
        )
    model.train(was_training)
    start = batch["input_ids"].shape[1]
    return tokenizer.batch_decode(written[:, start:], skip_special_tokens=True)
