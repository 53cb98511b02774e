"""Source book: one numbering for the pages and web results of one question."""

import re
import threading
from collections.abc import Hashable, Sequence
from dataclasses import replace

from agentlab.answer import Source
from agentlab.tools.providers.base import WebResult
from ingest.documents import Chunk
from ingest.reading import MarkedPassage

_CITED = re.compile(r"\[(\d+)\]")


class SourceBook:
    """Numbers sources from 1 as they are found; what is found again keeps its number.

    A web result counts as found again only with the same text, since its citations are checked
    against that text. Safe to use from the threads in which tools run.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: dict[Hashable, int] = {}
        self._sources: dict[int, Source] = {}

    @property
    def sources(self) -> tuple[Source, ...]:
        """List the sources in the order of their numbers."""
        with self._lock:
            return tuple(self._sources.values())

    def clear(self) -> None:
        """Forget all sources: the next question counts from 1 again."""
        with self._lock:
            self._numbers.clear()
            self._sources.clear()

    def add_page(self, chunk: Chunk, passage: MarkedPassage) -> Source:
        """Number a passage of a page; `passage` is what the model sees of it."""
        with self._lock:
            return self._keep(
                Source(
                    number=self._number(("page", chunk.id)),
                    kind="page",
                    title=chunk.title,
                    text=chunk.text,
                    shown=passage.shown,
                    sentences=passage.sentences,
                    best=passage.best_sentence,
                    likely=passage.likely,
                    rival=passage.rival,
                    listed=passage.listed,
                    score=passage.score,
                    location=chunk.source,
                    heading=chunk.heading,
                    page=chunk.page,
                    page_label=chunk.page_label,
                    start=chunk.start,
                    end=chunk.end,
                )
            )

    def add_web(self, found: WebResult, passage: MarkedPassage) -> Source:
        """Number a web result; `passage` is what the model sees of its text."""
        with self._lock:
            return self._keep(
                Source(
                    number=self._number(("web", found.url, found.snippet)),
                    kind="web",
                    title=found.title,
                    text=found.snippet,
                    shown=passage.shown,
                    sentences=passage.sentences,
                    best=passage.best_sentence,
                    likely=passage.likely,
                    rival=passage.rival,
                    listed=passage.listed,
                    score=passage.score,
                    location=found.url,
                    recorded=found.recorded,
                )
            )

    def _number(self, key: Hashable) -> int:
        return self._numbers.setdefault(key, len(self._numbers) + 1)

    def _keep(self, source: Source) -> Source:
        self._sources[source.number] = source
        return source


def numbered_apart(
    found: Sequence[Source], text: str, known: Sequence[Source]
) -> tuple[tuple[Source, ...], str]:
    """Give sources whose numbers others have a number of their own, in the text that cites too.

    Tools of one's own number their sources without knowing of the agent's searches.
    """
    holders = {source.number: source for source in known}
    numbers = {_place(source): source.number for source in known}
    given: dict[int, int] = {}
    for source in found:
        holder = holders.setdefault(source.number, source)
        if _place(holder) != _place(source):
            free = max(*holders, *(each.number for each in found)) + 1
            given[source.number] = numbers.get(_place(source), free)
            holders.setdefault(given[source.number], source)
    if not given:
        return tuple(found), text
    moved = tuple(replace(each, number=given.get(each.number, each.number)) for each in found)
    return moved, _CITED.sub(lambda cited: f"[{given.get(int(cited[1]), cited[1])}]", text)


def _place(source: Source) -> Hashable:
    return source.location, source.page, source.start, source.end, source.text
