"""Providers: the web searches to choose from.

provider = choose_provider(settings)  # None when web = "off"
results = provider.search("who won the match today", limit=3)
"""

from agentlab.settings import Settings
from agentlab.tools.providers.base import Provider, WebResult

__all__ = ["Provider", "WebResult", "choose_provider"]


def choose_provider(settings: Settings) -> Provider | None:
    """Build the provider that the settings name; None for "off".

    "auto" takes the first whose key is set (SerpAPI, Serper, Tavily), else ddgs. A named
    provider without its key raises SearchKeyError.
    """
    match _first_with_a_key(settings) if settings.web == "auto" else settings.web:
        case "serpapi":
            from agentlab.tools.providers.serpapi import SerpApi

            return SerpApi(settings.serpapi_api_key or "")
        case "serper":
            from agentlab.tools.providers.http_api import Serper

            return Serper(settings.serper_api_key or "")
        case "tavily":
            from agentlab.tools.providers.http_api import Tavily

            return Tavily(settings.tavily_api_key or "")
        case "ddgs":
            from agentlab.tools.providers.keyless import Ddgs

            return Ddgs()
        case "recorded" if settings.recorded:
            from agentlab.tools.providers.recorded import Recorded

            return Recorded.from_file(settings.recorded)
    return None


def _first_with_a_key(settings: Settings) -> str:
    keys = {
        "serpapi": settings.serpapi_api_key,
        "serper": settings.serper_api_key,
        "tavily": settings.tavily_api_key,
    }
    return next((name for name, key in keys.items() if key and key.strip()), "ddgs")
