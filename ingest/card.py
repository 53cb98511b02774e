"""The collection card: what a collection is about, in a few words for the agent and for people.

A large collection is read whole for it only where a tenth of it has come or gone since the last
time: till then what is new is described beside what is known, so that the cost does not grow.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ingest.stores.base import Store, StoredDocument
from ingest.tallies import Tally, shared_phrases, telling

NOTE, SPREAD = "card", "card_spread"
SAMPLE = 5_000
"""The passages beyond which a card is not made anew for each change."""
_CHANGED = 0.1
_KEPT_PHRASES = 20_000


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


def refresh_card(store: Store, documents: Sequence[StoredDocument]) -> CollectionCard:
    """Bring the card up to date with the documents that are stored, and keep it."""
    card = _with_changes(store, documents)
    if card is None:
        tallies = _tallies(store)
        spread = _spread(tallies)
        card = _made(tallies, spread)
        common = {key: count for key, count in spread.most_common(_KEPT_PHRASES) if count > 1}
        store.put_note(SPREAD, {"changed": 0, "phrases": common})
    store.put_note(NOTE, card.to_dict())
    return card


def build_card(store: Store) -> CollectionCard:
    """Read all chunks once and say what the collection is about."""
    tallies = _tallies(store)
    return _made(tallies, _spread(tallies))


def _with_changes(store: Store, documents: Sequence[StoredDocument]) -> CollectionCard | None:
    """Give the card with what came and went; None where the collection is to be read whole."""
    value, kept = store.note(NOTE), store.note(SPREAD)
    total = sum(each.chunks for each in documents)
    if not value or not kept or total <= SAMPLE:
        return None
    before = CollectionCard.from_dict(value)
    known = {(each.source, each.document): each for each in before.entries}
    now = {(each.source, each.id): each.chunks for each in documents}
    gone = sum(each.chunks for key, each in known.items() if key not in now)
    fresh = {key: chunks for key, chunks in now.items() if key not in known}
    changed = kept["changed"] + gone + sum(fresh.values())
    if changed > _CHANGED * total:
        return None
    entries = [each for key, each in known.items() if key in now]
    for source, document in fresh:
        tally = Tally()
        for chunk, _ in store.rows(source):
            if chunk.document == document:
                tally.add(chunk)
        spread = Counter(kept["phrases"]) + Counter(tally.counts.keys())
        entries.append(_entry(source, document, tally, spread, len(now)))
    store.put_note(SPREAD, {**kept, "changed": changed})
    return _card(entries, before.phrases)


def _tallies(store: Store) -> dict[tuple[str, str], Tally]:
    tallies: dict[tuple[str, str], Tally] = {}
    for chunk in store.chunks():
        tallies.setdefault((chunk.source, chunk.document), Tally()).add(chunk)
    return tallies


def _spread(tallies: Mapping[Any, Tally]) -> Counter[str]:
    """Count the documents that have each phrase."""
    return Counter(phrase for tally in tallies.values() for phrase in tally.counts)


def _made(tallies: Mapping[tuple[str, str], Tally], spread: Mapping[str, int]) -> CollectionCard:
    entries = [_entry(*key, tally, spread, len(tallies)) for key, tally in tallies.items()]
    return _card(entries, shared_phrases(tallies.values()))


def _entry(
    source: str, document: str, tally: Tally, spread: Mapping[str, int], documents: int
) -> CardEntry:
    return CardEntry(
        title=tally.title,
        source=source,
        pages=len(tally.pages),
        chunks=tally.chunks,
        sections=tally.top_sections(),
        phrases=telling(tally.counts, spread, documents),
        document=document,
    )


def _card(entries: Iterable[CardEntry], phrases: tuple[str, ...]) -> CollectionCard:
    ordered = tuple(sorted(entries, key=lambda each: (each.source, each.document)))
    return CollectionCard(
        documents=len(ordered),
        pages=sum(entry.pages for entry in ordered),
        chunks=sum(entry.chunks for entry in ordered),
        entries=ordered,
        phrases=phrases,
    )


def _with_topics(title: str, topics: Sequence[str]) -> str:
    return f"{title} ({', '.join(topics)})" if topics else title


def _first_words(text: str, words: int) -> str:
    return " ".join(text.split()[:words])
