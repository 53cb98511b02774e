"""Lists: what belongs together where a question asks for several things.

A reader finds one item. That the whole list is meant, the question's grammar tells, and how far
the reader finds the answer from the line above the list, which is about the whole of it.
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ingest.sentences import ITEM_MARKS, begins_item, one_line

_STOP = re.compile(r"[.!?][\"'”’)\]]*$")
_SENTENCE_BELOW = re.compile(r"\s*\n\s*(?=[A-Z])")
_FARTHEST = 3
"""How many sentences an item may go on for behind its first."""
_MOST_BARE = 12
"""How many lines without a mark are taken for items at most."""
_PLURAL = (
    r"(?:(?!(?:this|its|is|was|does|has|less|process|address|class)\b)\w+s"
    r"|criteria|data|people|equipment|information|documentation|clothing|luggage)"
)
_ASKS_FOR_ONE = re.compile(
    r"\bhow (?!(?:do|does|to|can|should|is|are|did|was|were|must|may)\b)\w+|\bwhere\b"
    rf"|\bwhen (?:is|was|did|does)\b|\b(?:what|which) (?!{_PLURAL}\b)\w+ (?:is|was|does|has)\b",
    re.IGNORECASE,
)
_ASKS_FOR_SEVERAL = re.compile(
    rf"^(?:list|name|steps?)\b|\b(?:what|which)(?: \w+){{0,2}}? {_PLURAL}\b"
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
    """A list of a passage: its text, from the sentence above it on, and its items."""

    quote: str
    items: tuple[str, ...]


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
    best = float(scores.max())
    for place in sorted(range(len(spans)), key=lambda at: -scores[at]):
        if scores[place] < best and not (several and best - scores[place] < torn):
            break
        items = items_at(text, spans, place)
        if not items and several and _is_line(text, spans[place]):
            items = _only_list(text, spans)
        if items:
            above = next(at for at, span in enumerate(spans) if span[0] == items[0][0]) - 1
            far = best - scores[above] > (_NEAR if several else _NEARER)
            announces = several and place <= above
            if above < 0 or (far and not announces):
                return None
            return _found(text, spans[above][0], items)
    return None


def _only_list(text: str, spans: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Give the one list that a text has; () where it has none, or several."""
    lists = {items_at(text, spans, place) for place in range(len(spans))} - {()}
    return lists.pop() if len(lists) == 1 else ()


def _found(text: str, start: int, items: Sequence[tuple[int, int]]) -> FoundList:
    quote = one_line(text[start : items[-1][1]])
    return FoundList(quote, tuple(one_line(text[slice(*item)]) for item in items))


def items_at(
    text: str, spans: Sequence[tuple[int, int]], place: int
) -> tuple[tuple[int, int], ...]:
    """Give the items of the list in which a text's sentence stands or which it announces.

    Items begin with a bullet, a number or a letter; below a line that ends with a colon they may
    also be bare lines. () where there are not two, and where one announces a list of its own, as a
    paragraph of a statute does.
    """
    announced = _announced(text, spans, place)
    first = announced or _item_start(text, spans, place)
    mark = next((each for each in ITEM_MARKS if each.match(text, spans[first][0])), None)
    if mark is None:
        found = _bare(text, spans, first - 1 if announced else place)
    else:
        back = _marked(text, spans, range(first - 1, -1, -1), mark)
        onward = _marked(text, spans, range(first + 1, len(spans)), mark)
        found = [*reversed(back), first, *onward]
    if len(found) < 2:
        return ()
    ends = [spans[after - 1][1] for _, after in pairwise(found)]
    ends.append(_end_of_last(text, spans, found))
    items = tuple((spans[at][0], end) for at, end in zip(found, ends, strict=True))
    return () if any(_ends_with_colon(text, item) for item in items) else items


def _announced(text: str, spans: Sequence[tuple[int, int]], place: int) -> int | None:
    """Give the first item of the list that a sentence announces.

    It ends with a colon, or stands right above the items and is none; a heading may have such a
    sentence below it.
    """
    last = len(spans) - 1
    heads = _is_line(text, spans[place]) and not (place and _is_line(text, spans[place - 1]))
    if place < last and heads and _ends_with_colon(text, spans[place + 1]):
        place += 1
    if place == last or _begins_item(text, spans[place]):
        return None
    announces = _ends_with_colon(text, spans[place]) or _begins_item(text, spans[place + 1])
    within = place and _begins_item(text, spans[_item_start(text, spans, place)])
    return place + 1 if announces and not within else None


def _sentence(text: str, span: tuple[int, int]) -> str:
    return text[slice(*span)]


def _ends_with_colon(text: str, span: tuple[int, int]) -> bool:
    return _sentence(text, span).endswith(":")


def _begins_item(text: str, span: tuple[int, int]) -> bool:
    return begins_item(_sentence(text, span))


def _is_line(text: str, span: tuple[int, int]) -> bool:
    """Tell whether a sentence is a line, as a heading or a bare item is: it ends without a stop."""
    return _begins_a_line(text, span[0]) and not _STOP.search(_sentence(text, span))


def _item_start(text: str, spans: Sequence[tuple[int, int]], place: int) -> int:
    """Give the sentence that begins the line on which a sentence begins."""
    while place and not _begins_a_line(text, spans[place][0]):
        place -= 1
    return place


def _end_of_last(text: str, spans: Sequence[tuple[int, int]], items: Sequence[int]) -> int:
    """Give the end of the last item, below which prose may go on.

    Behind its first sentence it has no more on its line than another item has; where the others
    end without a full stop, it ends before a line that begins a sentence.
    """
    last = items[-1]
    start, end = spans[last]
    if not _STOP.search(_sentence(text, spans[items[-2]])):
        below = _SENTENCE_BELOW.search(text, start, end)
        return below.start() if below else end
    most = max(after - at for at, after in pairwise(items)) - 1
    rest = itertools.takewhile(lambda each: not _begins_a_line(text, each[0]), spans[last + 1 :])
    return max((each[1] for each in itertools.islice(rest, most)), default=end)


def _marked(
    text: str, spans: Sequence[tuple[int, int]], places: Sequence[int], mark: re.Pattern[str]
) -> list[int]:
    """Follow items of one kind, past what goes on within them, up to another list."""
    found: list[int] = []
    beside = 0
    for at in places:
        if mark.match(text, spans[at][0]):
            found.append(at)
            beside = 0
            continue
        beside += 1
        if (
            beside == _FARTHEST
            or _is_line(text, spans[at])
            or _after_blank_line(text, spans[at][0])
        ):
            break
    return found


def _bare(text: str, spans: Sequence[tuple[int, int]], place: int) -> list[int]:
    """Follow the lines below one that ends with a colon, up to the first that is a sentence.

    A full stop may end the last item, where the one before it goes on or it begins in lower case.
    """
    above = range(place, max(-1, place - _MOST_BARE), -1)
    head = next((at for at in above if _ends_with_colon(text, spans[at])), None)
    if head is None:
        return []
    found: list[int] = []
    for at in range(head + 1, min(len(spans), head + 1 + _MOST_BARE)):
        line = _sentence(text, spans[at])
        if begins_item(line) or line.endswith(":") or not _begins_a_line(text, spans[at][0]):
            break
        stops = bool(_STOP.search(line))
        before = _sentence(text, spans[found[-1]]) if found else ""
        if not stops or before.endswith((",", ";")) or (before and line[0].islower()):
            found.append(at)
        if stops:
            break
    return found if place == head or place in found else []


def _after_blank_line(text: str, start: int) -> bool:
    return text[len(text[:start].rstrip()) : start].count("\n") > 1


def _begins_a_line(text: str, start: int) -> bool:
    return not text[text.rfind("\n", 0, start) + 1 : start].strip()
