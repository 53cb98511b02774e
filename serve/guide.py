r"""Guide: what a model may write next where the form of its message is known.

A message begins with a tool call, with a quote, or with anything else; the model's first token
decides, unless nothing else is allowed. A call follows the template
`<tool_call>\n{"name": ..., "arguments": {...}}\n</tool_call>`, a quote is one of the given
sentences. What has only one continuation is written without asking the model, and computed in one
forward pass together with the token that led to it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import torch

from serve.vocabulary import CALL, CLOSING, QUOTE, Place, Vocabulary, ends_answer

_LONGEST_ARGUMENT = 400
"""The length in characters of an argument whose schema sets no limit."""
_MARGIN = 2
"""Tokens kept free beside a forced end: one choice more, and an escape that must be finished."""
_OPENED = Place()


class Phase(Protocol):
    """A part of a message."""

    def allowed(self) -> torch.Tensor | None:
        """Tell which tokens may come next; None if all may."""

    def take(self, token: int, left: int) -> "tuple[list[int], Phase]":
        """Give what the message gets by the model's choice of a token, and the phase after it.

        `left` is how many tokens the message may still have. Nothing means: choose again.
        """


class _Free:
    """Whatever the model writes."""

    def allowed(self) -> None:
        return None

    def take(self, token: int, left: int) -> tuple[list[int], Phase]:  # noqa: ARG002 - a Phase's
        return [token], self


@dataclass(frozen=True)
class _Said:
    """A message in words: its first token opens no call."""

    vocabulary: Vocabulary

    def allowed(self) -> torch.Tensor:
        return self.vocabulary.first_word

    def take(self, token: int, left: int) -> tuple[list[int], Phase]:  # noqa: ARG002 - a Phase's
        return [token], _Free()


@dataclass
class _Node:
    """A place in a trie of texts; at the end of one stands what follows it."""

    children: dict[int, "_Node"] = field(default_factory=dict)
    then: Callable[[], Phase] | None = None

    def add(self, tokens: Sequence[int], then: Callable[[], Phase]) -> None:
        """Add a text; one without tokens, which cannot be written faithfully, is left out."""
        if not tokens:
            return
        node = self
        for token in tokens:
            node = node.children.setdefault(token, _Node())
        node.then = node.then or then


@dataclass(frozen=True)
class _Choice:
    """A choice among texts."""

    node: _Node
    vocabulary: Vocabulary

    def allowed(self) -> torch.Tensor:
        return self.vocabulary.only(self.node.children)

    def take(self, token: int, left: int) -> tuple[list[int], Phase]:  # noqa: ARG002 - a Phase's
        return self.forced(self.node.children[token], [token])

    def forced(self, node: _Node, written: list[int]) -> tuple[list[int], Phase]:
        """Go on from a node for as long as there is nothing to choose."""
        while node.then is None and len(node.children) == 1:
            token, node = next(iter(node.children.items()))
            written.append(token)
        return written, node.then() if node.then else _Choice(node, self.vocabulary)


@dataclass(frozen=True)
class _Start:
    """The first token, which decides what the message is."""

    forms: Mapping[str, _Node]
    vocabulary: Vocabulary

    def allowed(self) -> None:
        return None

    def take(self, token: int, left: int) -> tuple[list[int], Phase]:
        text = self.vocabulary.texts[token] if token < len(self.vocabulary.texts) else ""
        for opening, node in self.forms.items():
            if text and (opening.startswith(text) or text.startswith(opening)):
                choice = _Choice(node, self.vocabulary)
                # A quotation mark can be one token with the sign that follows it in a sentence.
                known = token in node.children
                return choice.take(token, left) if known else choice.forced(node, [])
        return [token], _Free()


@dataclass(frozen=True)
class _Argument:
    """The text of a call's only argument, up to the end of the message."""

    vocabulary: Vocabulary
    longest: int
    place: Place = _OPENED

    def allowed(self) -> torch.Tensor:
        allowed, added = self.vocabulary.argument(self.place)
        return allowed & (added <= self.longest - self.place.length)

    def take(self, token: int, left: int) -> tuple[list[int], Phase]:
        place = self.place.after(self.vocabulary.texts[token])
        if place is None:
            raise ValueError(f"the token {token} was not allowed there")
        if place.closed is not None:
            return [token, *self._end(place.closed, after=QUOTE)], _Free()
        end = self._end("", after="a", opened=True)
        short = left - 1 <= len(end) + _MARGIN or place.length >= self.longest
        if short and not place.escaped and not place.blank:
            return [token, *end], _Free()
        return [token], _Argument(self.vocabulary, self.longest, place)

    def _end(self, written: str, *, after: str, opened: bool = False) -> list[int]:
        rest = QUOTE * opened + CLOSING[len(written) :]
        return [*self.vocabulary.following(rest, after=after + written), self.vocabulary.end]


@dataclass(frozen=True)
class _Answer:
    """The short answer behind a quote, up to its mark and the end of the message."""

    vocabulary: Vocabulary
    number: int
    text: str = ""

    def allowed(self) -> torch.Tensor | None:
        if self.text.strip():
            return None
        return self.vocabulary.second_of_answer if self.text else self.vocabulary.first_of_answer

    def take(self, token: int, left: int) -> tuple[list[int], Phase]:
        said = self.vocabulary.texts[token] if token < len(self.vocabulary.texts) else ""
        end = [
            *self.vocabulary.following(f" [{self.number}]", after="a"),
            self.vocabulary.end,
        ]
        # A call that opens in an answer would be taken for one.
        if ends_answer(said) or CALL in self.text + said:
            return end, _Free()
        if left - 1 <= len(end) + _MARGIN and (self.text + said).strip():
            return [token, *end], _Free()
        return [token], _Answer(self.vocabulary, self.number, self.text + said)


class Guide:
    """Leads one message: asks which tokens may come, and says what comes of the one chosen."""

    def __init__(self, phase: Phase) -> None:
        self._phase = phase

    @classmethod
    def of(
        cls,
        vocabulary: Vocabulary,
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        quotes: Sequence[tuple[str, int]] = (),
        others: Sequence[str] | None = None,
    ) -> Self:
        """Build a guide to calls of OpenAI-shaped tools, and to quotes with their numbers.

        `others` are the only messages that may be written besides; None lets anything else be that
        is no call: without tools and quotes a message begins with words.
        """
        forms = {CALL: _calls(vocabulary, tools), QUOTE: _quotes(vocabulary, quotes)}
        used = {opening: node for opening, node in forms.items() if node.children}
        if others is not None:
            every = _texts(vocabulary, others)
            for node in used.values():
                every.children.update(node.children)
            return cls(_Choice(every, vocabulary) if every.children else _Free())
        return cls(_Start(used, vocabulary) if used else _Said(vocabulary))

    def allowed(self) -> torch.Tensor | None:
        """Tell which tokens may come next, a mask over the vocabulary; None if all may."""
        return self._phase.allowed()

    def take(self, token: int, *, left: int) -> list[int]:
        """Give what the message gets by a token; nothing means: choose again with what is allowed.

        `left` is how many tokens the message may still have.
        """
        written, self._phase = self._phase.take(token, left)
        return written


def _calls(vocabulary: Vocabulary, tools: Sequence[Mapping[str, Any]]) -> _Node:
    root = _Node()
    for tool in tools:
        function = tool["function"]
        start = f'{CALL}\n{{"name": "{function["name"]}", "arguments":'
        argument = _only_text(function.get("parameters") or {})
        if argument is None:
            root.add(vocabulary.faithful(start), _Free)
            continue
        name, longest = argument
        start += f' {{"{name}": "'
        root.add(vocabulary.faithful(start), _argument_phase(vocabulary, longest))
    return root


def _argument_phase(vocabulary: Vocabulary, longest: int) -> Callable[[], Phase]:
    return lambda: _Argument(vocabulary, longest)


def _answer_phase(vocabulary: Vocabulary, number: int) -> Callable[[], Phase]:
    return lambda: _Answer(vocabulary, number)


def _only_text(schema: Mapping[str, Any]) -> tuple[str, int] | None:
    """Give the name and the greatest length of a schema's only argument, if that is any text."""
    properties = schema.get("properties") or {}
    if len(properties) != 1 or list(schema.get("required") or ()) != list(properties):
        return None
    ((name, about),) = properties.items()
    plain = about.get("type") == "string" and not {"enum", "const", "pattern", "format"} & set(
        about
    )
    return (name, int(about.get("maxLength", _LONGEST_ARGUMENT))) if plain else None


def _texts(vocabulary: Vocabulary, texts: Sequence[str]) -> _Node:
    root = _Node()
    for text in texts:
        tokens = vocabulary.faithful(text)
        root.add([*tokens, vocabulary.end] if tokens else [], _Free)
    return root


def _quotes(vocabulary: Vocabulary, quotes: Sequence[tuple[str, int]]) -> _Node:
    root = _Node()
    for sentence, number in quotes:
        if sentence.strip() and len(sentence.splitlines()) == 1:
            line = f"{QUOTE}{sentence}{QUOTE} [{number}]\nAnswer:"
            root.add(vocabulary.faithful(line), _answer_phase(vocabulary, number))
    return root
