"""Routing: which documents a question is about, before their passages are searched.

What a question names (a document or its company, a year, a type of document) speaks louder than
likeness: where names are found that few documents bear, these documents are meant, in order of how
well years and type fit. Else the documents are taken whose profiles are most like the question.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from ingest.facts import asked_types
from ingest.issuers import called
from ingest.naming import plain
from ingest.periods import asked_quarters, asked_years, fit_of_years
from ingest.profiles import Profile, Profiles
from ingest.words import STOP, content_words

_WORD = re.compile(r"[^\W_]+(?:['’&-][^\W_]+)*")
_LONGEST_NAME = 4  # words of a question that are one in a name: "best buy" in BESTBUY_2023
_OPENING_WORD = 4  # letters: a short first word is capitalised whatever it is
_NAMED = 0.6  # of the weight of a name's words
_BEGINNING, _FEW = 0.8, 3
_RARE = 0.15  # a word that half of many documents bear names none of them
_OTHER_TYPE, _OTHER_QUARTER, _NO_QUARTER, _PART_OF_YEAR = 0.85, 0.6, 0.8, 0.9
# A year, and at least: where no year is asked, the newest report is likeliest.
_OLDER, _OLDEST = 0.97, 0.8
_MOST_NAMED, _MOST_ALIKE = 40, 10
_LEAST_DEGREE = 0.5


@dataclass(frozen=True)
class Route:
    """Documents by source, each with how well it fits (0..1), and why.

    `sure` tells how: `alike` as a whole, by the `name` that the question has for them, as a
    `series` of one name and several years, or `certain` where a year, quarter or type agrees with
    the name. `rest` is the question without what names them.
    """

    degrees: Mapping[str, float] = field(default_factory=dict)
    why: Mapping[str, str] = field(default_factory=dict)
    sure: Literal["alike", "name", "series", "certain"] = "alike"
    rest: str = ""


def route(question: str, vector: np.ndarray, profiles: Profiles) -> Route:
    """Choose the documents that a question is about; `vector` is that of the question."""
    if not len(profiles):
        return Route(rest=question)
    return _named(question, profiles) or _alike(question, vector, profiles)


@dataclass(frozen=True)
class _Asked:
    """What a question says of the documents meant, each with where it stands."""

    words: Mapping[str, tuple[bool, tuple[int, int]]]
    years: Mapping[int, tuple[int, int]]
    quarters: Mapping[str, tuple[int, int]]
    types: Mapping[str, tuple[int, int]]


def _named(question: str, profiles: Profiles) -> Route | None:
    asked = _Asked(
        words=_asked_words(question, profiles),
        years=asked_years(question),
        quarters=asked_quarters(question),
        types=asked_types(question),
    )
    capitals = {word: capital for word, (capital, _) in asked.words.items()}
    named: dict[int, tuple[float, list[str]]] = {}
    for place, held in profiles.bearing(capitals).items():
        share, name = _share_named(profiles.all[place], held, profiles)
        if share >= _NAMED:
            named[place] = (share, name)
    if not named:
        return None
    named = _written_as_names(question, asked, named)
    newest = max((max(profiles.all[place].years, default=0) for place in named), default=0)
    graded: dict[int, tuple[float, list[str]]] = {}
    agreed = False
    for place, (share, name) in named.items():
        factor, reasons = _fit(profiles.all[place], asked, newest)
        agreed = agreed or bool(reasons)
        graded[place] = (share * factor, [f"name {' '.join(name)}", *reasons])
    best = max(degree for degree, _ in graded.values())
    chosen = sorted(graded, key=lambda place: (-graded[place][0], place))[:_MOST_NAMED]
    chosen = [place for place in chosen if graded[place][0] >= _LEAST_DEGREE * best]
    used = {word for _, name in named.values() for word in name}
    spans = [span for word, (_, span) in asked.words.items() if _is_of(word, used)]
    spans += [*asked.years.values(), *asked.quarters.values(), *asked.types.values()]
    series = len({profiles.all[place].years for place in chosen} - {()}) > 1
    return Route(
        degrees={profiles.all[place].source: graded[place][0] / best for place in chosen},
        why={profiles.all[place].source: ", ".join(graded[place][1]) for place in chosen},
        sure="certain" if agreed else "series" if series else "name",
        rest=_without(question, spans),
    )


def _fit(profile: Profile, asked: _Asked, newest: int) -> tuple[float, list[str]]:
    """Grade how well a document's year, quarter and type fit those asked for, and tell which do."""
    factor, reasons = 1.0, []
    kind, quarter = profile.facts.get("type"), profile.facts.get("quarter")
    if asked.years and profile.years:
        factor *= fit_of_years(set(asked.years), set(profile.years))
        reasons += [str(year) for year in profile.years if year in asked.years]
    elif profile.years:
        factor *= max(_OLDEST, _OLDER ** (newest - max(profile.years)))
    if asked.quarters:
        fits = quarter in asked.quarters
        factor *= 1.0 if fits else _OTHER_QUARTER if quarter else _NO_QUARTER
        reasons += [str(quarter)] * fits
    if asked.types and kind:
        factor *= 1.0 if kind in asked.types else _OTHER_TYPE
        reasons += [kind] * (kind in asked.types)
    elif not asked.quarters and (quarter or kind in ("10-Q", "8-K")):
        factor *= _PART_OF_YEAR
    return factor, reasons


def _written_as_names(
    question: str, asked: _Asked, named: Mapping[int, tuple[float, list[str]]]
) -> dict[int, tuple[float, list[str]]]:
    """Keep what is written as names are, where anything is: `3M's target` names no Target."""

    def is_written(word: str) -> bool:
        told = (asked.words[each][1] for each in asked.words if _is_of(each, {word}))
        return any(any(c.isupper() or c.isdigit() for c in question[a:b]) for a, b in told)

    written = {
        place: (share, name) for place, (share, name) in named.items() if any(map(is_written, name))
    }
    return written or dict(named)


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


def _asked_words(question: str, profiles: Profiles) -> dict[str, tuple[bool, tuple[int, int]]]:
    """List what may be a name: words and runs of words, whether capitalised, and where.

    The words of a run that is a name are none themselves: American Express is not American Water.
    """
    spans = [match.span() for match in _WORD.finditer(question)]
    found: dict[str, tuple[bool, tuple[int, int]]] = {}
    taken: set[int] = set()  # words of a run that is one word in a name
    whole: set[int] = set()  # words that begin a name of several words together
    for length in range(_LONGEST_NAME, 0, -1):
        for first in range(len(spans) - length + 1):
            places = range(first, first + length)
            words = [question[slice(*spans[place])] for place in places]
            start, end = spans[first][0], spans[places[-1]][1]
            run = question[start:end]
            # A stop word at either end is no part of a name, and alone none at all.
            if any(each.lower() in STOP for each in (words[0], words[-1])) or taken & {*places}:
                continue
            begun = first > 0 or len(run) > _OPENING_WORD or run.isupper()
            capital = begun and all(word[0].isupper() for word in words) and not whole & {*places}
            if length > 1:
                if profiles.is_name(plain(run), begun=capital):
                    taken.update(places)
                if profiles.is_beginning([plain(word) for word in words]):
                    whole.update(places)
            elif short := called(run):
                found.setdefault(short, (False, (start, end)))
            found.setdefault(plain(run), (capital, (start, end)))
    return found


def _share_named(
    profile: Profile, held: Mapping[str, float], profiles: Profiles
) -> tuple[float, list[str]]:
    """Give the share of a name's weight that is held, for the better of a document's names."""
    best: tuple[float, list[str]] = (0.0, [])
    for name in profile.names:
        weights = {word: profiles.rarity(word) for word in name}
        there = [word for word in name if word in held and weights[word] >= _RARE]
        total = sum(weights.values())
        if there and total:
            share = sum(weights[word] * held[word] for word in there) / total
            # A company is called by the beginning of its name, where few others begin so.
            first = list(name[: len(there)]) == there and min(held[word] for word in there) == 1
            if first and profile.years and profiles.beginning_alike(there) <= _FEW:
                share = max(share, _BEGINNING)
            best = max(best, (share, there))
    return best


def _is_of(word: str, names: set[str]) -> bool:
    return any(name == word or (len(word) >= 3 and name.startswith(word)) for name in names)


def _without(question: str, spans: Sequence[tuple[int, int]]) -> str:
    """Cut out what names the documents, unless nothing to look for would be left."""
    kept = list(question)
    for start, end in spans:
        kept[start:end] = " " * (end - start)
    rest = " ".join("".join(kept).split())
    return rest if len(content_words(rest)) >= 2 else question
