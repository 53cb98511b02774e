"""Lines: where the REPL gets what the person types, from a terminal or from a pipe."""

import sys
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion
    from prompt_toolkit.document import Document
    from prompt_toolkit.history import History

PROMPT = "› "


class Lines(Protocol):
    """A source of lines."""

    def read(self) -> str:
        """Return the next line; raise EOFError at the end, KeyboardInterrupt on Ctrl-C."""


class PlainLines:
    """Lines of a pipe or a file, shown again so that the transcript can be read.

    A byte that is no text becomes a replacement character: it must not cost the lines after it.
    """

    def __init__(self) -> None:
        if isinstance(sys.stdin, TextIOWrapper):
            sys.stdin.reconfigure(errors="replace")

    def read(self) -> str:
        """Return the next line that is not blank."""
        while line := sys.stdin.readline():
            if line.strip():
                sys.stdout.write(f"{PROMPT}{line.strip()}\n")
                sys.stdout.flush()
                return line.strip()
        raise EOFError


class PromptLines:
    """Lines typed at a terminal: editing, history across sessions, completion of commands."""

    def __init__(self, history: Path, choices: dict[str, tuple[str, ...]]) -> None:
        from prompt_toolkit import PromptSession

        self._session: PromptSession[str] = PromptSession(
            history=_open_history(history),
            completer=make_completer(choices),
            complete_while_typing=True,
            enable_open_in_editor=True,
            reserve_space_for_menu=6,
        )

    def read(self) -> str:
        """Return what was typed."""
        return self._session.prompt(PROMPT).strip()


def completions(choices: dict[str, tuple[str, ...]], typed: str) -> Iterator[tuple[str, int]]:
    """Complete a slash command or its argument: the text and how many typed letters it replaces."""
    if not typed.startswith("/"):
        return
    name, space, argument = typed.partition(" ")
    options = choices.get(name, ()) if space else tuple(choices)
    begun = argument if space else name
    for option in options:
        if option.startswith(begun):
            yield option, len(begun)


def make_completer(choices: dict[str, tuple[str, ...]]) -> "Completer":
    """Build prompt_toolkit's completer over `completions`."""
    from prompt_toolkit.completion import Completer, Completion

    class SlashCompleter(Completer):
        def get_completions(
            self,
            document: "Document",
            complete_event: "CompleteEvent",  # noqa: ARG002
        ) -> "Iterator[Completion]":
            for text, begun in completions(choices, document.text_before_cursor):
                yield Completion(text, start_position=-begun)

    return SlashCompleter()


def _open_history(path: Path) -> "History":
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(path))
