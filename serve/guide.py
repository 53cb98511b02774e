r"""Guide: what a model may write next where the form of its message is known.

A message begins with a tool call, with a quote, or with anything else; the model's first token
decides, unless nothing else is allowed. A call follows the template
`<tool_call>\n{"name": ..., "arguments": {...}}\n</tool_call>`, a quote is one of the given
sentences. What has only one continuation is written without asking the model, and computed in one
forward pass together with the token that led to it.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, Protocol, Self

import torch

CALL, QUOTE = "<tool_call>", '"'
CLOSING = "}}\n</tool_call>"
"""What follows the closing quotation mark of a tool's only argument."""
_LONGEST_ARGUMENT = 400
"""The length in characters of an argument whose schema sets no limit."""
_ESCAPES = frozenset('"\\/bfnrt')
_SPECIAL = re.compile(r'[\x00-\x1f"\\<]')
_MARGIN = 2
"""Tokens kept free beside a forced end: one choice more, and an escape that must be finished."""


class Vocabulary:
    """What each token of a tokenizer says, and which may stand where."""

    def __init__(self, tokenizer: Any, *, ends: Iterable[int], device: str = "cpu") -> None:
        self._tokenizer = tokenizer
        self._device = device
        self.ends = frozenset(ends)
        eos = tokenizer.eos_token_id
        self.end: int = eos if eos in self.ends or not self.ends else min(self.ends)
        self._masks: dict[tuple[bool, bool], tuple[torch.Tensor, torch.Tensor]] = {}

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """Give the text of every token as it stands inside a text; special tokens have none."""
        # Some tokenizers drop the blank before a text's first token, so each follows another one.
        anchor = self.encode(QUOTE)
        ids = [[*anchor, token] for token in range(len(self._tokenizer))]
        before, *decoded = self._decode_all([anchor, *ids])
        hidden = frozenset(self._tokenizer.all_special_ids) | self.ends
        return tuple(
            "" if token in hidden else text[len(before) :] for token, text in enumerate(decoded)
        )

    def encode(self, text: str) -> list[int]:
        """Give the tokens of a text."""
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def faithful(self, text: str) -> list[int]:
        """Give the tokens of a text, or none if they would say something else."""
        ids = self.encode(text)
        hidden = self.ends.union(self._tokenizer.all_special_ids)
        said = self._tokenizer.decode(ids, clean_up_tokenization_spaces=False)
        return ids if said == text and hidden.isdisjoint(ids) else []

    def following(self, text: str, *, after: str) -> list[int]:
        """Give the tokens of a text that follows another one."""
        before, whole = self.encode(after), self.encode(after + text)
        return whole[len(before) :] if whole[: len(before)] == before else self.encode(text)

    def _decode_all(self, rows: list[list[int]]) -> list[str]:
        fast = getattr(self._tokenizer, "backend_tokenizer", None)
        if fast is not None:  # ten times as fast for a whole vocabulary
            return list(fast.decode_batch(rows, skip_special_tokens=False))
        return [self._tokenizer.decode(r, clean_up_tokenization_spaces=False) for r in rows]

    def only(self, tokens: Iterable[int]) -> torch.Tensor:
        """Mask all but some tokens."""
        mask = torch.zeros(len(self.texts), dtype=torch.bool, device=self._device)
        mask[list(tokens)] = True
        return mask

    def argument(self, place: "Place") -> tuple[torch.Tensor, torch.Tensor]:
        """Tell which tokens may go on with an argument there, and how much each adds to it."""
        key = (place.escaped, place.blank)
        if key not in self._masks:
            steps = [place.going_on(text) for text in self.texts]
            allowed = torch.tensor([step is not None for step in steps], device=self._device)
            added = torch.tensor(
                [step.length - place.length if step else 0 for step in steps], device=self._device
            )
            self._masks[key] = (allowed, added)
        return self._masks[key]

    @cached_property
    def first_of_answer(self) -> torch.Tensor:
        """Tell which tokens may begin an answer: a blank, and what is no mark or line end."""
        return self._mask(lambda text: text == " " or (text[:1] == " " and _begins_answer(text)))

    @cached_property
    def second_of_answer(self) -> torch.Tensor:
        """Tell which tokens may follow a blank that began an answer."""
        return self._mask(_begins_answer)

    @cached_property
    def first_word(self) -> torch.Tensor:
        """Tell which tokens may begin a message in words: any that begins no tag."""
        return self._mask(lambda text: bool(text.strip()) and text.lstrip()[0] != CALL[0])

    def _mask(self, test: Callable[[str], bool]) -> torch.Tensor:
        return torch.tensor([test(text) for text in self.texts], device=self._device)


def _begins_answer(text: str) -> bool:
    return bool(text.strip()) and not _ends_answer(text)


def _ends_answer(text: str) -> bool:
    """Tell whether a token ends the line of an answer or begins its mark."""
    return not text or "\n" in text or text.lstrip().startswith("[")


class Place(NamedTuple):
    """A place in a JSON string: what counts for what may follow."""

    escaped: bool = False
    blank: bool = True
    length: int = 0
    closed: str | None = None
    """What of CLOSING is written, once the string has ended."""

    def after(self, text: str) -> "Place | None":
        """Give the place after some more text, or None if that text cannot stand there."""
        escaped, blank, length, _ = self
        if not escaped and not _SPECIAL.search(text):
            return Place(False, blank and text.isspace(), length + len(text))
        for index, letter in enumerate(text):
            if escaped:
                if letter not in _ESCAPES:
                    return None
                escaped, blank = False, blank and letter not in QUOTE + "\\/"
            elif letter == QUOTE:
                rest = text[index + 1 :]
                fits = not blank and CLOSING.startswith(rest)
                return Place(False, blank, length, rest) if fits else None
            elif letter < " " or letter == "<":  # a raw control character; a tag inside a tag
                return None
            else:
                escaped = letter == "\\"
                blank = blank and (letter.isspace() or escaped)
                length += 1
        return Place(escaped, blank, length)

    def going_on(self, text: str) -> "Place | None":
        """Give the place after a token, or None: one that stays blank would lead nowhere."""
        place = self.after(text) if text else None
        return place if place and (place.escaped or not place.blank) else None


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
        if _ends_answer(said) or CALL in self.text + said:
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
