"""Tool calls as text: what a model wrote, read back and mended where it is nearly right."""

import ast
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

OPEN, CLOSE = "<tool_call>", "</tool_call>"
_NAMES = ("name", "tool", "tool_name", "function", "action")
_ARGUMENTS = ("arguments", "args", "parameters", "input", "action_input")
_BLOCK = re.compile(rf"{OPEN}(.*?)(?:{CLOSE}|(?={OPEN})|\Z)", re.DOTALL)
_FENCE = re.compile(r"^```\w*\s*|\s*```$")
_TRAILING_COMMA = re.compile(r",\s*([}\]])")
_ACTION = re.compile(r"Action:\s*(?P<name>\w+)\s*\n\s*Action Input:\s*(?P<input>[^\n]+)")
_QUERY = re.compile(r'"query"\s*:\s*"(?P<query>(?:[^"\\]|\\.)+)')


@dataclass(frozen=True)
class Call:
    """A tool call that could be read."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Written:
    """A message taken apart: its prose, its calls, and the calls that could not be read."""

    text: str
    calls: tuple[Call, ...] = ()
    broken: tuple[str, ...] = ()


def read(message: str) -> Written:
    """Take a message with `<tool_call>` blocks apart; only well-formed JSON counts as a call."""
    if OPEN not in message:
        return Written(message)
    calls: list[Call] = []
    broken: list[str] = []
    for block in _BLOCK.findall(message):
        call = _strict(block)
        if call:
            calls.append(call)
        else:
            broken.append(f"{OPEN}{block}")
    return Written(message[: message.index(OPEN)].strip(), tuple(calls), tuple(broken))


def mend(text: str, known: Sequence[str], *, name: str | None = None) -> Call | None:
    """Read a call that is nearly right, or None.

    Mended are: missing ends, trailing commas, single quotes, code fences, other words for "name"
    and "arguments", `search_web("...")` and ReAct's "Action:" lines. Text outside `<tool_call>`
    counts only if it names a known tool. With `name` given, `text` is the arguments alone.
    """
    tagged = OPEN in text
    body = _FENCE.sub("", text.replace(OPEN, "").replace(CLOSE, "").strip()).strip()
    value = _lenient(body)
    if name and name in known:
        return _from_arguments(name, value if value is not None else body)
    call = _from_object(value) if isinstance(value, dict) else None
    call = call or _from_prose(body, known)
    if call and (tagged or call.name in known):
        return call
    return None


def looks_like_call(text: str, known: Sequence[str]) -> bool:
    """Tell whether a message without a call was meant as one."""
    body = text.strip()
    if OPEN in body:
        return True
    opening = body.startswith(("{", "[{", "```", "Action:", *(f"{each}(" for each in known)))
    return opening and any(each in body for each in known)


def _strict(block: str) -> Call | None:
    try:
        value = json.loads(block)
    except (ValueError, RecursionError):  # a small model at times writes nothing but brackets
        return None
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return None
    arguments = value.get("arguments")
    return Call(value["name"], arguments) if isinstance(arguments, dict) else None


def _lenient(body: str) -> Any:
    from langchain_core.utils.json import parse_partial_json

    start = body.find("{")
    if start < 0:
        return None
    body = _TRAILING_COMMA.sub(r"\1", body[start:])
    for candidate in (body, body[: body.rfind("}") + 1]):
        for reader in (parse_partial_json, ast.literal_eval):
            try:
                value = reader(candidate)
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                continue
            if isinstance(value, dict):
                return value
    return None


def _from_object(value: dict[str, Any]) -> Call | None:
    inner = value.get("function")
    if isinstance(inner, dict):
        value = inner
    name = next((value[key] for key in _NAMES if isinstance(value.get(key), str)), None)
    if not name:
        return None
    arguments = next((value[key] for key in _ARGUMENTS if key in value), None)
    if arguments is None and "query" in value:
        arguments = {"query": value["query"]}
    return _from_arguments(name, arguments)


def _from_arguments(name: str, arguments: Any) -> Call | None:
    if isinstance(arguments, str):
        inner = _lenient(arguments)
        arguments = inner if isinstance(inner, dict) else {"query": arguments.strip(" \"'")}
    if not isinstance(arguments, dict) or not any(arguments.values()):
        return None
    return Call(name, arguments)


def _from_prose(body: str, known: Sequence[str]) -> Call | None:
    action = _ACTION.search(body)
    if action and action["name"] in known:
        return _from_arguments(action["name"], action["input"])
    for name in known:
        written = re.search(
            rf"\b{re.escape(name)}\(\s*(?:query\s*=\s*)?(?P<mark>[\"'])(?P<query>.+?)(?P=mark)\s*\)",
            body,
        )
        if written:
            return Call(name, {"query": written["query"]})
    query = _QUERY.search(body)
    named = [name for name in known if name in body]
    if query and len(named) == 1:
        return Call(named[0], {"query": query["query"]})
    return None
