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
    neither. Each tool takes one text as its argument or none, as the agent's own do.
    """
    forms = [_call(tool) for tool in tools] + [_quote(*quote) for quote in quotes]
    if others is not None:
        forms += map(_literal, others)
    if others is None:
        forms.append(f"[^<{QUOTE * bool(quotes)}](.|\\n)*")
    return f"({'|'.join(forms)})"


def _call(tool: Mapping[str, Any]) -> str:
    function = tool["function"]
    if not function["parameters"]["properties"]:
        whole = _literal(f'{{"name": "{function["name"]}", "arguments": {{}}}}')
        return f"{OPEN}\\n{whole}\\n{CLOSE}"
    ((argument, schema),) = function["parameters"]["properties"].items()
    start = _literal(f'{{"name": "{function["name"]}", "arguments": {{"{argument}": "')
    return f'{OPEN}\\n{start}{_TEXT}{{1,{schema["maxLength"]}}}"\\}}\\}}\\n{CLOSE}'


def _quote(sentence: str, number: int) -> str:
    mark = f"\\[{number}\\]"
    return f'"{_literal(sentence)}" {mark}\\nAnswer: [^\\n\\[\\]]+ {mark}'


def _literal(text: str) -> str:
    return _SIGNS.sub(lambda sign: f"\\{sign[0]}", text)
