import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from finetune.calls import with_readable_calls
from finetune.completed import complete
from finetune.data.rows import Conversation
from finetune.data.tokens import TokenCounter
from finetune.encoding import encode

pytest.importorskip("trl")

COMPACT = '{"city":"Paris", "days":3}'
OBJECT = '{"city": "Paris", "days": 3}'
ASKED = {"role": "user", "content": "Will it rain in Paris?"}


def call(arguments: object) -> dict[str, Any]:
    function = {"name": "get_weather", "arguments": arguments}
    return {"role": "assistant", "content": None, "tool_calls": [{"function": function}]}


def of_trl(name: str) -> str:
    return (resources.files("trl") / "chat_templates" / f"{name}.jinja").read_text(encoding="utf-8")


def of_the_starter() -> str:
    return (resources.files("agentlab") / "chat_template.jinja").read_text(encoding="utf-8")


@pytest.fixture
def tokenizer(tiny_base: Path) -> Any:
    from finetune.base_model import load_tokenizer

    return load_tokenizer(tiny_base)


def test_arguments_as_text_are_taught_as_the_object_that_they_are(tokenizer: Any) -> None:
    template = of_trl("qwen2_5_training")
    example = Conversation((ASKED, call(COMPACT)))
    taught = [
        tokenizer.decode(encode(example, tokenizer, template).input_ids),
        tokenizer.decode(
            complete((ASKED,), (call(COMPACT),), None, tokenizer=tokenizer, template=template).ids
        ),
    ]
    assert all(f'"arguments": {OBJECT}}}' in text for text in taught)


@pytest.mark.parametrize(
    "template", [of_the_starter, lambda: of_trl("qwen3_training")], ids=["starter", "qwen3"]
)
def test_a_template_that_takes_both_writes_a_text_letter_for_letter(
    tokenizer: Any, template: Callable[[], str]
) -> None:
    example = Conversation((ASKED, call(COMPACT)))
    written = tokenizer.apply_chat_template(
        list(example.messages), chat_template=template(), tokenize=False
    )
    assert f'"arguments": {COMPACT}}}' in written
    assert tokenizer.decode(encode(example, tokenizer, template()).input_ids) == written


@pytest.mark.parametrize("arguments", ["Paris", "[3]", "{", "3", None, {"city": "Paris"}])
def test_arguments_that_are_no_object_as_text_stay(tokenizer: Any, arguments: object) -> None:
    messages = [ASKED, call(arguments)]
    assert with_readable_calls(messages, tokenizer, of_trl("qwen2_5_training")) == messages


def test_a_template_that_takes_only_text_gets_it(tokenizer: Any) -> None:
    only_text = (
        "{% for m in messages %}{% for c in m.tool_calls or [] %}"
        "{{ 'call ' + c.function.arguments }}{% endfor %}{% endfor %}"
    )
    messages = [ASKED, call(COMPACT)]
    assert with_readable_calls(messages, tokenizer, only_text) == messages


@pytest.mark.parametrize(("name", "content"), [("gptoss", ""), ("deepseekv3_training", None)])
def test_what_else_a_message_says_may_be_text_or_null_as_the_template_wants_it(
    tokenizer: Any, name: str, content: str | None
) -> None:
    (message,) = with_readable_calls(
        [call(COMPACT) | {"content": content}], tokenizer, of_trl(name)
    )
    assert message["tool_calls"][0]["function"]["arguments"] == json.loads(COMPACT)


def test_a_row_is_left_as_it_was(tokenizer: Any) -> None:
    messages = [ASKED, call(COMPACT)]
    before = json.dumps(messages)
    with_readable_calls(messages, tokenizer, of_trl("qwen2_5_training"))
    assert json.dumps(messages) == before


def test_calls_are_counted_as_they_are_taught(tokenizer: Any, tmp_path: Path) -> None:
    tokenizer.chat_template = of_trl("qwen2_5")
    tokenizer.save_pretrained(tmp_path)
    count = TokenCounter(tmp_path)
    as_text, as_object = (
        count(Conversation((ASKED, call(each)))) for each in (COMPACT, json.loads(COMPACT))
    )
    assert as_text == as_object
