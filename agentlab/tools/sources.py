"""Source book: one numbering for the pages and web results of one question."""

import threading
from collections.abc import Hashable

from agentlab.answer import Source
from agentlab.tools.providers.base import WebResult
from ingest.documents import Chunk
from ingest.reading import MarkedPassage


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
