"""Calls: a message's tool calls, their arguments in the form that a chat template reads."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def with_readable_calls(
    messages: Sequence[Mapping[str, Any]],
    tokenizer: "PreTrainedTokenizerBase",
    template: str | None = None,
) -> list[dict[str, Any]]:
    """Copy messages for a template, or the tokenizer's own: arguments as text become objects.

    OpenAI's rows carry a text, which a template that expects an object would quote once more. One
    that writes both alike gets the text, letter for letter.
    """
    return [_readable(message, tokenizer, template) for message in messages]


def _readable(
    message: Mapping[str, Any], tokenizer: "PreTrainedTokenizerBase", template: str | None
) -> dict[str, Any]:
    as_it_is, parsed = dict(message), _with_objects(message)
    if parsed == as_it_is:
        return as_it_is
    with_text, with_object = (
        _written(arguments, message.get("content"), tokenizer, template)
        for arguments in ('{"n": 1}', {"n": 1})
    )
    return as_it_is if with_object in (None, with_text) else parsed


def _with_objects(message: Mapping[str, Any]) -> dict[str, Any]:
    calls = message.get("tool_calls")
    if not isinstance(calls, list):
        return dict(message)
    return {**message, "tool_calls": [_with_object(call) for call in calls]}


def _with_object(call: Any) -> Any:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping):
        return call
    try:
        arguments = json.loads(function["arguments"])
    except (KeyError, TypeError, ValueError):
        return call
    if not isinstance(arguments, dict):
        return call
    return {**call, "function": {**function, "arguments": arguments}}


def _written(
    arguments: object,
    content: object,
    tokenizer: "PreTrainedTokenizerBase",
    template: str | None,
) -> str | None:
    """Render a message with a call and a content; None where the template does not take them."""
    from jinja2 import TemplateError as JinjaError

    function = {"name": "count", "arguments": arguments}
    call = {"id": "call00000", "type": "function", "function": function}
    messages: list[Any] = [
        {"role": "user", "content": "Count."},
        {"role": "assistant", "content": content, "tool_calls": [call]},
    ]
    try:
        return str(tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False))
    except (JinjaError, TypeError):
        return None
