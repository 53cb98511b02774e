"""Vocabulary: what each token of a tokenizer says, and which may stand where in a message."""

import re
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, NamedTuple

import torch

CALL, QUOTE = "<tool_call>", '"'
CLOSING = "}}\n</tool_call>"
"""What follows the closing quotation mark of a tool's only argument."""
_ESCAPES = frozenset('"\\/bfnrt')
_SPECIAL = re.compile(r'[\x00-\x1f"\\<]')


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
    return bool(text.strip()) and not ends_answer(text)


def ends_answer(text: str) -> bool:
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
