"""Tallies: what the words and headings of a document say that it is about."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping

from ingest.documents import Chunk
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


class Tally:
    """Counts one document's words, pairs of words, pages, chunks and headings."""

    def __init__(self) -> None:
        self.title = ""
        self.pages: set[int] = set()
        self.chunks = 0
        self.counts: Counter[str] = Counter()
        self._headings: dict[str, int] = {}

    def add(self, chunk: Chunk) -> None:
        """Count a chunk."""
        self.title = self.title or chunk.title
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


def telling(counts: Counter[str], spread: Mapping[str, int], documents: int) -> tuple[str, ...]:
    """Choose the phrases that are frequent here and rare in the other documents."""

    def weight(phrase: str) -> float:
        rarity = math.log(1 + documents / spread[phrase])
        pair = 1.6 if " " in phrase else 1.0
        return math.log1p(counts[phrase]) * rarity * pair

    frequent = [phrase for phrase, count in counts.items() if count > 1] or list(counts)
    return _distinct(sorted(frequent, key=lambda phrase: (-weight(phrase), phrase)))


def shared_phrases(tallies: Iterable[Tally]) -> tuple[str, ...]:
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
