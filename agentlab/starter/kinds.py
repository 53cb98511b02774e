"""Kinds of documents: passages with open slots, and what can be asked about each slot.

A kind is a TOML file of `document_kinds/`. `titles` and `slots` belong to the document; each of the
`passages` has lines of text that may begin with marks: `!` always stays, `*` is repeated for each
value of the slot `each`, `>` stands on a line of its own. The other lines may be left out, and a
question on what was left out is a near miss. `ask` maps a slot to its questions, separated by
" / "; those with `~` lean on an earlier question. `old` is an earlier passage of the document, in
which the first slot of `ask` had another value.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from agentlab.starter.templates import slots_of

_MARKS = re.compile(r"([!*>]*)\s*(.*)")


@dataclass(frozen=True)
class Line:
    """A line of a passage: whether it stays, is repeated, stands apart."""

    text: str
    fixed: bool
    repeated: bool
    apart: bool


@dataclass(frozen=True)
class Shape:
    """A passage with open slots."""

    heading: str
    lines: tuple[Line, ...]
    each: str
    on: str
    fewest: int
    most: int
    asks: Mapping[str, tuple[str, ...]]
    leaning: Mapping[str, tuple[str, ...]]
    misses: tuple[str, ...]
    old: str

    @property
    def amended(self) -> str:
        """Name the slot of which the `old` passage gives another value: the first one asked."""
        return next(iter(self.asks))

    @property
    def own(self) -> set[str]:
        """Name the slots that differ from one repeated line to the next: those only used there."""
        repeated = {name for line in self.lines if line.repeated for name in slots_of(line.text)}
        shared = {name for line in self.lines if not line.repeated for name in slots_of(line.text)}
        return repeated - shared - slots_of(self.heading) - slots_of(self.old)


@dataclass(frozen=True)
class Kind:
    """A kind of document; `noun` is what people call it, `swap` a slot that names its subject.

    The slots in `particular` mean the same in all its passages; the others are common to all kinds.
    """

    name: str
    noun: str
    weight: float
    titles: tuple[str, ...]
    document: tuple[str, ...]
    swap: str
    lists: Mapping[str, str | Sequence[str]]
    particular: frozenset[str]
    shapes: tuple[Shape, ...]


@cache
def document_kinds() -> tuple[Kind, ...]:
    """Read all kinds, in the order of their names."""
    folder = resources.files("agentlab.starter").joinpath("document_kinds")
    names = sorted(each.name for each in folder.iterdir() if each.name.endswith(".toml"))
    read = {name: tomllib.loads(folder.joinpath(name).read_text("utf-8")) for name in names}
    common = read.pop("common.toml")["slots"]
    return tuple(_kind(name.removesuffix(".toml"), value, common) for name, value in read.items())


def _kind(name: str, value: Mapping[str, Any], common: Mapping[str, Any]) -> Kind:
    return Kind(
        name=name,
        noun=value["noun"],
        weight=value.get("weight", 1.0),
        titles=tuple(value["titles"]),
        document=tuple(value["document"]),
        swap=value["swap"],
        lists={**common, **value["slots"]},
        particular=frozenset(value["slots"]),
        shapes=tuple(_shape(each) for each in value["passages"]),
    )


def _shape(value: Mapping[str, Any]) -> Shape:
    asked = {slot: _split(text) for slot, text in value["ask"].items()}
    fewest, most = (int(number) for number in value.get("count", "3-5").split("-"))
    return Shape(
        heading=value["heading"],
        lines=tuple(_line(text) for text in value["text"].strip().splitlines()),
        each=value.get("each", ""),
        on=value.get("on", ""),
        fewest=fewest,
        most=most,
        asks={
            slot: tuple(text for text in texts if not text.startswith("~"))
            for slot, texts in asked.items()
        },
        leaning={
            slot: tuple(text[1:] for text in texts if text.startswith("~"))
            for slot, texts in asked.items()
        },
        misses=_split(value.get("miss", "")),
        old=" ".join(value.get("old", "").split()),
    )


def _line(text: str) -> Line:
    found = _MARKS.fullmatch(text.strip())
    marks, rest = (found[1], found[2]) if found else ("", text)
    return Line(rest, "!" in marks or "*" in marks, "*" in marks, ">" in marks)


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(" / ") if part.strip())
