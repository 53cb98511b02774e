"""Row: one thing to learn from, of a known kind, with its place and where it came from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Message = Mapping[str, Any]
Said = str | tuple[Message, ...]
"""What was said: a text, or messages in the OpenAI shape."""

LINEAGE = ("run", "document", "source")


@dataclass(frozen=True, kw_only=True)
class Row:
    """Where a row stands, and its further fields, kept as they are.

    `line` counts from 1: a file's lines, or the rows of one that has no lines.
    """

    path: str = ""
    line: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """Return `file:line`."""
        return f"{self.path}:{self.line}"

    @property
    def lineage(self) -> dict[str, str]:
        """Return the run, document and source that the row names, as fields or under `lineage`."""
        nested = self.extra.get("lineage")
        named = dict(nested) if isinstance(nested, Mapping) else {}
        named |= {name: self.extra[name] for name in LINEAGE if name in self.extra}
        return {name: str(value) for name, value in named.items() if value not in (None, "")}

    def to_dict(self) -> dict[str, Any]:
        """Give the row as it is written, its further fields last."""
        raise NotImplementedError

    def _with_extra(self, **own: Any) -> dict[str, Any]:
        plain = {name: _plain(value) for name, value in own.items() if value is not None}
        return plain | {name: value for name, value in self.extra.items() if name not in plain}


def _plain(value: Any) -> Any:
    return [_plain(each) for each in value] if isinstance(value, tuple) else value


@dataclass(frozen=True)
class Conversation(Row):
    """Messages in the OpenAI shape, and the tools that they may call."""

    messages: tuple[Message, ...]
    tools: tuple[Mapping[str, Any], ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give the row as it is written."""
        return self._with_extra(messages=self.messages, tools=self.tools)


@dataclass(frozen=True)
class Text(Row):
    """Plain text."""

    text: str

    def to_dict(self) -> dict[str, Any]:
        """Give the row as it is written."""
        return self._with_extra(text=self.text)


@dataclass(frozen=True)
class Instruction(Row):
    """A task, what it is about, and the right response, as Dolly has them.

    A template of `finetune.data.templates` makes a conversation of it.
    """

    instruction: str
    context: str
    response: str

    def to_dict(self) -> dict[str, Any]:
        """Give the row as it is written."""
        return self._with_extra(
            instruction=self.instruction, context=self.context, response=self.response
        )


@dataclass(frozen=True)
class Pair(Row):
    """A better and a worse answer to one prompt."""

    prompt: Said
    chosen: Said
    rejected: Said
    tools: tuple[Mapping[str, Any], ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give the row as it is written."""
        return self._with_extra(
            prompt=self.prompt, chosen=self.chosen, rejected=self.rejected, tools=self.tools
        )


@dataclass(frozen=True)
class Label(Row):
    """An answer to a prompt, and whether it is good."""

    prompt: Said
    completion: Said
    label: bool
    tools: tuple[Mapping[str, Any], ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give the row as it is written."""
        return self._with_extra(
            prompt=self.prompt, completion=self.completion, label=self.label, tools=self.tools
        )


@dataclass(frozen=True)
class Ranking(Row):
    """Answers to one prompt, the best first."""

    prompt: Said
    completions: tuple[Said, ...]
    tools: tuple[Mapping[str, Any], ...] | None = None

    def pairs(self) -> list[Pair]:
        """Give every pair of a better and a worse answer, n (n - 1) / 2 of them."""
        return [
            Pair(
                self.prompt,
                better,
                worse,
                self.tools,
                path=self.path,
                line=self.line,
                extra=self.extra,
            )
            for place, better in enumerate(self.completions)
            for worse in self.completions[place + 1 :]
        ]

    def to_dict(self) -> dict[str, Any]:
        """Give the row as it is written."""
        return self._with_extra(prompt=self.prompt, completions=self.completions, tools=self.tools)


@dataclass(frozen=True)
class Prompt(Row):
    """What is asked, to be answered while training; `extra` is what a reward may look at."""

    prompt: Said
    tools: tuple[Mapping[str, Any], ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give the row as it is written."""
        return self._with_extra(prompt=self.prompt, tools=self.tools)


def as_messages(said: Said, role: str) -> tuple[Message, ...]:
    """Give what was said as messages; a plain text is one message of `role`."""
    return ({"role": role, "content": said},) if isinstance(said, str) else said


def as_text(said: Said) -> str:
    """Give the words that were said, message by message, without roles and tool calls."""
    if isinstance(said, str):
        return said
    return "\n".join(str(each["content"]) for each in said if each.get("content"))
