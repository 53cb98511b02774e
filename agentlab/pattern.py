r"""Pattern: the form of a model's message as a regular expression, for an engine that takes one.

It says what `serve.guide` says to a local model: a message that begins with `<` is a tool call, one
that begins with a quotation mark quotes a given sentence, and any other is free.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from agentlab.toolcalls import CLOSE, OPEN

QUOTE = '"'
_SIGNS = re.compile(r"[\\^$.|?*+()\[\]{}]")
_TEXT = r'([^"\\<\x00-\x1f]|\\["\\/])'


def message_pattern(
    tools: Sequence[Mapping[str, Any]],
    quotes: Sequence[tuple[str, int]],
    others: Sequence[str] | None = None,
) -> str:
    """Write the pattern of a message.

    `others` are the only messages besides calls and quotes; None lets anything else be that is
    neither. The text that the agent's own searches take is bounded; other tools take any arguments.
    """
    forms = [_call(tool) for tool in tools] + [_quote(*quote) for quote in quotes]
    if others is not None:
        forms += map(_literal, others)
    if others is None:
        forms.append(f"[^<{QUOTE * bool(quotes)}](.|\\n)*")
    return f"({'|'.join(forms)})"


def _call(tool: Mapping[str, Any]) -> str:
    function = tool["function"]
    start = _literal(f'{{"name": "{function["name"]}", "arguments": ')
    return f"{OPEN}\\n{start}{_arguments(function['parameters']['properties'])}\\}}\\n{CLOSE}"


def _arguments(properties: Mapping[str, Any]) -> str:
    """Write the pattern of a call's arguments: none, one text, or any object on one line."""
    if not properties:
        return "\\{\\}"
    if len(properties) == 1:
        ((name, schema),) = properties.items()
        if "maxLength" in schema:
            opened = _literal(f'{{"{name}": "')
            return f'{opened}{_TEXT}{{1,{schema["maxLength"]}}}"\\}}'
    return "\\{[^\\n]*\\}"


def _quote(sentence: str, number: int) -> str:
    mark = f"\\[{number}\\]"
    return f'"{_literal(sentence)}" {mark}\\nAnswer: [^\\n\\[\\]]+ {mark}'


def _literal(text: str) -> str:
    return _SIGNS.sub(lambda sign: f"\\{sign[0]}", text)
