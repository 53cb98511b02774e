"""Slash commands: what a line that begins with / does in the REPL."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from agentlab.choices import Web
from agentlab.console import (
    draw_rows,
    draw_source,
    draw_sources,
    draw_trace,
    transcript,
)
from ingest.addresses import without_user
from ingest.amounts import count

if TYPE_CHECKING:
    from agentlab.answer import Answer
    from agentlab.cli.repl import Repl
    from agentlab.journal import Kind

WEB_CHOICES = ("on", *get_args(Web))


@dataclass(frozen=True)
class Command:
    """A slash command: its name, what follows it, what it does, and another name for it."""

    name: str
    usage: str
    help: str
    run: Callable[["Repl", str], None]
    alias: str = ""


def _help(repl: "Repl", _: str) -> None:
    rows = [(f"{each.name} {each.usage}".strip(), each.help) for each in COMMANDS]
    draw_rows(repl.screen, None, rows)
    repl.say("Ctrl-C stops an answer, twice leaves; Ctrl-D, exit or quit leave too.")


def _sources(repl: "Repl", _: str) -> None:
    draw_sources(repl.screen, [repl.sources[number] for number in sorted(repl.sources)])


def _cite(repl: "Repl", argument: str) -> None:
    number = argument.strip("[]")
    source = repl.sources.get(int(number)) if number.isdecimal() else None
    if source is None:
        repl.say(f"There is no source {argument or 'without a number'}; /sources lists them.")
    else:
        draw_source(repl.screen, source)


def _trace(repl: "Repl", _: str) -> None:
    answer = _last(repl)
    if answer:
        draw_trace(repl.screen, answer)


def _model(repl: "Repl", argument: str) -> None:
    if argument:
        repl.change(model=argument)
    place = f" at {without_user(repl.settings.base_url)}" if repl.settings.base_url else ""
    repl.say(f"model: {repl.settings.model} ({repl.settings.engine}){place}")


def _tools(repl: "Repl", _: str) -> None:
    rows = [
        ("search_documents", f"the library ({repl.settings.collection}, {repl.settings.store})"),
        ("search_web", f"the web ({repl.settings.web})"),
    ]
    draw_rows(repl.screen, None, rows[:1] if repl.settings.web == "off" else rows)


def _web(repl: "Repl", argument: str) -> None:
    if argument and argument not in WEB_CHOICES:
        repl.say(f"There is no web provider {argument}; choose from {', '.join(WEB_CHOICES)}.")
        return
    if argument:
        repl.change(web="auto" if argument == "on" else argument)
    repl.say(f"web search: {repl.settings.web}")


def _good(repl: "Repl", _: str) -> None:
    _feedback(repl, "good")


def _bad(repl: "Repl", _: str) -> None:
    _feedback(repl, "bad")


def _fix(repl: "Repl", argument: str) -> None:
    if not argument:
        repl.say("Write the better answer after /fix: /fix Three nights.")
    else:
        _feedback(repl, "better", argument)


def _threads(repl: "Repl", _: str) -> None:
    found = repl.agent.threads()
    rows = [
        (each.thread, count(each.turns, "turn"), each.changed[:16].replace("T", " "), each.title)
        for each in found
    ]
    if rows:
        draw_rows(repl.screen, None, rows)
    else:
        repl.say("No conversations yet.")


def _resume(repl: "Repl", argument: str) -> None:
    repl.resume(argument or None)


def _retry(repl: "Repl", _: str) -> None:
    if repl.last_question:
        repl.ask(repl.last_question)
    else:
        repl.say("Nothing to ask again yet.")


def _save(repl: "Repl", argument: str) -> None:
    path = Path(argument or "conversation.md").expanduser()
    if path.exists():
        repl.say(f"{path} exists: choose another name.")
    elif _last(repl):
        path.write_text(transcript(repl.answers), encoding="utf-8")
        repl.say(f"Saved {count(len(repl.answers), 'answer')} to {path}.")


def _clear(repl: "Repl", _: str) -> None:
    repl.start_thread(None)
    repl.screen.clear()
    repl.say("A new conversation.")


def _feedback(repl: "Repl", kind: "Kind", text: str | None = None) -> None:
    answer = _last(repl)
    if answer:
        repl.agent.feedback(answer, kind, text=text)
        repl.say(f"Kept in the journal: {kind}.")


def _last(repl: "Repl") -> "Answer | None":
    if repl.last is None:
        repl.say("No answer yet: ask something first.")
    return repl.last


def _quit(_repl: "Repl", _: str) -> None:
    raise EOFError


COMMANDS = (
    Command("/help", "", "show these commands", _help),
    Command("/sources", "", "list the numbered sources of the last answer", _sources),
    Command("/cite", "N", "show source N whole", _cite),
    Command("/trace", "", "show every step of the last answer", _trace),
    Command("/model", "[NAME]", "show or change the model", _model),
    Command("/tools", "", "list the tools of the agent", _tools),
    Command("/web", "[on|off|NAME]", "show or change the web search", _web),
    Command("/good", "", "keep the last answer as a good one", _good),
    Command("/bad", "", "mark the last answer as bad", _bad),
    Command("/fix", "TEXT", "give a better answer than the last one", _fix),
    Command("/threads", "", "list the conversations", _threads),
    Command("/resume", "ID", "go on with a conversation", _resume),
    Command("/retry", "", "ask the last question again", _retry),
    Command("/save", "[FILE]", "save this conversation as Markdown", _save),
    Command("/clear", "", "begin a new conversation; /new does, too", _clear, alias="/new"),
    Command("/quit", "", "leave", _quit),
)


def choices() -> dict[str, tuple[str, ...]]:
    """List what the prompt completes: each command with the arguments known beforehand."""
    return {each.name: WEB_CHOICES if each.name == "/web" else () for each in COMMANDS}
