"""The collection card: what a collection is about, in a few words for the agent and for people."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ingest.documents import Chunk
from ingest.stores.base import Store
from ingest.words import STOP

SECTIONS = 12
PHRASES = 8
KEPT_WORDS = 20_000

_WORD = re.compile(r"[^\W\d_]{3,}(?:[-'’][^\W\d_]+)*")
_NUMBERING = re.compile(
    r"^(?:chapter|section|appendix|part)?\s*(?:\d+(?:\.\d+)*|[A-Z](?=[.):\s]))?[.):]?\s+",
    re.IGNORECASE,
)
_VAGUE = """
    abstract according across although always among another appendix around available based cannot
    case cases chapter contents different document documents done either else even every example
    examples figure first following follows given gives good hence however including information
    introduction last least less like made make makes means need needed neither never new next note
    number one others otherwise overview page pages part per possible provide provided rather
    references required results second section see several show shown shows since still table take
    taken three thus two type types upon use used user uses using usually via want way well whether
    within without work yes yet
    aber als auch auf aus bei dann das dass dem den der des die dies diese durch ein eine einem
    einen einer eines falls für gibt gilt hat ist mit nach nicht oder sei sich sie sind und von
    werden wird zum zur avec dans est les pas pour que qui sur une con del las los para por una
"""
_STOP = STOP | frozenset(_VAGUE.split())


@dataclass(frozen=True)
class CardEntry:
    """One document of the card. `sections` are its headings, `phrases` its telling words."""

    title: str
    source: str
    pages: int
    chunks: int
    sections: tuple[str, ...]
    phrases: tuple[str, ...]
    document: str = ""

    def topics(self, count: int) -> list[str]:
        """Name at most so many topics: short sections first, then phrases that they leave out."""
        title = self.title.casefold()
        short = [section for section in self.sections if len(section.split()) <= 4]
        sections = [section for section in short if section.casefold() not in title]
        if len(sections) > count > 0:
            step = len(sections) / count
            sections = [sections[int(index * step)] for index in range(count)]
        said = f"{title} {' '.join(sections)}".casefold()
        fresh = [phrase for phrase in self.phrases if phrase not in said]
        return [
            topic[:1].lower() + topic[1:] if topic[1:2].islower() else topic
            for topic in sections + fresh
        ][:count]


@dataclass(frozen=True)
class CollectionCard:
    """What a collection holds. `phrases` tell what the documents have in common or in turn."""

    documents: int
    pages: int
    chunks: int
    entries: tuple[CardEntry, ...]
    phrases: tuple[str, ...]

    @property
    def titles(self) -> tuple[str, ...]:
        """Give the titles, in order."""
        return tuple(entry.title for entry in self.entries)

    @property
    def sections(self) -> tuple[str, ...]:
        """Give the sections of all documents, in order."""
        return tuple(section for entry in self.entries for section in entry.sections)

    def line(self, words: int = 60) -> str:
        """Say it in at most so many words: `2 documents: Travel Handbook (hotels, meals); ...`.

        Every document gets as many of its topics as fit; where not even the titles fit, the first
        ones stand, with the phrases of the whole collection.
        """
        if not self.entries:
            return "no documents"
        count = f"{self.documents} document{'' if self.documents == 1 else 's'}"
        titles = [_first_words(entry.title, 12) for entry in self.entries]
        for topics in range(8, -1, -1):
            parts = [
                _with_topics(title, entry.topics(topics))
                for title, entry in zip(titles, self.entries, strict=True)
            ]
            line = f"{count}: {'; '.join(parts)}"
            if len(line.split()) <= words:
                return line
        return self._among_them(count, titles, words)

    def _among_them(self, count: str, titles: Sequence[str], words: int) -> str:
        about = f" on {', '.join(self.phrases)}" if self.phrases else ""
        line = _first_words(f"{count}{about}", max(2, words // 2)).rstrip(",")
        joint = ", among them "
        for title in titles:
            longer = f"{line}{joint}{title}"
            if len(longer.split()) > words:
                break
            line, joint = longer, "; "
        return _first_words(line, words)

    def to_dict(self) -> dict[str, Any]:
        """Give the card as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "CollectionCard":
        """Read a card back from what `to_dict` gave."""
        entries = tuple(
            CardEntry(
                **{**each, "sections": tuple(each["sections"]), "phrases": tuple(each["phrases"])}
            )
            for each in value["entries"]
        )
        return cls(**{**value, "entries": entries, "phrases": tuple(value["phrases"])})


def build_card(store: Store) -> CollectionCard:
    """Read all chunks once and say what the collection is about."""
    tallies: dict[tuple[str, str], _Tally] = {}
    for chunk in store.chunks():
        key = (chunk.source, chunk.document)
        tallies.setdefault(key, _Tally(chunk.title)).add(chunk)
    spread = Counter(phrase for tally in tallies.values() for phrase in tally.counts)
    entries = tuple(
        CardEntry(
            title=tally.title,
            source=source,
            pages=len(tally.pages),
            chunks=tally.chunks,
            sections=tally.top_sections(),
            phrases=_telling(tally.counts, spread, len(tallies)),
            document=document,
        )
        for (source, document), tally in sorted(tallies.items())
    )
    return CollectionCard(
        documents=len(entries),
        pages=sum(entry.pages for entry in entries),
        chunks=sum(entry.chunks for entry in entries),
        entries=entries,
        phrases=_shared_phrases(tallies.values()),
    )


class _Tally:
    """Counts one document's words, pairs of words, pages and headings."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.pages: set[int] = set()
        self.chunks = 0
        self.counts: Counter[str] = Counter()
        self._headings: dict[str, int] = {}

    def add(self, chunk: Chunk) -> None:
        self.pages.add(chunk.page)
        self.chunks += 1
        if chunk.heading and chunk.heading != chunk.title:
            if chunk.heading not in self._headings:
                self.counts.update(dict.fromkeys(_phrases(chunk.heading), 2))
            self._headings[chunk.heading] = self._headings.get(chunk.heading, 0) + 1
        if len(self.counts) < KEPT_WORDS:
            self.counts.update(_phrases(chunk.text))
        else:
            self.counts.update(each for each in _phrases(chunk.text) if each in self.counts)

    def top_sections(self) -> tuple[str, ...]:
        """Give the headings that hold the most text, in the document's order."""
        names: dict[str, int] = {}
        for heading, chunks in self._headings.items():
            name = _NUMBERING.sub("", heading).strip()
            if name and name.casefold() not in _STOP:
                names[name] = names.get(name, 0) + chunks
        best = set(sorted(names, key=lambda name: -names[name])[:SECTIONS])
        return tuple(name for name in names if name in best)


def _phrases(text: str) -> list[str]:
    """List the words that say something, and the pairs of them that stand side by side."""
    found: list[str] = []
    previous = ""
    end = -1
    for match in _WORD.finditer(text):
        word = match.group().casefold()
        if word in _STOP:
            previous = ""
            continue
        found.append(word)
        if previous and match.start() == end + 1:
            found.append(f"{previous} {word}")
        previous, end = word, match.end()
    return found


def _telling(counts: Counter[str], spread: Mapping[str, int], documents: int) -> tuple[str, ...]:
    """Choose the phrases that are frequent here and rare in the other documents."""

    def weight(phrase: str) -> float:
        rarity = math.log(1 + documents / spread[phrase])
        pair = 1.6 if " " in phrase else 1.0
        return math.log1p(counts[phrase]) * rarity * pair

    frequent = [phrase for phrase, count in counts.items() if count > 1] or list(counts)
    return _distinct(sorted(frequent, key=lambda phrase: (-weight(phrase), phrase)))


def _shared_phrases(tallies: Iterable[_Tally]) -> tuple[str, ...]:
    """Choose the phrases that most documents have, each document with one vote for its best."""
    votes: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for tally in tallies:
        best = dict(tally.counts.most_common(40))
        votes.update(best.keys())
        counts.update(best)

    def weight(phrase: str) -> float:
        return votes[phrase] * (1.6 if " " in phrase else 1.0)

    return _distinct(sorted(votes, key=lambda each: (-weight(each), -counts[each], each)))


def _distinct(phrases: Iterable[str]) -> tuple[str, ...]:
    """Keep the first phrases that share no word with one already kept."""
    kept: list[str] = []
    seen: set[str] = set()
    for phrase in phrases:
        stems = {word.rstrip("s") for word in phrase.split()}
        if not stems & seen:
            kept.append(phrase)
            seen |= stems
        if len(kept) == PHRASES:
            break
    return tuple(kept)


def _with_topics(title: str, topics: Sequence[str]) -> str:
    return f"{title} ({', '.join(topics)})" if topics else title


def _first_words(text: str, words: int) -> str:
    return " ".join(text.split()[:words])
