"""SerpAPI: Google's results through the google-search-results client."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from agentlab.tools.errors import SearchError
from agentlab.tools.providers.base import TIMEOUT_S, WebResult, distinct, item, items, result
from agentlab.tools.providers.redaction import hidden_from_logs
from agentlab.tools.providers.responses import Service

SERVICE = Service("SerpAPI", "SERPAPI_API_KEY", "https://serpapi.com/manage-api-key")
_NO_RESULTS = "hasn't returned any results"


@dataclass(frozen=True)
class SerpApi:
    """Google through SerpAPI. The key travels in the URL: it is kept out of errors and logs."""

    key: str = field(repr=False)
    timeout_s: float = TIMEOUT_S
    base_url: str = "https://serpapi.com"
    name: str = "SerpAPI"

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", SERVICE.checked(self.key))

    def search(self, query: str, *, limit: int) -> list[WebResult]:
        """Find results: Google's answer box first where there is one."""
        status, body = self._fetch(query)
        data = SERVICE.read(status, body, key=self.key, harmless=_NO_RESULTS)
        return distinct(_results(data), limit)

    def _fetch(self, query: str) -> tuple[int, str]:
        import requests
        from serpapi import GoogleSearch

        # A new object each time: the client writes into its parameters.
        client = GoogleSearch({"q": query, "api_key": self.key, "output": "json", "hl": "en"})
        client.BACKEND = self.base_url
        client.timeout = self.timeout_s  # its own default is 60,000 s
        failure: SearchError
        try:
            # get_dict() would lose the status and fail on a page of HTML.
            with hidden_from_logs(self.key, "urllib3.connectionpool", "urllib3.util.retry"):
                response = client.get_response()
                return response.status_code, response.content.decode("utf-8", "replace")
        except requests.Timeout:
            failure = SERVICE.slow(self.timeout_s)
        except (requests.RequestException, OSError) as error:
            failure = SERVICE.unreachable(error)
        # Raised out here, so that not even its context holds the URL with the key.
        raise failure


def _results(data: dict[str, Any]) -> Iterator[WebResult | None]:
    box = item(data.get("answer_box"))
    said = [box.get("answer"), box.get("result"), box.get("snippet")]
    yield result(box.get("title"), box.get("link"), _joined(said), box.get("date"))
    graph = item(data.get("knowledge_graph"))
    source = item(graph.get("source"))
    address = source.get("link") or graph.get("website")
    yield result(graph.get("title"), address, graph.get("description"))
    for each in items(data.get("organic_results")):
        yield result(each.get("title"), each.get("link"), each.get("snippet"), each.get("date"))
    for each in items(data.get("top_stories")) + items(data.get("news_results")):
        snippet = each.get("snippet") or each.get("title")
        yield result(each.get("title"), each.get("link"), snippet, each.get("date"))


def _joined(parts: list[Any]) -> str:
    return ". ".join(dict.fromkeys(str(part).rstrip(". ") for part in parts if part))
