"""Content: the words of a row, told apart into what is asked and what is answered."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from finetune.data.kinds import Kind
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
from finetune.lookup_rows import Lookup
from finetune.reader_rows import ReaderRow
from finetune.retriever_rows import RetrieverRow
from finetune.router_rows import RouterRow

# Names and marks that are no words of anybody.
_NO_WORDS = frozenset({"role", "id", "type", "name", "tool_call_id", "from", "label"})
_OWN: Mapping[Kind, tuple[str, ...]] = {
    "conversation": ("messages", "conversations", "prompt", "completion"),
    "instruction": ("instruction", "context", "input", "response", "output"),
    "text": ("text",),
    "pair": ("prompt", "chosen", "rejected"),
    "label": ("prompt", "completion"),
    "ranking": ("prompt", "completions"),
    "prompt": ("prompt",),
    "question": ("question", "title", "passage"),
    "route": ("text",),
    "search": ("query", "positive", "negatives"),
    "lookup": ("question", "answer"),
}


@dataclass(frozen=True)
class Content:
    """What a row asks, what it answers, and what the answer rests on.

    A tool's name and arguments are words of the message that calls it. A system message is in none
    of them: all rows of a file share it, and it says nothing of one.
    """

    asked: str
    answered: str
    context: str = ""

    @property
    def whole(self) -> str:
        """Give all words, the answer last."""
        return "\n".join(filter(None, (self.context, self.asked, self.answered)))


def content_of(row: Any) -> Content:  # noqa: C901, PLR0911 - one answer a kind
    """Give the words of a row of any kind."""
    match row:
        case Conversation():
            return _of_messages(row.messages)
        case Instruction():
            return Content(row.instruction, row.response, row.context)
        case Text() | RouterRow():
            return Content("", row.text)
        case Pair():
            return _answered(row.prompt, row.chosen, row.rejected)
        case Label():
            return _answered(row.prompt, row.completion)
        case Ranking():
            return _answered(row.prompt, *row.completions)
        case Prompt():
            return _answered(row.prompt)
        case ReaderRow():
            span = slice(*row.answer) if row.answer else slice(0)
            return Content(row.question, row.passage[span], row.passage)
        case RetrieverRow():
            return Content(row.query, row.positive, "\n".join(row.negatives))
        case Lookup():
            return Content(row.question, row.answer, "\n".join(row.passages))
        case _:
            raise TypeError(f"no row: {row!r}")


def messages_of(row: Any) -> tuple[Message, ...]:
    """Give the messages of a row, of all its answers; none where it is not made of messages."""
    match row:
        case Conversation():
            return row.messages
        case Pair():
            return _asked_and_answered(row.prompt, row.chosen, row.rejected)
        case Label():
            return _asked_and_answered(row.prompt, row.completion)
        case Ranking():
            return _asked_and_answered(row.prompt, *row.completions)
        case Prompt():
            return _asked_and_answered(row.prompt)
        case _:
            return ()


def words_in(message: Message) -> str:
    """Give the words of a message, and of the calls that it makes."""
    return "\n".join(filter(None, (message.get("content"), *_calls(message))))


def rewrite(kind: Kind, fields: Mapping[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    """Change the words of a row's own fields, those of tool calls too; all else stays as it is."""
    return {
        name: _changed(value, change) if name in _OWN[kind] else value
        for name, value in fields.items()
    }


def prompt_of(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Give the messages before the last of the assistant."""
    last = max(place for place, each in enumerate(messages) if each["role"] == "assistant")
    return messages[:last]


def _of_messages(messages: tuple[Message, ...]) -> Content:
    said = (
        filter(None, (words_in(each) for each in messages if each["role"] == role))
        for role in ("user", "assistant", "tool")
    )
    return Content(*map("\n".join, said))


def _answered(prompt: Said, *answers: Said) -> Content:
    before = _of_messages(as_messages(prompt, "user"))
    asked = "\n".join(filter(None, (before.asked, before.answered)))
    said = (words_in(each) for answer in answers for each in as_messages(answer, "assistant"))
    return Content(asked, "\n".join(filter(None, said)), before.context)


def _asked_and_answered(prompt: Said, *answers: Said) -> tuple[Message, ...]:
    said = (each for answer in answers for each in as_messages(answer, "assistant"))
    return (*as_messages(prompt, "user"), *said)


def _calls(message: Message) -> Iterator[str]:
    for call in message.get("tool_calls") or ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            arguments = function.get("arguments", "")
            if not isinstance(arguments, str):
                arguments = json.dumps(arguments, ensure_ascii=False)
            yield f"{function.get('name', '')} {arguments}"


def _changed(value: Any, change: Callable[[str], str]) -> Any:
    match value:
        case str():
            return change(value)
        case list() | tuple():
            return [_changed(each, change) for each in value]
        case dict():
            return {
                name: each if name in _NO_WORDS else _changed(each, change)
                for name, each in value.items()
            }
        case _:
            return value
