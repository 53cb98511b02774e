"""Profiles: what is known of each document as a whole, kept in one note beside the chunks.

A profile holds a document's facts, the words of its title, file name, headings and first lines, and
the mean of its chunks' vectors. All profiles of a collection are read at once: some 1.5 kB each.
"""

import base64
import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np

from ingest.card import CollectionCard
from ingest.documents import Chunk
from ingest.errors import UnknownFilterError
from ingest.facts import FOLDER, OPENING, gather, span_of, stem_of
from ingest.naming import bare, initials_of, names_nothing, naming, subject_of
from ingest.stores.base import Store
from ingest.terms import REPORTS
from ingest.words import content_words, word_spans

NOTE = "profiles"
MOST_WORDS = 120
_MADE = 2  # counts up when profiles tell more: those made before are made anew
_SCALE = 127.0
_SHORTEST_PREFIX = 3
_BEGUN = 0.6  # of a name's weight, where only its beginning is told


@dataclass(frozen=True)
class Only:
    """A filter by what documents say of themselves; an empty field does not filter.

    `since` and `until` are inclusive, `date` is a day, month or year (`2021`, `2021-05`). Of
    `meta`, every key must fit, in any of the values given for it, whatever the case.
    """

    since: str = ""
    until: str = ""
    date: str = ""
    meta: Mapping[str, tuple[str, ...]] | None = None

    def __bool__(self) -> bool:
        return bool(self.since or self.until or self.date or self.meta)


@dataclass(frozen=True)
class Profile:
    """One document. `vector` is the mean of its chunks', normalised, in 8 bits a number."""

    source: str
    document: str
    title: str
    facts: Mapping[str, str]
    years: tuple[int, ...]
    words: tuple[str, ...]
    vector: bytes

    @cached_property
    def names(self) -> tuple[tuple[str, ...], ...]:
        """Give the words by which a question may name it: of title, file name and company.

        Where the file's name tells no more than a period or a type, its folder's tells the rest.
        """
        stem, company = stem_of(self.source), self.facts.get("company", "")
        if not company and names_nothing(stem):
            company = subject_of(self.facts.get(FOLDER, ""))
        short = {self.facts.get("ticker", ""), *map(initials_of, (bare(stem), company))} - {""}
        told = (naming(self.title), naming(bare(stem)), naming(company))
        return (*filter(None, told), *((each,) for each in sorted(short)))

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return {
            "document": self.document,
            "title": self.title,
            "facts": dict(self.facts),
            "years": list(self.years),
            "words": " ".join(self.words),
            "vector": base64.b85encode(self.vector).decode("ascii"),
        }

    @classmethod
    def from_dict(cls, source: str, value: Mapping[str, Any]) -> "Profile":
        """Read what `to_dict` wrote."""
        return cls(
            source=source,
            document=value["document"],
            title=value["title"],
            facts=value["facts"],
            years=tuple(value["years"]),
            words=tuple(value["words"].split()),
            vector=base64.b85decode(value["vector"]),
        )


def make_profile(
    rows: Sequence[tuple[Chunk, np.ndarray]],
    *,
    metadata: Mapping[str, str],
    sections: Iterable[str] = (),
) -> Profile:
    """Make the profile of a document of its chunks with their vectors, at least one."""
    ordered = sorted(rows, key=lambda row: (row[0].page, row[0].start))
    first = ordered[0][0]
    opening = " ".join(chunk.text for chunk, _ in ordered[:3] if chunk.page == first.page)
    facts, years = gather(metadata, source=first.source, title=first.title, opening=opening)
    if (facts.get("type") in REPORTS or "quarter" in facts) and "company" not in facts:
        facts |= {"company": of} if (of := subject_of(facts.get(FOLDER, ""))) else {}
    told = [stem_of(first.source), first.title, *facts.values()]
    told += [*map(str, years), opening[:OPENING], *sections]
    words = dict.fromkeys(word for text in told for _, _, word in word_spans(text))
    return Profile(
        source=first.source,
        document=first.document,
        title=first.title,
        facts=facts,
        years=years,
        words=tuple(islice(words, MOST_WORDS)),
        vector=_mean(ordered),
    )


def _mean(rows: Sequence[tuple[Chunk, np.ndarray]]) -> bytes:
    """Give the mean of chunks' vectors, normalised, in 8 bits a number."""
    mean = np.mean([vector for _, vector in rows], axis=0)
    mean = mean / max(float(np.linalg.norm(mean)), 1e-9)
    return np.round(mean * _SCALE).astype(np.int8).tobytes()


def refresh_profiles(
    store: Store, card: CollectionCard, metadata: Mapping[str, Mapping[str, str]]
) -> None:
    """Bring the note of the profiles up to date: only new and changed documents are read.

    `metadata` is what the files of this machine say of themselves, by source.
    """
    note = store.note(NOTE) or {}
    before = note.get("documents", {}) if note.get("made") == _MADE else {}
    now: dict[str, dict[str, Any]] = {}
    for entry in card.entries:
        known = before.get(entry.source)
        fresh = metadata.get(entry.source, {})
        if known and known["document"] == entry.document and known["facts"].items() >= _same(fresh):
            now[entry.source] = known
        elif rows := store.rows(entry.source):
            profile = make_profile(rows, metadata=fresh, sections=entry.sections)
            now[entry.source] = profile.to_dict()
    if now != before:
        store.put_note(NOTE, {"made": _MADE, "documents": now})


def renew_profiles(before: Store, now: Store) -> None:
    """Take the profiles over to a store of the same documents under other vectors.

    What their files say of themselves may be known from there alone, as on another machine.
    """
    note = before.note(NOTE) or {}
    documents = {}
    for source, known in note.get("documents", {}).items():
        if rows := now.rows(source):
            profile = replace(Profile.from_dict(source, known), vector=_mean(rows))
            documents[source] = profile.to_dict()
    now.put_note(NOTE, {**note, "documents": documents})


def merge_profiles(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Join the notes of two stores' profiles; of what both know, ours holds."""
    documents = {**theirs.get("documents", {}), **ours.get("documents", {})}
    return {**ours, "documents": documents}


def _same(fresh: Mapping[str, str]) -> Any:
    """Give the part of a file's metadata that its facts hold as it stands."""
    return {key: value for key, value in fresh.items() if key != "date"}.items()


class Profiles:
    """All profiles of a collection, searched and filtered in memory."""

    def __init__(self, profiles: Sequence[Profile]) -> None:
        self.all = list(profiles)
        self._namesakes: dict[str, set[int]] = {}
        for place, profile in enumerate(self.all):
            for word in {word for name in profile.names for word in name}:
                self._namesakes.setdefault(word, set()).add(place)

    @classmethod
    def of(cls, store: Store) -> "Profiles":
        """Read the profiles of a collection; none where it was made before there were any."""
        note = (store.note(NOTE) or {}).get("documents", {})
        return cls([Profile.from_dict(source, value) for source, value in note.items()])

    def __len__(self) -> int:
        return len(self.all)

    def select(self, only: Only) -> list[str]:
        """List the sources that a filter lets through; raise UnknownFilterError for a bad one."""
        first, last = _ends(only)
        known = {key for profile in self.all for key in profile.facts}
        for key in only.meta or ():
            if key.lower() not in known:
                told = f"known are {', '.join(sorted(known))}" if known else "none is known"
                raise UnknownFilterError(f"No document has metadata {key!r}: {told}.")
        return [each.source for each in self.all if _fits(each, only, first, last)]

    def facts_of(self, source: str) -> dict[str, str]:
        """Give the facts of one document, with its years; nothing where none are known."""
        found = next((each for each in self.all if each.source == source), None)
        if found is None:
            return {}
        years = {"years": " ".join(map(str, found.years))} if found.years else {}
        return dict(found.facts) | years

    def rarity(self, word: str) -> float:
        """Weigh a word of names by how few documents bear it: 0 where all do, 1 where one does."""
        count = len(self._namesakes.get(word, ()))
        if len(self.all) < 2 or not count:
            return 0.0
        return math.log(len(self.all) / count) / math.log(len(self.all))

    def bearing(self, words: Mapping[str, bool]) -> dict[int, dict[str, float]]:
        """Find the documents whose names hold some of the words: place to words, each with how far.

        A longer word of a name is held in part where it begins with a capitalised word (`MGM` of
        `MGMRESORTS`); such words have a true value in the mapping.
        """
        held: dict[int, dict[str, float]] = {}
        for word, capital in words.items():
            for name in {word, *(self._longer(word) if capital else ())}:
                far = 1.0 if name == word else _BEGUN + (1 - _BEGUN) * len(word) / len(name)
                for place in self._namesakes.get(name, ()):
                    mine = held.setdefault(place, {})
                    mine[name] = max(far, mine.get(name, 0.0))
        return held

    def is_name(self, word: str, *, begun: bool) -> bool:
        """Tell whether a document's name has this word, or one that begins so."""
        return word in self._namesakes or (begun and bool(self._longer(word)))

    def is_beginning(self, words: Sequence[str]) -> bool:
        """Tell whether a name of several words begins with these, or is made of them."""
        return tuple(words) in self._beginnings

    def beginning_alike(self, words: Sequence[str]) -> int:
        """Count the names that begin with these words."""
        return len(self._beginnings.get(tuple(words), ()))

    def likeness(self, vector: np.ndarray) -> np.ndarray:
        """Give each document's cosine with a vector, roughly, shape (documents,).

        It is 0 where the vector is of another length: the collection is being embedded anew.
        """
        if vector.shape != self._vectors.shape[1:]:
            return np.zeros(len(self.all), dtype=np.float32)
        result: np.ndarray = self._vectors @ vector.astype(np.float32)
        return result

    def wording(self, words: Iterable[str]) -> np.ndarray:
        """Give the idf-weighted share of the words that each profile holds, shape (documents,)."""
        scores = np.zeros(len(self.all), dtype=np.float32)
        total = 0.0
        for word in set(words):
            places = self._postings.get(word, [])
            weight = math.log(1 + (len(self.all) - len(places) + 0.5) / (len(places) + 0.5))
            total += weight
            scores[places] += weight
        return scores / total if total else scores

    def _longer(self, word: str) -> list[str]:
        if len(word) < _SHORTEST_PREFIX or word.isupper():
            return []
        start = bisect_left(self._sorted, word)
        end = bisect_left(self._sorted, f"{word}\uffff")
        return self._sorted[start:end]

    @cached_property
    def _beginnings(self) -> dict[tuple[str, ...], set[tuple[str, ...]]]:
        found: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
        for name in {name for profile in self.all for name in profile.names}:
            for words in range(1, len(name) + 1):
                found.setdefault(name[:words], set()).add(name)
        return found

    @cached_property
    def _sorted(self) -> list[str]:
        return sorted(self._namesakes)

    @cached_property
    def _vectors(self) -> np.ndarray:
        rows = [np.frombuffer(each.vector, dtype=np.int8) for each in self.all]
        return np.stack(rows).astype(np.float32) / _SCALE

    @cached_property
    def _postings(self) -> dict[str, list[int]]:
        postings: dict[str, list[int]] = {}
        for place, profile in enumerate(self.all):
            for word in profile.words:
                postings.setdefault(word, []).append(place)
        return postings


def _ends(only: Only) -> tuple[str, str]:
    """Give the first and the last day that a filter lets through."""
    spans = {}
    for name in ("since", "until", "date"):
        if text := getattr(only, name):
            spans[name] = span_of(text)
            if spans[name] is None:
                raise UnknownFilterError(f"{text!r} is no date: write 2021, 2021-05 or 2021-05-07.")
    since, until, day = (spans.get(name) for name in ("since", "until", "date"))
    first = max(since.first if since else "", day.first if day else "")
    last = min(until.last if until else "9999", day.last if day else "9999")
    return first, last


def _fits(profile: Profile, only: Only, first: str, last: str) -> bool:
    for key, values in (only.meta or {}).items():
        held = profile.facts.get(key.lower(), "").casefold()
        if not any(_holds(held, value.casefold()) for value in values):
            return False
    if not (only.since or only.until or only.date):
        return True
    dated = profile.facts.get("date", "")
    spans = [span_of(dated)] if dated else []
    spans += [span_of(str(year)) for year in profile.years]
    return any(span and span.first <= last and span.last >= first for span in spans)


def _holds(held: str, value: str) -> bool:
    """Tell whether a fact is the value, or a list or a sentence that has all of its words."""
    return held == value or (bool(held) and content_words(value) <= content_words(held))
