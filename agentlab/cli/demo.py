"""`agentlab demo`: three invented handbooks, read and asked about, in a home of their own."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from agentlab.cli import options
from agentlab.demo import HANDBOOKS, QUESTIONS, WEB

if TYPE_CHECKING:
    from agentlab.resolving import Resolved
    from agentlab.settings import Settings

EXAMPLES = """\b
Examples:
  agentlab demo
  agentlab demo --web ddgs                      live web results, without a key
  agentlab demo --base-url http://localhost:8000/v1 --model NAME
  agentlab demo < /dev/null                     three questions, without a terminal
"""
WEB_KEYS = ("serpapi_api_key", "serper_api_key", "tavily_api_key")


def demo(
    *,
    model: options.Model = None,
    engine: options.Engine = None,
    base_url: options.BaseUrl = None,
    web: options.Web = None,
    home: options.Home = None,
    config: options.Config = None,
) -> None:
    """Try it: read three small handbooks, then talk about them.

    Web searches come from a recording unless a key is set. Without a terminal on stdin, three
    questions are asked, and their answers shown with every step.
    """
    resolved = options.resolve(
        config, home=home, model=model, engine=engine, base_url=base_url, web=web
    )
    settings = demo_settings(resolved, home)
    prepare(settings)
    if sys.stdin.isatty():
        from agentlab.cli.chat import talk

        raise typer.Exit(talk(settings, hints=questions()))
    ask_all(settings, questions())


def demo_settings(resolved: "Resolved", home: Path | None) -> "Settings":
    """Give the demo its own library, and recorded web results unless a key or a choice is there.

    The library lies in its home, whatever server or collection the settings name: nothing invented
    gets into a library that others search.
    """
    from agentlab.resolving import with_changes
    from agentlab.settings import Settings

    settings = resolved.settings
    changes: dict[str, object] = {
        "home": home or settings.home / "demo",
        "store": "lancedb",
        "collection": Settings.model_fields["collection"].default,
        "weaviate_tenant": None,
    }
    has_key = any(getattr(settings, name) for name in WEB_KEYS)
    web = settings.web
    if resolved.origins["web"] == "default" and not has_key:
        web = "recorded"
    if web == "recorded" and settings.recorded is None:
        changes["recorded"] = WEB
    return with_changes(settings, web=web, **changes)


def questions() -> list[str]:
    """Read the demo's questions; one follows up on another."""
    return [str(each) for each in json.loads(QUESTIONS.read_text(encoding="utf-8"))]


def prepare(settings: "Settings") -> None:
    """Get the models and read the handbooks; both are quick the second time."""
    from agentlab.cli.ingest import read_into_library
    from agentlab.cli.models import fetch, fetch_embedder

    fetch_embedder(settings)
    fetch(settings.model, settings)
    read_into_library(settings, [HANDBOOKS])


def ask_all(settings: "Settings", asked: list[str]) -> None:
    """Ask every question in one conversation and draw what happens."""
    from agentlab.agent import Agent
    from agentlab.cli.repl import Repl
    from agentlab.console import make_console

    repl = Repl(settings, screen=make_console(), open_agent=Agent)
    with repl:
        for question in asked:
            repl.screen.print(f"\n› {question}", style="bold", markup=False)
            repl.ask(question)
