"""The help: every `agentlab ...` line that it or a README shows names what there is."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from readme_pages import PAGES, text_of
from typer.core import TyperGroup

from agentlab.cli.main import command_tree, run

LINE = re.compile(r"^\s*(?:\$ )?(?:[A-Z_]+=\S+ )?(agentlab [a-z][^\n]*)$", re.MULTILINE)
SPAN = re.compile(r"`(agentlab [a-z][^`]*)`")
TREE: Any = command_tree()
PYTHON_TYPE = re.compile(r"<(?:list|path|str|int|float|bool)\b")


def commands(command: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    if isinstance(command, TyperGroup):
        for name, each in command.commands.items():
            yield from commands(each, *path, name)


COMMANDS = {" ".join(path): command for path, command in commands(TREE)}


def shown() -> list[str]:
    lines = []
    for command in COMMANDS.values():
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


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_help_speaks_of_no_python_types(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert run([*name.split(), "--help"]) == 0
    assert PYTHON_TYPE.findall(capsys.readouterr().out) == []


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_what_may_be_repeated_is_said_so(name: str) -> None:
    repeated = [param for param in COMMANDS[name].params if getattr(param, "multiple", False)]
    assert [param.name for param in repeated if "(may be repeated)" not in param.help] == []


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_command_shows_an_example_and_what_it_does_in_one_line(name: str) -> None:
    command = COMMANDS[name]
    assert f"  agentlab {name}".rstrip() in f"{command.help}\n{command.epilog}"
    assert name == "" or not command.get_short_help_str(62).endswith("...")
