"""`agentlab ask`: one question, one answer on stdout, everything else on stderr."""

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from agentlab.cli import options
from agentlab.errors import ABSTAINED, FAILED, INTERRUPTED, OK, OUT_OF_TIME, USAGE

if TYPE_CHECKING:
    from agentlab.answer import Answer

EXAMPLES = """\b
Examples:
  agentlab ask "How many hotel nights need no approval?"
  echo "Who signs off travel?" | agentlab ask - --quiet
  agentlab ask "And abroad?" -c --json | jq .text
"""


def ask(
    question: Annotated[
        list[str],
        typer.Argument(metavar="QUESTION", help="The question; `-` reads it from stdin."),
    ],
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write the whole answer as JSON: text, sources, steps.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Write nothing but the answer.")
    ] = False,
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
    """Answer one question from the library or the web.

    The answer goes to stdout, the steps and the checked quotes to stderr.
    """
    text = _read_question(question)
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
    from agentlab.agent import Agent
    from agentlab.cli.models import tell
    from agentlab.console import RunScreen, draw_support, make_console, summary

    screen = make_console(stderr=True, quiet=quiet)
    with Agent(settings, progress=None if quiet else tell) as agent:
        if thread is None and resume:
            thread = next((each.thread for each in agent.threads(limit=1)), None)
        elif thread is not None:
            agent.memory.conversation(thread)  # which must be there: a slip begins no other
        drawn = RunScreen(screen).draw(agent.stream(text, thread=thread))
    if drawn.interrupted or drawn.answer is None:
        sys.stdout.write(drawn.partial + "\n" if drawn.partial else "")
        raise typer.Exit(INTERRUPTED)
    if as_json:
        sys.stdout.write(to_json(drawn.answer) + "\n")
    else:
        sys.stdout.write(_printable(drawn.answer.text) + "\n")
        draw_support(screen, drawn.answer)
        screen.print("  " + summary(drawn.answer), style="step", markup=False)
    raise typer.Exit(outcome(drawn.answer))


def outcome(answer: "Answer") -> int:
    """Choose the exit code of an answer."""
    if answer.stopped == "time":
        return OUT_OF_TIME
    if answer.stopped == "empty":
        return FAILED
    return ABSTAINED if answer.abstained else OK


def to_json(answer: "Answer") -> str:
    """Write an answer as JSON, with `supported` and `confidence` beside its fields."""
    value = asdict(answer) | {"supported": answer.supported, "confidence": answer.confidence}
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)


def _printable(text: str) -> str:
    from agentlab.console import clean

    return clean(text).strip()


def _read_question(words: list[str]) -> str:
    text = (sys.stdin.read() if words == ["-"] else " ".join(words)).strip()
    if not text:
        sys.stderr.write('agentlab: The question is empty: agentlab ask "your question".\n')
        raise typer.Exit(USAGE)
    return text
