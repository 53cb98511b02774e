"""Routing: which documents a question is about, before their passages are searched.

What a question names (a document or its company, a year, a type of document) speaks louder than
likeness: where names are found that few documents bear, these documents are meant, in order of how
well years and type fit. Else the documents are taken whose profiles are most like the question.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from ingest.facts import asked_types, asked_years
from ingest.profiles import Profile, Profiles, plain
from ingest.words import STOP, content_words

_WORD = re.compile(r"[^\W_]+(?:['’&-][^\W_]+)*")
_LONGEST_NAME = 4  # words of a question that are one in a name: "best buy" in BESTBUY_2023
_OPENING_WORD = 4  # letters: a short first word is capitalised whatever it is
_NAMED = 0.6  # of the weight of a name's words
_RARE = 0.15  # a word that half of many documents bear names none of them
_OTHER_YEAR, _OTHER_TYPE = 0.5, 0.85
_MOST_NAMED, _MOST_ALIKE = 40, 10
_LEAST_DEGREE = 0.5


@dataclass(frozen=True)
class Route:
    """Documents by source, each with how well it fits (0..1), and why.

    `sure` tells how: `alike` as a whole, by the `name` that the question has for them, or `certain`
    where a year or a type agrees with the name. `rest` is the question without what names them.
    """

    degrees: Mapping[str, float] = field(default_factory=dict)
    why: Mapping[str, str] = field(default_factory=dict)
    sure: Literal["alike", "name", "certain"] = "alike"
    rest: str = ""


def route(question: str, vector: np.ndarray, profiles: Profiles) -> Route:
    """Choose the documents that a question is about; `vector` is that of the question."""
    if not len(profiles):
        return Route(rest=question)
    return _named(question, profiles) or _alike(question, vector, profiles)


def _named(question: str, profiles: Profiles) -> Route | None:
    words = _asked_words(question)
    years, types = asked_years(question), asked_types(question)
    graded: dict[int, tuple[float, str]] = {}
    agreed = False
    used: set[str] = set()
    capitals = {word: capital for word, (capital, _) in words.items()}
    for place, held in profiles.bearing(capitals).items():
        profile = profiles.all[place]
        share, name = _share_named(profile, held, profiles)
        if share < _NAMED:
            continue
        degree, reasons = share, [f"name {' '.join(name)}"]
        kind = profile.facts.get("type")
        for told, factor in (
            (_told(years, profile.years), _OTHER_YEAR),
            (_told(types, [kind] if kind else []), _OTHER_TYPE),
        ):
            if told is not None:
                degree *= 1.0 if told else factor
                reasons += told
                agreed = agreed or bool(told)
        graded[place] = (degree, ", ".join(reasons))
        used.update(name)
    if not graded:
        return None
    best = max(degree for degree, _ in graded.values())
    chosen = sorted(graded, key=lambda place: (-graded[place][0], place))[:_MOST_NAMED]
    chosen = [place for place in chosen if graded[place][0] >= _LEAST_DEGREE * best]
    spans = [span for word, (_, span) in words.items() if _is_of(word, used)]
    spans += [*years.values(), *types.values()]
    return Route(
        degrees={profiles.all[place].source: graded[place][0] / best for place in chosen},
        why={profiles.all[place].source: graded[place][1] for place in chosen},
        sure="certain" if agreed else "name",
        rest=_without(question, spans),
    )


def _alike(question: str, vector: np.ndarray, profiles: Profiles) -> Route:
    scores = profiles.likeness(vector) + profiles.wording(content_words(question))
    order = np.argsort(-scores, kind="stable")[:_MOST_ALIKE]
    low, high = float(scores[order[-1]]), float(scores[order[0]])
    span = high - low
    degrees = {
        profiles.all[place].source: (float(scores[place]) - low) / span if span > 0 else 1.0
        for place in order
    }
    return Route(degrees, dict.fromkeys(degrees, "like the question as a whole"), "alike", question)


def _asked_words(question: str) -> dict[str, tuple[bool, tuple[int, int]]]:
    """List what may be a name: words and runs of words, whether capitalised, and where."""
    spans = [match.span() for match in _WORD.finditer(question)]
    found: dict[str, tuple[bool, tuple[int, int]]] = {}
    for first, (start, _) in enumerate(spans):
        for last in range(first, min(first + _LONGEST_NAME, len(spans))):
            end = spans[last][1]
            run = question[start:end]
            # A stop word at either end is no part of a name, and alone none at all.
            ends = (question[slice(*spans[place])].lower() for place in (first, last))
            if not any(word in STOP for word in ends):
                capital = (
                    first == last and run[:1].isupper() and (first > 0 or len(run) > _OPENING_WORD)
                )
                found.setdefault(plain(run), (capital, (start, end)))
    return found


def _share_named(profile: Profile, held: set[str], profiles: Profiles) -> tuple[float, list[str]]:
    """Give the share of a name's weight that is held, for the better of a document's names."""
    best: tuple[float, list[str]] = (0.0, [])
    for name in profile.names:
        weights = {word: profiles.rarity(word) for word in name}
        there = [word for word in name if word in held and weights[word] >= _RARE]
        total = sum(weights.values())
        if there and total:
            best = max(best, (sum(weights[word] for word in there) / total, there))
    return best


def _told(asked: Iterable[object], had: Collection[object]) -> list[str] | None:
    """Give what is asked for and there; None where nothing is asked, or nothing is known."""
    asked = list(asked)
    return [str(each) for each in asked if each in had] if asked and had else None


def _is_of(word: str, names: set[str]) -> bool:
    return any(name == word or (len(word) >= 3 and name.startswith(word)) for name in names)


def _without(question: str, spans: Sequence[tuple[int, int]]) -> str:
    """Cut out what names the documents, unless nothing to look for would be left."""
    kept = list(question)
    for start, end in spans:
        kept[start:end] = " " * (end - start)
    rest = " ".join("".join(kept).split())
    return rest if len(content_words(rest)) >= 2 else question
