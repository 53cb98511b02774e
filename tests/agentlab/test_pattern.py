"""The pattern of a message, read by Python's own engine: what it admits and what not."""

import re
from pathlib import Path
from typing import Any

import pytest
from scripted import ScriptedModel, ScriptedWeb, call, small_library

from agentlab.agent import Agent
from agentlab.model import OpenModel
from agentlab.pattern import message_pattern
from agentlab.prompts import LIST_DOCUMENTS, NOT_FOUND, TOOLS, cited_answer
from agentlab.settings import Settings

QUOTES = [("It costs (at most) 5.5 $ [sic]!", 1), ("“Größe” \\ x^2 | y?", 12)]


def called(query: str, name: str = "search_web") -> str:
    return f'<tool_call>\n{{"name": "{name}", "arguments": {{"query": "{query}"}}}}\n</tool_call>'


def admits(text: str, tools: Any = TOOLS, quotes: Any = QUOTES) -> bool:
    return bool(re.fullmatch(message_pattern(tools, quotes), text))


@pytest.mark.parametrize(
    "text",
    [
        called("hotel cost"),
        called('the \\"best\\" Größe', "search_documents"),
        cited_answer(*QUOTES[0][:1], "5.5 $", 1),
        cited_answer(QUOTES[1][0], "y", 12),
        NOT_FOUND,
        'Hello!\n\n"A" [1] <b>',
    ],
)
def test_every_form_of_a_message_is_admitted(text: str) -> None:
    assert admits(text)


@pytest.mark.parametrize(
    "text",
    [
        called("hotel", "calculator"),
        called("two\nlines"),
        called('a "word"'),
        called(""),
        called("x" * 401),
        called("hotel") + "\n",
        cited_answer("It costs 5x5 $ [sic]!", "5.5", 1),
        cited_answer(QUOTES[0][0], "5.5 $", 12),
        "",
    ],
)
def test_what_is_nearly_one_of_them_is_not(text: str) -> None:
    assert not admits(text)


def test_nothing_else_may_be_said_where_the_others_are_named() -> None:
    pattern = message_pattern(TOOLS, QUOTES, [NOT_FOUND])
    assert re.fullmatch(pattern, NOT_FOUND)
    assert re.fullmatch(pattern, called("hotel cost"))
    assert not re.fullmatch(pattern, "Hello!")


def test_what_cannot_be_quoted_is_free() -> None:
    assert admits('"Hi" is a greeting.', quotes=[])


def test_without_tools_a_message_is_no_call() -> None:
    assert admits("Hello!", tools=[], quotes=[])
    assert not admits(called("hotel cost"), tools=[], quotes=[])
    assert not admits("<b>", tools=[])


@pytest.mark.parametrize(
    ("engine", "guided", "expected"),
    [("vllm", True, 2), ("vllm", False, 0), ("openai", True, 0), ("own", True, 0)],
)
def test_only_the_server_of_our_own_is_given_a_pattern(
    tmp_path: Path, engine: str, guided: bool, expected: int
) -> None:
    answer = cited_answer("A hotel night may cost 140 euros at most.", "140 euros", 1)
    chat = ScriptedModel(lines=[call("hotel cost"), answer])
    settings = Settings(home=tmp_path, cache=tmp_path / "cache", guided=guided, route="model")
    with Agent(settings, chat=chat, collection=small_library(), provider=ScriptedWeb()) as agent:
        agent.__dict__["model"] = OpenModel(chat, "scripted", engine)
        agent.ask("What may a hotel night cost?")
    bodies = [told["extra_body"] for told in chat.told if "extra_body" in told]
    patterns = [body["structured_outputs"]["regex"] for body in bodies]
    assert len(patterns) == expected
    assert all(re.fullmatch(each, called("x")) for each in patterns)
    assert not patterns or re.fullmatch(patterns[-1], answer)


def test_a_tool_without_arguments_is_called_without_any() -> None:
    pattern = message_pattern([LIST_DOCUMENTS], [], [])
    assert re.fullmatch(
        pattern, '<tool_call>\n{"name": "list_documents", "arguments": {}}\n</tool_call>'
    )
    assert not re.fullmatch(pattern, '<tool_call>\n{"name": "list_documents"}\n</tool_call>')
