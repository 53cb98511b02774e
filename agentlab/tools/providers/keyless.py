"""Keyless search: the ddgs package, which asks public search engines without a key."""

from dataclasses import dataclass

from agentlab.errors import RateLimitError, ToolError
from agentlab.tools.errors import SearchTimeoutError, SearchUnavailableError
from agentlab.tools.providers.base import TIMEOUT_S, WebResult, distinct, result

_KEYS = "set SERPAPI_API_KEY, SERPER_API_KEY or TAVILY_API_KEY for a service with a key"


@dataclass(frozen=True)
class Ddgs:
    """Public search engines through ddgs: unofficial, and limited without notice."""

    timeout_s: float = TIMEOUT_S
    name: str = "ddgs"

    def search(self, query: str, *, limit: int) -> list[WebResult]:
        """Find results, merged from several engines."""
        from ddgs import DDGS
        from ddgs.exceptions import DDGSException, RatelimitException, TimeoutException

        failure: ToolError
        try:
            found = DDGS(timeout=max(1, round(self.timeout_s))).text(query, max_results=limit)
        except RatelimitException:
            failure = RateLimitError(f"ddgs allows no more searches for now; wait, or {_KEYS}")
        except TimeoutException:
            failure = SearchTimeoutError(
                f"ddgs got no answer within {self.timeout_s:g} s; try again, or {_KEYS}"
            )
        except DDGSException as error:
            if "No results found" in str(error):
                return []
            failure = SearchUnavailableError(
                f"ddgs could reach no search engine; check the network, or {_KEYS}"
            )
        else:
            return distinct(
                (result(each.get("title"), each.get("href"), each.get("body")) for each in found),
                limit,
            )
        raise failure
