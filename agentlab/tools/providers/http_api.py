"""The HTTP APIs of Serper and Tavily: a JSON question posted, a JSON answer read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from agentlab.tools.errors import SearchError
from agentlab.tools.providers.base import TIMEOUT_S, WebResult, distinct, item, items, result
from agentlab.tools.providers.responses import Service

SERPER = Service("Serper", "SERPER_API_KEY", "https://serper.dev/api-keys")
TAVILY = Service("Tavily", "TAVILY_API_KEY", "https://app.tavily.com")


@dataclass(frozen=True)
class Serper:
    """Google through serper.dev."""

    key: str = field(repr=False)
    timeout_s: float = TIMEOUT_S
    base_url: str = "https://google.serper.dev"
    name: str = "Serper"

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", SERPER.checked(self.key))

    def search(self, query: str, *, limit: int) -> list[WebResult]:
        """Find results: Google's answer box first where there is one."""
        data = _post(
            SERPER,
            f"{self.base_url}/search",
            headers={"X-API-KEY": self.key},
            question={"q": query},
            key=self.key,
            timeout_s=self.timeout_s,
        )
        return distinct(_serper_results(data), limit)


@dataclass(frozen=True)
class Tavily:
    """The search of tavily.com, whose results hold extracts of the pages."""

    key: str = field(repr=False)
    timeout_s: float = TIMEOUT_S
    base_url: str = "https://api.tavily.com"
    name: str = "Tavily"

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", TAVILY.checked(self.key))

    def search(self, query: str, *, limit: int) -> list[WebResult]:
        """Find results by relevance."""
        data = _post(
            TAVILY,
            f"{self.base_url}/search",
            headers={"Authorization": f"Bearer {self.key}"},
            question={"query": query, "max_results": max(1, min(limit, 20))},
            key=self.key,
            timeout_s=self.timeout_s,
        )
        found = (
            result(
                each.get("title"), each.get("url"), each.get("content"), each.get("published_date")
            )
            for each in items(data.get("results"))
        )
        return distinct(found, limit)


def _post(
    service: Service,
    url: str,
    *,
    headers: Mapping[str, str],
    question: Mapping[str, Any],
    key: str,
    timeout_s: float,
) -> dict[str, Any]:
    failure: SearchError
    try:
        answer = httpx.post(url, headers=dict(headers), json=dict(question), timeout=timeout_s)
    except httpx.TimeoutException:
        failure = service.slow(timeout_s)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        failure = service.unreachable(error)
    else:
        return service.read(answer.status_code, answer.text, key=key)
    # Raised out here, so that its context holds no request and with it the key.
    raise failure


def _serper_results(data: dict[str, Any]) -> Iterator[WebResult | None]:
    box = item(data.get("answerBox"))
    said = [str(part).rstrip(". ") for part in (box.get("answer"), box.get("snippet")) if part]
    yield result(box.get("title"), box.get("link"), ". ".join(dict.fromkeys(said)), box.get("date"))
    graph = item(data.get("knowledgeGraph"))
    address = graph.get("descriptionLink") or graph.get("website")
    yield result(graph.get("title"), address, graph.get("description"))
    for each in items(data.get("organic")):
        yield result(each.get("title"), each.get("link"), each.get("snippet"), each.get("date"))
