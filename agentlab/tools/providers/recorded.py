"""Recorded search: results kept in a file, for tests and demos without a network.

The file is JSON; `recorded` is the day on which the results were kept, for all searches or one:

    {"recorded": "2026-11-02",
     "searches": [{"query": "...",
                   "results": [{"title": "...", "url": "https://...", "snippet": "..."}]}]}
"""

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from agentlab.tools.errors import RecordedSearchError
from agentlab.tools.providers.base import WebResult, distinct, item, items, result
from ingest.words import content_words

_LEAST_OVERLAP = 0.4


@dataclass(frozen=True)
class RecordedSearch:
    """A query and the results it had on a day."""

    query: str
    words: frozenset[str]
    results: tuple[WebResult, ...]


@dataclass(frozen=True)
class Recorded:
    """Recorded searches, found by the words that their query shares with the one asked."""

    searches: tuple[RecordedSearch, ...]
    name: str = "recorded"

    @classmethod
    def from_file(cls, path: Path) -> "Recorded":
        """Read a file of recorded searches; raise RecordedSearchError when it is not one."""
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise RecordedSearchError(
                f"the recorded web results {path} cannot be read ({error.strerror}); "
                "correct `recorded` or choose another provider with --web"
            ) from error
        except ValueError as error:
            raise RecordedSearchError(
                f"the recorded web results {path} are not JSON ({error}); record them again"
            ) from error
        whole = item(data)
        searches = tuple(_search(each, whole, path) for each in items(whole.get("searches")))
        if not searches:
            raise RecordedSearchError(
                f"the recorded web results {path} hold no searches; "
                'expected {"recorded": "<date>", "searches": [{"query": ..., "results": [...]}]}'
            )
        return cls(searches)

    def search(self, query: str, *, limit: int) -> list[WebResult]:
        """Give the results of the recorded query nearest in words; none when no query is near."""
        asked = content_words(query)
        best = max(self.searches, key=lambda each: _overlap(asked, each.words))
        if _overlap(asked, best.words) < _LEAST_OVERLAP:
            return []
        return list(best.results[:limit])


def _overlap(one: set[str], other: frozenset[str]) -> float:
    """Measure shared words, 0 to 1 (Dice): all of both is 1."""
    return 2 * len(one & other) / ((len(one) + len(other)) or 1)


def _search(entry: dict[str, Any], data: dict[str, Any], path: Path) -> RecordedSearch:
    query = str(entry.get("query") or "")
    day = str(entry.get("recorded") or data.get("recorded") or "")
    try:
        date.fromisoformat(day)
    except ValueError:
        raise RecordedSearchError(
            f"the recorded web results {path} do not say when {query!r} was recorded ({day!r}); "
            'add "recorded": "YYYY-MM-DD"'
        ) from None
    found = (
        result(each.get("title"), each.get("url"), each.get("snippet"), each.get("date"), day)
        for each in items(entry.get("results"))
    )
    return RecordedSearch(query, frozenset(content_words(query)), tuple(distinct(found, 100)))
