"""What is asked of the clock alone, and what it says."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from scripted import ScriptedModel, small_library

from agentlab.agent import Agent
from agentlab.answer import EvidenceSeen
from agentlab.clock import asks_the_clock, tell_time
from agentlab.probing import worded
from agentlab.settings import Settings


@pytest.mark.parametrize(
    "question",
    [
        "What time is it?",
        "what day is today",
        "Which year is it now?",
        "What's the date today?",
        "What’s today's date?",
        "Can you tell me what time it is, please?",
        "tell me the current time",
        "What is the time?",
    ],
)
def test_the_time_and_the_date_are_asked_of_the_clock(question: str) -> None:
    assert asks_the_clock(worded(question, []))


@pytest.mark.parametrize(
    "question",
    [
        "What time is it in Tokyo?",
        "What time is the train?",
        "What is the date of the contract?",
        "What day is it tomorrow?",
        "What is the limit today?",
        "What is the time limit?",
        "today",
    ],
)
def test_a_question_on_anything_else_is_not(question: str) -> None:
    assert not asks_the_clock(worded(question, []))


def test_after_other_questions_the_date_may_be_that_of_a_document() -> None:
    assert not asks_the_clock(worded("What is the date?", ["Who signed the contract?"]))
    assert asks_the_clock(worded("What is the date today?", ["Who signed the contract?"]))


def test_the_clock_says_time_zone_and_day() -> None:
    said = tell_time(datetime(2026, 11, 9, 7, 5, tzinfo=UTC))
    assert said == "By this machine's clock it is 07:05 (UTC) on Monday, 9 November 2026."


def test_the_starter_tells_the_time_without_library_and_model(tmp_path: Path) -> None:
    chat = ScriptedModel(lines=[])
    settings = Settings(home=tmp_path, cache=tmp_path / "cache", web="off")
    with Agent(settings, chat=chat, collection=small_library()) as agent:
        events = list(agent.stream("What time is it?"))
    answer = events[-1].answer
    assert answer.text.startswith("By this machine's clock it is ")
    assert (answer.steps, answer.evidence, answer.stopped) == ((), None, None)
    assert not any(isinstance(event, EvidenceSeen) for event in events)
    assert not chat.told
