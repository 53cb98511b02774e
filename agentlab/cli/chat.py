"""`agentlab chat`: talk with the agent; every answer shows its steps and its checked sources."""

import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import typer

from agentlab.cli import options

if TYPE_CHECKING:
    from agentlab.settings import Settings

EXAMPLES = """\b
Examples:
  agentlab chat
  agentlab chat -c                 go on where you left
  agentlab chat --model Qwen/Qwen3-4B-Instruct-2507 --base-url http://localhost:8000/v1
"""


def chat(
    *,
    thread: options.Thread = None,
    resume: options.Continue = False,
    timeout: options.Timeout = None,
    model: options.Model = None,
    engine: options.Engine = None,
    base_url: options.BaseUrl = None,
    web: options.Web = None,
    recorded: options.Recorded = None,
    tenant: options.Tenant = None,
    home: options.Home = None,
    config: options.Config = None,
) -> None:
    """Talk with the agent about the library and the web.

    Inside, /help lists the commands. Ctrl-C stops an answer and keeps what it has.
    """
    settings = options.resolve(
        config,
        home=home,
        weaviate_tenant=tenant,
        timeout_s=timeout,
        model=model,
        engine=engine,
        base_url=base_url,
        web=web,
        recorded=recorded,
    ).settings
    raise typer.Exit(talk(settings, thread=thread, resume=resume))


def talk(
    settings: "Settings",
    *,
    thread: str | None = None,
    resume: bool = False,
    hints: Sequence[str] = (),
) -> int:
    """Run the REPL on the terminal, or over the lines of a pipe; return the exit code."""
    from agentlab.agent import Agent
    from agentlab.cli.lines import Lines, PlainLines, PromptLines
    from agentlab.cli.models import tell
    from agentlab.cli.repl import Repl
    from agentlab.cli.slash import choices
    from agentlab.console import make_console

    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    lines: Lines = PromptLines(settings.history_path, choices()) if terminal else PlainLines()
    open_agent = partial(Agent, progress=tell)
    with Repl(settings, screen=make_console(), open_agent=open_agent) as repl:
        if thread or resume:
            repl.resume(thread)
        repl.greet(hints)
        return repl.run(lines)
