"""Lists: what belongs together where a question asks for several things.

A reader finds one item. That the whole list is meant, the question's grammar tells, and how far
the reader finds the answer from the line above the list, which is about the whole of it.
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ingest.sentences import ITEM_MARKS, begins_item, one_line

_STOP = re.compile(r"[.!?][\"'”’)\]]*$")
_SENTENCE_BELOW = re.compile(r"\s*\n\s*(?=[A-Z])")
_SENTENCE_BELOW_STOP = re.compile(r"(?<=[.!?])\s*\n\s*(?=[A-Z])")
_FARTHEST = 3
"""How many sentences an item may go on for behind its first."""
_MOST_BARE = 12
"""How many lines without a mark are taken for items at most."""
_PLURAL = (
    r"(?:(?!(?:this|its|is|was|does|has|less|process|address|class)\b)\w+s"
    r"|criteria|data|people|equipment|information|documentation|clothing|luggage)"
)
# After the verb in "which document holds the rates", but not after a plural.
_OBJECT = r"(?: (?:the|an?|my|our|your|its|this|that|these|those|any|no|all|each|it|them|me|us)\b)"
_ASKS_FOR_ONE = re.compile(
    r"\bhow (?!(?:do|does|to|can|should|is|are|did|was|were|must|may)\b)\w+|\bwhere\b"
    r"|\bwhen (?:is|was|did|does)\b|\bwhat (?:is|was) the (?:date|deadline|price|cost|fee)\b"
    rf"|\b(?:what|which) (?!{_PLURAL}\b)\w+ (?:is|was|does|did|has|had)\b",
    re.IGNORECASE,
)
_ASKS_FOR_SEVERAL = re.compile(
    rf"^(?:list|name|steps?)\b|\b(?:what|which)(?: \w+){{0,2}}? {_PLURAL}\b(?!{_OBJECT})"
    r"|\bwhat (?:are|were|do|should|must|can|may|can't|shall)\b"
    r"|\bwhat (?:is|was|does \w+(?: \w+)?) (?:not |also )?(?:cover|includ|allow|exclu|requir|need)"
    r"|^how (?:do|to|can|should)\b|^who (?!(?:is|was|leads?)\b)\w+"
    r"|\b(?:cases|conditions|circumstances|grounds|steps|what's new)\b",
    re.IGNORECASE,
)
_NEAR, _NEARER = 26.0, 14.0
"""How far the best sentence's score may lie above that of the line above the list where a question
asks for several things, and where its grammar does not tell."""


@dataclass(frozen=True)
class FoundList:
    """A list of a passage: its text, from the sentence above it on, and its items.

    `span` tells where it stands in the passage.
    """

    quote: str
    items: tuple[str, ...]
    span: tuple[int, int]


def asked_list(
    question: str, text: str, spans: Sequence[tuple[int, int]], scores: np.ndarray, torn: float
) -> FoundList | None:
    """Give the list of a text that answers, where a question asks for all of it.

    `spans` are the sentences and `scores` what a reader gives them. The list is the one in which
    the best sentence stands; where the question asks for several things, also one in which a
    sentence stands whose score is less than `torn` behind, and the only one of a passage whose
    heading comes first. None where the list has nothing above it.
    """
    if _ASKS_FOR_ONE.search(question):
        return None
    several = bool(_ASKS_FOR_SEVERAL.search(question))
    sentences = _Sentences(text, spans)
    best = float(scores.max())
    for place in sorted(range(len(spans)), key=lambda at: -scores[at]):
        if scores[place] < best and not (several and best - scores[place] < torn):
            break
        items = sentences.items(place)
        if not items and several and sentences.is_line(place):
            items = sentences.only_list()
        if items:
            above = items[0] - 1
            far = above < 0 or best - scores[above] > (_NEAR if several else _NEARER)
            announces = several and place <= above
            return sentences.found(items) if announces or not far else None
    return None


@dataclass(frozen=True)
class _Sentences:
    """The sentences of a text, each called by its place."""

    text: str
    spans: Sequence[tuple[int, int]]

    def items(self, place: int) -> tuple[int, ...]:
        """Give the first sentences of the items of the list that a sentence is in or announces.

        Items begin with a bullet, a number or a letter; below a line that ends with a colon they
        may also be bare lines. () where there are not two, and where one announces a list of its
        own, as a paragraph of a statute does.
        """
        announced = self._announced(place)
        first = announced or self._item_start(place)
        mark = next((each for each in ITEM_MARKS if each.match(self[first])), None)
        if mark is None:
            found = self._bare(first - 1 if announced else place)
        else:
            back = self._marked(range(first - 1, -1, -1), mark)
            onward = self._marked(range(first + 1, len(self.spans)), mark)
            found = [*reversed(back), first, *onward]
        if len(found) < 2:
            return ()
        nested = any(_announces(self.text[slice(*each)]) for each in self._bounds(found))
        return () if nested else tuple(found)

    def only_list(self) -> tuple[int, ...]:
        """Give the items of the one list that the text has; () where it has none, or several."""
        lists = {self.items(place) for place in range(len(self.spans))} - {()}
        return lists.pop() if len(lists) == 1 else ()

    def found(self, items: Sequence[int]) -> FoundList:
        """Write a list with the sentence above it."""
        bounds = self._bounds(items)
        start, end = self.spans[items[0] - 1][0], bounds[-1][1]
        written = tuple(one_line(self.text[a:b]) for a, b in bounds)
        return FoundList(one_line(self.text[start:end]), written, (start, end))

    def is_line(self, place: int) -> bool:
        """Tell whether a sentence is a line that ends without a stop: a heading or a bare item."""
        return self._begins_line(place) and not _STOP.search(self[place])

    def __getitem__(self, place: int) -> str:
        """Give a sentence."""
        return self.text[slice(*self.spans[place])]

    def _announced(self, place: int) -> int | None:
        """Give the first item of the list that a sentence announces.

        It ends with a colon, or stands right above the items and is none; a heading may have such a
        sentence below it.
        """
        last = len(self.spans) - 1
        heads = self.is_line(place) and not (place and self.is_line(place - 1))
        if place < last and heads and _announces(self[place + 1]):
            place += 1
        if place == last or begins_item(self[self._item_start(place)]):
            return None
        announces = _announces(self[place]) or begins_item(self[place + 1])
        return place + 1 if announces else None

    def _item_start(self, place: int) -> int:
        """Give the sentence that begins the item, or else the line, in which a sentence stands."""
        while place and not (self._begins_line(place) or begins_item(self[place])):
            place -= 1
        return place

    def _bounds(self, items: Sequence[int]) -> list[tuple[int, int]]:
        """Give where the items begin and end."""
        starts = [self.spans[at][0] for at in items]
        ends = [self.spans[after - 1][1] for after in items[1:]]
        return list(zip(starts, [*ends, self._end_of_last(items)], strict=True))

    def _end_of_last(self, items: Sequence[int]) -> int:
        """Give the end of the last item, below which prose may go on.

        It has what begins on its own lines, where it begins one, and ends before a line that begins
        a sentence: below a full stop, and below any line where the item before it ends without one.
        """
        last = items[-1]
        start, end = self.spans[last]
        stops = bool(_STOP.search(self[items[-2]]))
        below = (_SENTENCE_BELOW_STOP if stops else _SENTENCE_BELOW).search(self.text, start, end)
        if below or not stops or not self._begins_line(last):
            return below.start() if below else end
        behind = range(last + 1, len(self.spans))
        own = itertools.takewhile(lambda at: not self._begins_line(at), behind)
        return max((self.spans[at][1] for at in own), default=end)

    def _marked(self, places: Sequence[int], mark: re.Pattern[str]) -> list[int]:
        """Follow items of one kind, past what goes on within them, up to another list."""
        found: list[int] = []
        beside = 0
        for at in places:
            if mark.match(self[at]):
                found.append(at)
                beside = 0
                continue
            beside += 1
            if beside == _FARTHEST or self.is_line(at) or self._after_blank_line(at):
                break
        return found

    def _bare(self, place: int) -> list[int]:
        """Follow the lines below one that ends with a colon, up to the first that is a sentence.

        A full stop may end the last item, where the one before it goes on or it begins in lower
        case.
        """
        above = range(place, max(-1, place - _MOST_BARE), -1)
        head = next((at for at in above if _announces(self[at])), None)
        if head is None:
            return []
        found: list[int] = []
        for at in range(head + 1, min(len(self.spans), head + 1 + _MOST_BARE)):
            line = self[at]
            if begins_item(line) or _announces(line) or not self._begins_line(at):
                break
            stops = bool(_STOP.search(line))
            before = self[found[-1]] if found else ""
            if not stops or before.endswith((",", ";")) or (before and line[0].islower()):
                found.append(at)
            if stops:
                break
        return found if place == head or place in found else []

    def _before(self, place: int) -> str:
        """Give the space before a sentence."""
        end = self.spans[place - 1][1] if place else 0
        return self.text[end : self.spans[place][0]]

    def _begins_line(self, place: int) -> bool:
        return not place or "\n" in self._before(place)

    def _after_blank_line(self, place: int) -> bool:
        return self._before(place).count("\n") > 1


def _announces(sentence: str) -> bool:
    return sentence.endswith(":")
