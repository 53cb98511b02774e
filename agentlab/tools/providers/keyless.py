"""Keyless search: the ddgs package, which asks public search engines without a key."""

import time
from dataclasses import dataclass

from agentlab.tools.errors import (
    RateLimitError,
    SearchError,
    SearchTimeoutError,
    SearchUnavailableError,
)
from agentlab.tools.providers.base import WebResult, distinct, result

_KEYS = "set SERPAPI_API_KEY, SERPER_API_KEY or TAVILY_API_KEY for a service with a key"


@dataclass(frozen=True)
class Ddgs:
    """Public search engines through ddgs: unofficial, and limited without notice.

    `timeout_s` is for one engine; a search asks two or three in turn.
    """

    timeout_s: float = 8.0
    name: str = "ddgs"

    def search(self, query: str, *, limit: int) -> list[WebResult]:
        """Find results, merged from several engines."""
        from ddgs import DDGS
        from ddgs.exceptions import DDGSException

        started = time.monotonic()
        try:
            found = DDGS(timeout=max(1, round(self.timeout_s))).text(query, max_results=limit)
        except DDGSException as error:
            failure = self._failure(error, time.monotonic() - started)
        else:
            return distinct(
                (result(each.get("title"), each.get("href"), each.get("body")) for each in found),
                limit,
            )
        if failure is None:
            return []
        raise failure

    def _failure(self, error: Exception, seconds: float) -> SearchError | None:
        """Tell what ddgs means; None for no results, which it reports as an error.

        It wraps an engine's own error, and says "No results found" also when each was too slow.
        """
        from ddgs.exceptions import RatelimitException, TimeoutException

        cause = error.args[0] if error.args else None
        if isinstance(error, RatelimitException) or isinstance(cause, RatelimitException):
            return RateLimitError(f"ddgs allows no more searches for now; wait, or {_KEYS}")
        nothing = "No results found" in str(error)
        if isinstance(error, TimeoutException) or (nothing and seconds >= self.timeout_s):
            return SearchTimeoutError(
                f"ddgs got no answer within {self.timeout_s:g} s; try again, or {_KEYS}"
            )
        if nothing:
            return None
        return SearchUnavailableError(
            f"ddgs could reach no search engine; check the network, or {_KEYS}"
        )
