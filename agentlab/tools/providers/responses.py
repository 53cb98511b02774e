"""Responses: what a search service answered over HTTP, read or turned into a typed error."""

import json
import re
from dataclasses import dataclass
from typing import Any

from agentlab.tools.errors import (
    RateLimitError,
    SearchError,
    SearchKeyError,
    SearchTimeoutError,
    SearchUnavailableError,
    SearchUnreadableError,
)
from agentlab.tools.providers.redaction import redacted

_INSTEAD = "try again or choose another with --web"
_REFUSED_STATUS = frozenset({401, 403})
_LIMIT_STATUS = frozenset({402, 429, 432, 433})
_REFUSED = re.compile(
    r"(?:invalid|missing|incorrect|unauthorized).{0,40}key|unauthorized", re.IGNORECASE
)
_LIMIT = re.compile(
    r"run out of searches|rate limit|throughput|not enough credits|quota", re.IGNORECASE
)


@dataclass(frozen=True)
class Service:
    """A search service: its name, the variable that holds its key, and where keys are made."""

    name: str
    variable: str
    keys_at: str

    def checked(self, key: str) -> str:
        """Return the key without blanks around it; raise when there is none or it cannot be one."""
        key = key.strip()
        if not key:
            raise SearchKeyError(
                f"web search with {self.name} needs a key: set {self.variable} "
                f"(from {self.keys_at}), or choose another provider with --web"
            )
        # A client would put such a key into the text of its own error.
        if not key.isascii() or not key.isprintable() or " " in key:
            raise self.refused("it holds characters that no key has")
        return key

    def read(
        self, status: int, body: str, *, key: str, harmless: str | None = None
    ) -> dict[str, Any]:
        """Parse an answer's JSON object, or raise the error that its status or text stands for.

        An error text that holds `harmless` is none: some services report "no results" so.
        """
        if body.lstrip()[:1] == "<":
            raise SearchUnavailableError(
                f"the search provider {self.name} answered with an HTML error page ({status}); "
                f"{_INSTEAD}"
            )
        data = _parsed(body)
        detail = redacted(_detail(data), key)
        if harmless and harmless in detail:
            detail = ""
        error = self._error(status, detail)
        if error is not None:
            raise error
        if not isinstance(data, dict):
            raise SearchUnreadableError(
                f"the search provider {self.name} answered with something that is no search result "
                f"(status {status}, {len(body)} characters); {_INSTEAD}"
            )
        return data

    def refused(self, detail: str) -> SearchKeyError:
        """Build the error for a key that is refused."""
        return SearchKeyError(
            f"{self.name} refused the key in {self.variable} ({detail}); "
            f"check it at {self.keys_at}, or choose another provider with --web"
        )

    def limited(self, detail: str) -> RateLimitError:
        """Build the error for a rate or plan that is used up."""
        return RateLimitError(
            f"{self.name} allows no more searches for now ({detail}); "
            "wait, or choose another provider with --web"
        )

    def slow(self, timeout_s: float) -> SearchTimeoutError:
        """Build the error for an answer that did not come in time."""
        return SearchTimeoutError(
            f"the search provider {self.name} did not answer within {timeout_s:g} s; {_INSTEAD}"
        )

    def unreachable(self, cause: Exception) -> SearchUnavailableError:
        """Build the error for a connection that failed; the cause's own text may hold the key."""
        return SearchUnavailableError(
            f"the search provider {self.name} could not be reached ({type(cause).__name__}); "
            "check the network, or choose another provider with --web"
        )

    def _error(self, status: int, detail: str) -> SearchError | None:
        failed = status >= 400 or bool(detail)
        if not failed:
            return None
        said = detail or f"status {status}"
        if status in _LIMIT_STATUS or _LIMIT.search(detail):
            return self.limited(said)
        if status in _REFUSED_STATUS or _REFUSED.search(detail):
            return self.refused(said)
        if status >= 400:
            return SearchUnavailableError(
                f"the search provider {self.name} failed with status {status} ({said}); {_INSTEAD}"
            )
        return None


def _parsed(body: str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _detail(data: Any) -> str:
    """Find the words of an error, wherever the service puts them, as one short line."""
    if not isinstance(data, dict):
        return ""
    said = data.get("error") or data.get("message") or data.get("detail") or ""
    if isinstance(said, dict):
        said = said.get("error") or said.get("message") or ""
    return " ".join(str(said).split())[:160].rstrip(".")
