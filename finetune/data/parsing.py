"""Parsers: each makes a row of one kind of a record, or raises ValueError with what is wrong."""

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

from finetune.data.files import Record
from finetune.data.rows import (
    Conversation,
    Instruction,
    Label,
    Message,
    Pair,
    Prompt,
    Ranking,
    Said,
    Text,
    as_messages,
)

ROLES = frozenset({"system", "user", "assistant", "tool"})
# Other tools' names for what is meant.
_SPEAKERS = {"human": "user", "gpt": "assistant", "function": "tool", "observation": "tool"}
_CONTEXT, _RESPONSE = ("context", "input"), ("response", "output")
_YES, _NO = frozenset({"true", "1", "good", "yes"}), frozenset({"false", "0", "bad", "no"})


def parse_conversation(record: Record) -> Conversation:
    """Read `messages` (or ShareGPT's `conversations`) and `tools`, or a prompt and completion."""
    fields = record.fields
    if "messages" not in fields and {"prompt", "completion"} <= fields.keys():
        return _of_completion(record)
    name = "conversations" if "messages" not in fields and "conversations" in fields else "messages"
    messages = fields.get(name)
    if not isinstance(messages, list) or not messages:
        raise ValueError(f"`{name}` is no filled list")
    if name == "conversations":
        messages = [_of_sharegpt(each) for each in messages]
    read = _messages(messages)
    if not any(message["role"] == "assistant" for message in read):
        raise ValueError("no message of the assistant to learn from")
    return Conversation(read, _tools(fields), **_rest(record, name, "tools"))


def parse_text(record: Record) -> Text:
    """Read `text`, of two words at least."""
    text = record.fields.get("text")
    if not isinstance(text, str) or len(text.split(maxsplit=2)) < 2:
        raise ValueError("`text` has no two words")
    return Text(text, **_rest(record, "text"))


def parse_instruction(record: Record) -> Instruction:
    """Read `instruction`, `context` (or `input`) and `response` (or `output`)."""
    fields = record.fields
    context = next((name for name in _CONTEXT if name in fields), "context")
    response = next((name for name in _RESPONSE if name in fields), "response")
    about = fields.get(context, "")
    if not isinstance(about, str):
        raise ValueError(f"`{context}` is no text")  # noqa: TRY004
    return Instruction(
        _filled(fields, "instruction"),
        about,
        _filled(fields, response),
        **_rest(record, "instruction", context, response),
    )


def parse_pair(record: Record) -> Pair:
    """Read `prompt`, `chosen` and `rejected`.

    Where two whole conversations stand for them, the prompt is what both begin with; one that is
    given besides is not said twice.
    """
    fields = record.fields
    chosen, rejected = _said(fields, "chosen"), _said(fields, "rejected")
    if "prompt" in fields:
        prompt = _said(fields, "prompt")
        chosen, rejected = _without_prompt(as_messages(prompt, "user"), chosen, rejected)
    elif isinstance(chosen, str) or isinstance(rejected, str):
        raise ValueError("`prompt` is missing")
    else:
        shared = _shared(chosen, rejected)
        prompt, chosen, rejected = chosen[:shared], chosen[shared:], rejected[shared:]
        if not (prompt and chosen and rejected):
            raise ValueError("`prompt` is missing, and `chosen` and `rejected` share no beginning")
    if chosen == rejected:
        raise ValueError("`chosen` and `rejected` are the same")
    return Pair(
        prompt,
        chosen,
        rejected,
        _tools(fields),
        **_rest(record, "prompt", "chosen", "rejected", "tools"),
    )


def parse_label(record: Record) -> Label:
    """Read `prompt`, `completion` and `label`, true for a good one."""
    fields = record.fields
    return Label(
        _said(fields, "prompt"),
        _said(fields, "completion"),
        _truth(fields.get("label")),
        _tools(fields),
        **_rest(record, "prompt", "completion", "label", "tools"),
    )


def parse_ranking(record: Record) -> Ranking:
    """Read `prompt` and `completions`, the best first."""
    fields = record.fields
    completions = fields.get("completions")
    if not isinstance(completions, list) or len(completions) < 2:
        raise ValueError("`completions` is no list of two or more, best first")
    said = tuple(_checked(each, f"completion {n}") for n, each in enumerate(completions, start=1))
    if any(each in said[:place] for place, each in enumerate(said)):
        raise ValueError("`completions` holds the same one twice")
    return Ranking(
        _said(fields, "prompt"),
        said,
        _tools(fields),
        **_rest(record, "prompt", "completions", "tools"),
    )


def parse_prompt(record: Record) -> Prompt:
    """Read `prompt`; all other fields are kept for the rewards."""
    fields = record.fields
    return Prompt(_said(fields, "prompt"), _tools(fields), **_rest(record, "prompt", "tools"))


def _rest(record: Record, *own: str) -> dict[str, Any]:
    extra = {name: value for name, value in record.fields.items() if name not in own}
    return {"path": record.path, "line": record.line, "extra": extra}


def _of_completion(record: Record) -> Conversation:
    prompt, completion = (_said(record.fields, name) for name in ("prompt", "completion"))
    messages = [
        *([{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt),
        *(
            [{"role": "assistant", "content": completion}]
            if isinstance(completion, str)
            else completion
        ),
    ]
    rest = _rest(record, "prompt", "completion", "tools")
    return Conversation(tuple(messages), _tools(record.fields), **rest)


def _of_sharegpt(turn: object) -> object:
    if not isinstance(turn, dict) or "from" not in turn:
        return turn
    speaker = turn["from"]
    role = _SPEAKERS.get(speaker, speaker) if isinstance(speaker, str) else speaker
    return {"role": role, "content": turn.get("value")}


def _messages(messages: Sequence[object]) -> tuple[Message, ...]:
    return tuple(_message(each, index) for index, each in enumerate(messages, start=1))


def _message(message: object, number: int) -> Message:
    where = f"message {number}"
    if not isinstance(message, dict):
        raise ValueError(f"{where} is no object")  # noqa: TRY004
    role, content = message.get("role"), message.get("content")
    if not isinstance(role, str) or role not in ROLES:
        raise ValueError(f"{where} has the role {role!r}, not one of {', '.join(sorted(ROLES))}")
    if isinstance(content, str):
        return message
    if content is None and role == "assistant" and message.get("tool_calls"):
        return message | {"content": None}
    raise ValueError(f"{where} ({role}) has no text in `content`")


def _tools(fields: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...] | None:
    tools = fields.get("tools") or None
    if tools is None:
        return None
    if not (isinstance(tools, list) and all(isinstance(tool, dict) for tool in tools)):
        raise ValueError("`tools` is no list of objects")
    return tuple(tools)


def _said(fields: Mapping[str, Any], name: str) -> Said:
    if name not in fields:
        raise ValueError(f"`{name}` is missing")
    return _checked(fields[name], f"`{name}`")


def _checked(said: object, what: str) -> Said:
    if isinstance(said, str) and said.strip():
        return said
    if isinstance(said, list) and said:
        try:
            return _messages(said)
        except ValueError as error:
            raise ValueError(f"{what}: {error}") from error
    raise ValueError(f"{what} is neither a text nor a filled list of messages")


def _without_prompt(prompt: tuple[Message, ...], chosen: Said, rejected: Said) -> tuple[Said, Said]:
    """Cut the prompt off two whole conversations; other answers stay as they are."""
    asked = len(prompt)
    if chosen[:asked] != prompt or rejected[:asked] != prompt:
        return chosen, rejected
    if len(chosen) == asked or len(rejected) == asked:
        raise ValueError("`chosen` or `rejected` says nothing after the prompt")
    return chosen[asked:], rejected[asked:]


def _shared(one: Sequence[Message], other: Sequence[Message]) -> int:
    same = (a == b for a, b in zip(one, other, strict=False))
    return sum(takewhile(bool, same))


def _truth(label: object) -> bool:
    if isinstance(label, bool):
        return label
    word = str(label).strip().lower()
    if word in _YES | _NO:
        return word in _YES
    raise ValueError(f"`label` is {label!r}, neither true nor false")


def _filled(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"`{name}` is {value!r}, no text")
    return value
