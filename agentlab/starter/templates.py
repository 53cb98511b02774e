"""Templates: texts with choices, ranges and slots, filled from a seeded source of chance."""

import random
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from ingest.sentences import sentence_spans

SLOT = re.compile(r"\{(=?)(\w+)\}")
_CHOICE = re.compile(r"<([^<>]*)>")
_RANGE = re.compile(r"\[(\d+)-(\d+)(?:/(\d+))?\]")
_ARTICLE = re.compile(r"(\ba|^A|(?<=[.!?:] )A) (?=(?!one\b|once\b|eu|uni|use|usu)[aeiou])")
_TRIES = 20


def expand(rng: random.Random, template: str) -> str:
    """Settle the <choices|of a text> and its [low-high/step] numbers."""
    text, choices = template, 1
    while choices:
        text, choices = _CHOICE.subn(lambda found: rng.choice(found[1].split("|")), text)

    def number(found: re.Match[str]) -> str:
        low, high, step = int(found[1]), int(found[2]), int(found[3] or 1)
        return str(rng.randrange(low, high + 1, step))

    return _RANGE.sub(number, text)


def capital(text: str) -> str:
    """Write the first letter large."""
    return text[:1].upper() + text[1:]


def slots_of(template: str) -> set[str]:
    """Name the slots of a template, without what the large first letter says."""
    return {name[0].lower() + name[1:] for _, name in SLOT.findall(template)}


class Binding:
    """The values that the slots of a text have taken, each drawn when it is first needed.

    A slot inside another slot's definition is drawn afresh, unless it is written {=slot}. Values
    differ from each other as far as the definitions allow.
    """

    def __init__(
        self,
        rng: random.Random,
        lists: Mapping[str, str | Sequence[str]],
        *,
        outer: "Binding | None" = None,
    ) -> None:
        self._rng = rng
        self._lists = lists
        self._outer = outer
        self._used: set[str] = outer._used if outer else set()  # noqa: SLF001
        self.known: dict[str, str] = {}

    def value(self, name: str) -> str:
        """Give a slot's value; {Slot} is {slot} with a large first letter."""
        if name[0].isupper():
            return capital(self.value(name[0].lower() + name[1:]))
        holder: Binding | None = self
        while holder:
            if name in holder.known:
                return holder.known[name]
            holder = holder._outer  # noqa: SLF001
        return self.draw(name)

    def draw(self, name: str) -> str:
        """Draw a slot's value anew, here, and keep it."""
        text = ""
        for _ in range(_TRIES):
            text = self._fresh(name)
            if text not in self._used:
                break
        self.keep(name, text)
        return text

    def keep(self, name: str, value: str) -> None:
        """Give a slot this value."""
        self._used.add(value)
        self.known[name] = value

    def fill(self, template: str) -> str:
        """Fill a template with the values of its slots."""
        text = expand(self._rng, template)
        text = SLOT.sub(lambda found: self.value(found[2]), text)
        return _ARTICLE.sub(r"\1n ", text)

    def _fresh(self, name: str) -> str:
        source = self._lists[name.rstrip("0123456789")]
        template = source if isinstance(source, str) else self._rng.choice(source)
        text = expand(self._rng, template)

        def inner(found: re.Match[str]) -> str:
            return self.value(found[2]) if found[1] else self._fresh(found[2])

        return _ARTICLE.sub(r"\1n ", SLOT.sub(inner, text))


@lru_cache(maxsize=8)
def _spans(passage: str) -> list[tuple[int, int]]:
    return sentence_spans(passage)


def sentence_with(passage: str, value: str) -> str | None:
    """Find the sentence that holds a value, or None where it stands in none or in two places."""
    if not value or passage.count(value) != 1:
        return None
    at = passage.index(value)
    for start, end in _spans(passage):
        if start <= at and at + len(value) <= end:
            sentence = passage[start:end]
            alone = "\n" not in sentence and passage.count(sentence) == 1
            return sentence if alone else None
    return None
