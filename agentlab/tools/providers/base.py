"""Provider: what searches the web, and the results it gives."""

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

TIMEOUT_S = 20.0
_LONGEST_SNIPPET = 1500
_LONGEST_TITLE = 150
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,200}>")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff]")
# Chat markup in a page would otherwise open a turn of its own, and » or › would pose as our marks.
_MARKUP = str.maketrans({"»": ">", "›": ">", "‹": "<", "«": "<"})


@dataclass(frozen=True)
class WebResult:
    """One result: its date as the provider wrote it; `recorded` is set for results not live."""

    title: str
    url: str
    snippet: str
    date: str | None = None
    recorded: str | None = None

    @property
    def site(self) -> str:
        """Name the site: the host without www."""
        return (urlsplit(self.url).hostname or "").removeprefix("www.")


class Provider(Protocol):
    """What answers a query with results; every failure is a SearchError."""

    @property
    def name(self) -> str:
        """Name the provider as the person knows it."""

    def search(self, query: str, *, limit: int) -> list[WebResult]:
        """Find at most `limit` results, best first; an empty list when nothing matches."""


def clean(text: object, *, longest: int = _LONGEST_SNIPPET) -> str:
    """Make a line of plain text: no tags, entities, control characters or chat markup.

    A text over `longest` characters is cut at a word, with an ellipsis.
    """
    if not isinstance(text, str | int | float) or isinstance(text, bool):
        return ""
    # The snippet is cut before the patterns run: a provider may send megabytes.
    plain = html.unescape(_TAG.sub("", str(text)[: 20 * longest]))
    plain = _CONTROL.sub(" ", plain).translate(_MARKUP)
    plain = plain.replace("<|", "< |").replace("|>", "| >")
    plain = re.sub(r"</?tool_(?:call|response)>", "", plain)
    plain = " ".join(plain.split())
    if len(plain) <= longest:
        return plain
    return plain[:longest].rsplit(" ", 1)[0] + " …"


def result(
    title: object, url: object, snippet: object, date: object = None, recorded: str | None = None
) -> WebResult | None:
    """Build a clean result, or None when it has no web address or nothing to read."""
    address = url.strip() if isinstance(url, str) else ""
    text = clean(snippet)
    try:
        parts = urlsplit(address)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable or not text:
        return None
    found = WebResult("", address, text, clean(date, longest=40) or None, recorded)
    name = clean(title, longest=_LONGEST_TITLE) or found.site
    return WebResult(name, found.url, found.snippet, found.date, found.recorded)


def distinct(results: Iterable[WebResult | None], limit: int) -> list[WebResult]:
    """Keep the first result of each address, at most `limit`."""
    kept: dict[str, WebResult] = {}
    for each in results:
        if each is not None:
            kept.setdefault(each.url, each)
    return list(kept.values())[:limit]


def items(value: Any) -> list[dict[str, Any]]:
    """Take the objects of a JSON list; anything else in its place is an empty list."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def item(value: Any) -> dict[str, Any]:
    """Take a JSON object; anything else in its place is an empty one."""
    return value if isinstance(value, dict) else {}
