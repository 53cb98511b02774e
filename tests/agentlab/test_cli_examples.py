"""Every `agentlab ...` line that a help text or a README shows names what there is."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from readme_pages import PAGES, text_of
from typer.core import TyperGroup

from agentlab.cli.main import app

LINE = re.compile(r"^\s*(?:\$ )?(?:[A-Z_]+=\S+ )?(agentlab [a-z][^\n]*)$", re.MULTILINE)
SPAN = re.compile(r"`(agentlab [a-z][^`]*)`")
TREE: Any = typer.main.get_command(app)


def commands(command: Any) -> Iterator[Any]:
    yield command
    if isinstance(command, TyperGroup):
        for each in command.commands.values():
            yield from commands(each)


def shown() -> list[str]:
    lines = []
    for command in commands(TREE):
        text = f"{command.help or ''}\n{command.epilog or ''}".replace("\\\n", " ")
        lines += LINE.findall(text)
    for page in PAGES:
        lines += [*LINE.findall(text_of(page)), *SPAN.findall(text_of(page))]
    return sorted(set(lines))


def words_of(line: str) -> list[str]:
    text = re.split(r"\s{3,}", line)[0].rstrip(".,:")
    return shlex.split(text.replace("\\", " "), comments=True)[1:]


@pytest.mark.parametrize("line", shown())
def test_what_a_line_calls_is_there(line: str) -> None:
    command = TREE
    words = words_of(line)
    while isinstance(command, TyperGroup) and words and not words[0].startswith("-"):
        name = words.pop(0).rstrip(",")
        assert name in command.commands, f"{line}: no command {name!r}"
        command = command.commands[name]
    options = {name for each in (TREE, command) for param in each.params for name in param.opts}
    options |= {name for param in command.params for name in param.secondary_opts}
    for word in words:
        if word.startswith("-") and len(word) > 1 and not re.fullmatch(r"-\d+", word):
            assert word.split("=")[0].rstrip(",") in options | {"--help", "-h"}, f"{line}: {word}"


@pytest.mark.parametrize("line", ["agentlab serach x", "agentlab search --tennant a x"])
def test_a_line_that_calls_what_is_not_there_is_found(line: str) -> None:
    with pytest.raises(AssertionError):
        test_what_a_line_calls_is_there(line)
