from collections.abc import Callable
from pathlib import Path

import pytest

from finetune.data.reading import read_examples
from finetune.encoding import IGNORED, encode, encode_all, read_template
from finetune.errors import ExampleError, TemplateError

pytest.importorskip("trl")


def test_only_what_the_assistant_writes_is_learned_with_its_end_mark(
    tiny_base: Path, template: Path, conversations: Callable[..., Path]
) -> None:
    from finetune.base_model import load_tokenizer

    tokenizer = load_tokenizer(tiny_base)
    (example,) = read_examples([conversations(1, first=6)])
    encoded = encode(example, tokenizer, read_template(template, tokenizer))
    learned = [label for label in encoded.labels if label != IGNORED]
    assert tokenizer.decode(learned) == "The number 7 follows 6.<|im_end|>"
    assert encoded.learned == len(learned)
    assert tokenizer.decode(encoded.input_ids).startswith("<|im_start|>system\nAnswer")


def test_of_a_plain_text_every_word_is_learned(tiny_base: Path, tmp_path: Path) -> None:
    from finetune.base_model import load_tokenizer

    path = tmp_path / "text.jsonl"
    path.write_text('{"text": "The number 7 follows 6."}\n', encoding="utf-8")
    tokenizer = load_tokenizer(tiny_base)
    (example,) = read_examples([path])
    encoded = encode(example, tokenizer, "no template is used")
    assert tokenizer.decode(encoded.input_ids) == "The number 7 follows 6."
    assert encoded.labels == encoded.input_ids


def test_labels_are_those_that_trl_makes(
    tiny_base: Path, template: Path, conversations: Callable[..., Path], tmp_path: Path
) -> None:
    from datasets import Dataset
    from transformers import AutoModelForCausalLM
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    from finetune.base_model import load_tokenizer

    tokenizer = load_tokenizer(tiny_base)
    text = read_template(template, tokenizer)
    tokenizer.chat_template = text
    examples = read_examples([conversations(3)])
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(tiny_base),
        args=SFTConfig(
            output_dir=str(tmp_path), assistant_only_loss=True, report_to="none", use_cpu=True
        ),
        train_dataset=Dataset.from_list([{"messages": list(e.messages)} for e in examples]),
        processing_class=tokenizer,
    )
    for row, example in zip(trainer.train_dataset, examples, strict=True):
        encoded = encode(example, tokenizer, text)
        assert row["input_ids"] == list(encoded.input_ids)
        assert row["labels"] == list(encoded.labels)


def test_a_conversation_that_is_too_long_is_left_out_whole_and_named(
    tiny_base: Path, template: Path, conversations: Callable[..., Path]
) -> None:
    from finetune.base_model import load_tokenizer

    tokenizer = load_tokenizer(tiny_base)
    text = read_template(template, tokenizer)
    longer = conversations(1, first=123456789, name="longer.jsonl")
    examples = read_examples([conversations(11), longer])
    kept, left_out = encode_all(examples, tokenizer, text, max_length=40)
    assert len(kept) == 11
    assert left_out == (f"{longer}:1",)
    with pytest.raises(ExampleError, match="All 12 conversations are longer than max_length=8"):
        encode_all(examples, tokenizer, text, max_length=8)


def test_a_template_without_marks_is_refused_before_anything_is_trained(
    tiny_base: Path, tmp_path: Path
) -> None:
    from finetune.base_model import load_tokenizer

    tokenizer = load_tokenizer(tiny_base)
    plain = tmp_path / "plain.jinja"
    plain.write_text("{% for m in messages %}{{ m.content }}{% endfor %}", encoding="utf-8")
    with pytest.raises(TemplateError, match=r"plain\.jinja has no .* marks"):
        read_template(plain, tokenizer)
    with pytest.raises(TemplateError, match="has no chat template"):
        read_template(None, tokenizer)
    with pytest.raises(TemplateError, match="does not exist"):
        read_template(tmp_path / "none.jinja", tokenizer)


def test_a_template_that_marks_nothing_names_the_row(
    tiny_base: Path, conversations: Callable[..., Path]
) -> None:
    from finetune.base_model import load_tokenizer

    tokenizer = load_tokenizer(tiny_base)
    (example,) = read_examples([conversations(1)])
    nothing = (
        "{% for m in messages %}{{ m.content }}{% endfor %}{% generation %}{% endgeneration %}"
    )
    with pytest.raises(TemplateError, match=r"train\.jsonl:1: .* marks no token"):
        encode(example, tokenizer, nothing)


def test_a_well_known_template_without_marks_gets_those_of_trl(tiny_base: Path) -> None:
    from importlib import resources

    from finetune.base_model import load_tokenizer

    tokenizer = load_tokenizer(tiny_base)
    own = resources.files("trl") / "chat_templates" / "qwen2_5.jinja"
    tokenizer.chat_template = own.read_text(encoding="utf-8")
    marked = read_template(None, tokenizer)
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    rendered = [
        tokenizer.apply_chat_template(messages, chat_template=each, tokenize=False)
        for each in (marked, tokenizer.chat_template)
    ]
    assert "{% generation %}" in marked
    assert rendered[0] == rendered[1]
