"""The guards, each against what it is there for, through the real create_agent."""

from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from scripted import Clock, ScriptedModel, ScriptedWeb, call, small_library

from agentlab.agent import UNSEARCHED, Agent
from agentlab.answer import Observed, Thought, Token, ToolCalled
from agentlab.guards import EMPTY_ANSWER
from agentlab.prompts import LAST_ANSWER, NOT_FOUND
from agentlab.settings import Settings
from agentlab.small_talk import replies
from agentlab.tools.errors import SearchUnavailableError

HOTEL = '"A hotel night may cost 140 euros at most." [1]\nAnswer: 140 euros [1]'
QUESTION = "What may a hotel night cost?"


def make_agent(tmp_path: Path, *lines: Any, **values: Any) -> Agent:
    chat = ScriptedModel(lines=list(lines))
    provider = values.pop("provider", ScriptedWeb())
    settings = Settings(home=tmp_path, cache=tmp_path / "cache", **values)
    return Agent(settings, chat=chat, collection=small_library(), provider=provider)


def invalid(arguments: str, name: str | None = "search_documents") -> AIMessage:
    broken = {"name": name, "args": arguments, "id": "b1", "error": "bad", "type": None}
    return AIMessage("", invalid_tool_calls=[{**broken, "type": "invalid_tool_call"}])


@pytest.mark.parametrize(
    "message",
    [
        invalid('{"query": "hotel cost",}'),
        invalid("hotel cost"),
        invalid(
            '<tool_call>\n{"name": "search_documents", "arguments": {"query": "hotel cost', None
        ),
        AIMessage('{"name": "search_documents", "arguments": {"query": "hotel cost"}}'),
        AIMessage('```json\n{"tool": "search_documents", "input": "hotel cost"}\n```'),
        AIMessage("search_documents('hotel cost')"),
        AIMessage("Action: search_documents\nAction Input: hotel cost"),
    ],
)
def test_a_call_that_is_nearly_right_is_mended_without_asking_again(
    tmp_path: Path, message: AIMessage
) -> None:
    with make_agent(tmp_path, message, HOTEL) as agent:
        answer = agent.ask(QUESTION)
    assert answer.steps[0].arguments == {"query": "hotel cost"}
    assert answer.supported
    assert (answer.usage.malformed_calls, answer.usage.model_calls) == (1, 2)


def test_a_call_beyond_mending_is_asked_for_once_more(tmp_path: Path) -> None:
    with make_agent(tmp_path, invalid("[1, 2]", "search"), call("hotel"), HOTEL) as agent:
        answer = agent.ask(QUESTION)
        asked = agent.model.chat.seen[1]
    assert "could not be read" in asked[-1].text
    assert answer.supported


def test_a_call_malformed_twice_leads_to_an_answer_without_tools(tmp_path: Path) -> None:
    broken = invalid("[1, 2]", "search")
    with make_agent(tmp_path, broken, broken, NOT_FOUND) as agent:
        answer = agent.ask(QUESTION)
        assert agent.model.chat.offered[-1] == []
    assert answer.abstained


def test_a_repeated_call_is_not_run_again(tmp_path: Path) -> None:
    lines = [call("hotel cost"), call("Hotel  cost?", key="c2"), HOTEL]
    with make_agent(tmp_path, *lines) as agent:
        answer = agent.ask(QUESTION)
        last = agent.model.chat.seen[-1][-1]
        assert agent.model.chat.offered[-1] == []
    assert len(answer.steps) == 1
    assert answer.stopped == "repeat"
    assert answer.supported
    assert last.text.endswith(LAST_ANSWER)


def test_a_repeated_call_is_nothing_odd_where_the_reader_found_nothing(tmp_path: Path) -> None:
    lines = [call("wifi password"), call("wifi password", key="c2"), NOT_FOUND]
    with make_agent(tmp_path, *lines, abstain="reader") as agent:
        events = list(agent.stream("What is the wifi password?"))
    assert [event for event in events if isinstance(event, Thought)] == []
    assert (events[-1].answer.abstained, events[-1].answer.stopped) == (True, None)


def test_a_first_search_that_repeats_the_question_before_is_put_in_the_persons_words(
    tmp_path: Path,
) -> None:
    repeats = [call(QUESTION.rstrip("?"), key="c2"), HOTEL]
    with make_agent(tmp_path, call("hotel cost"), HOTEL, *repeats) as agent:
        first = agent.ask(QUESTION)
        answer = agent.ask("And for drivers?", thread=first.thread)
    assert first.steps[0].arguments == {"query": "hotel cost"}
    assert answer.steps[0].arguments == {"query": f"{QUESTION} And for drivers?"}


def test_a_model_that_always_searches_is_stopped_at_the_limit(tmp_path: Path) -> None:
    searches = [call(f"hotel {n}", key=f"c{n}") for n in range(2)]
    with make_agent(tmp_path, *searches, HOTEL, max_steps=2) as agent:
        answer = agent.ask(QUESTION)
    assert len(answer.steps) == 2
    assert answer.stopped == "steps"
    assert answer.supported


def test_calls_beyond_the_limit_in_one_message_are_dropped(tmp_path: Path) -> None:
    calls = [
        {"name": "search_documents", "args": {"query": f"hotel {n}"}, "id": f"c{n}"}
        for n in range(6)
    ]
    with make_agent(tmp_path, AIMessage("", tool_calls=calls), HOTEL, max_steps=3) as agent:
        answer = agent.ask(QUESTION)
    assert len(answer.steps) == 3


def test_a_model_that_calls_tools_to_the_end_gets_an_honest_fallback(tmp_path: Path) -> None:
    lines = [call("a"), call("b", key="c2"), call("c", key="c3"), call("d", key="c4")]
    with make_agent(tmp_path, *lines, max_steps=1) as agent:
        answer = agent.ask(QUESTION)
    assert answer.text == EMPTY_ANSWER
    assert (answer.abstained, answer.stopped) == (False, "empty")


def test_an_empty_message_is_asked_for_once_more(tmp_path: Path) -> None:
    with make_agent(tmp_path, call("hotel"), "", HOTEL) as agent:
        assert agent.ask(QUESTION).supported


def test_two_empty_messages_end_in_words_that_say_so(tmp_path: Path) -> None:
    with make_agent(tmp_path, "", " ") as agent:
        events = list(agent.stream(QUESTION))
    answer = events[-1].answer
    assert answer.text == EMPTY_ANSWER
    assert (answer.abstained, answer.stopped) == (False, "empty")
    assert answer.usage.model_calls == 2
    assert "".join(e.text for e in events if isinstance(e, Token)).strip() == EMPTY_ANSWER


def test_a_message_cut_at_its_limit_says_which_setting_to_raise(tmp_path: Path) -> None:
    cut = AIMessage("<think>Let me see", response_metadata={"finish_reason": "length"})
    with make_agent(tmp_path, cut, cut) as agent:
        answer = agent.ask(QUESTION)
    assert "max_tokens" in answer.text
    assert (answer.abstained, answer.stopped) == (False, "empty")


def test_an_unknown_tool_is_named_to_the_model_with_the_ones_there_are(tmp_path: Path) -> None:
    with make_agent(tmp_path, call("x", "calculator"), call("hotel", key="c2"), HOTEL) as agent:
        answer = agent.ask(QUESTION)
    assert answer.steps[0].error
    assert answer.steps[0].observation == (
        "There is no tool 'calculator'. Tools: search_documents, search_web, list_documents."
    )
    assert answer.supported


def test_wrong_arguments_are_told_to_the_model(tmp_path: Path) -> None:
    wrong = AIMessage("", tool_calls=[{"name": "search_documents", "args": {"q": "x"}, "id": "c0"}])
    with make_agent(tmp_path, wrong, call("hotel"), HOTEL) as agent:
        answer = agent.ask(QUESTION)
    assert answer.steps[0].error
    assert "query" in answer.steps[0].observation
    assert answer.supported


@pytest.mark.parametrize("error", [SearchUnavailableError("Serper is down"), KeyError()])
def test_what_a_tool_raises_becomes_an_observation(tmp_path: Path, error: Exception) -> None:
    web = ScriptedWeb(error=error)
    with make_agent(tmp_path, call("rain", "search_web"), NOT_FOUND, provider=web) as agent:
        events = list(agent.stream(QUESTION))
    observed = next(event for event in events if isinstance(event, Observed))
    assert observed.step.error
    assert observed.step.observation.startswith("Error: ")
    assert events[-1].answer.abstained


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("agentlab.trace.time", clock)
    return clock


def after(seconds: float, clock: Clock, message: AIMessage) -> Any:
    def late(_: Any) -> AIMessage:
        clock.advance(seconds)
        return message

    return late


def test_the_clock_cuts_a_slow_model_off_and_keeps_its_words(tmp_path: Path, clock: Clock) -> None:
    with make_agent(tmp_path, "The night costs " + "and costs " * 200, timeout_s=10) as agent:
        agent.model.chat.on_word = lambda: clock.advance(1)
        answer = agent.ask(QUESTION)
    assert answer.stopped == "time"
    assert answer.text.startswith("The night costs and")
    assert len(answer.text.split()) == 10


def test_little_time_left_goes_into_the_answer(tmp_path: Path, clock: Clock) -> None:
    slow = after(8, clock, call("hotel"))
    with make_agent(tmp_path, slow, HOTEL, timeout_s=10) as agent:
        answer = agent.ask(QUESTION)
        assert agent.model.chat.offered[-1] == []
    assert answer.stopped == "time"
    assert answer.supported


def test_no_time_at_all_is_said_in_words(tmp_path: Path, clock: Clock) -> None:
    slow = after(11, clock, call("hotel"))
    with make_agent(tmp_path, slow, HOTEL, timeout_s=10) as agent:
        answer = agent.ask(QUESTION)
    assert answer.stopped == "time"
    assert not answer.abstained
    assert "time budget of 10 s" in answer.text


def test_words_beside_a_call_become_a_thought(tmp_path: Path) -> None:
    thinking = AIMessage("Let me look.", tool_calls=call("hotel").tool_calls)
    with make_agent(tmp_path, thinking, HOTEL) as agent:
        events = list(agent.stream(QUESTION))
    thought = events.index(Thought("Let me look."))
    assert isinstance(events[thought + 1], ToolCalled)


def test_the_text_of_a_call_is_never_streamed(tmp_path: Path) -> None:
    written = AIMessage('{"name": "search_documents", "arguments": {"query": "hotel"}}')
    with make_agent(tmp_path, written, HOTEL) as agent:
        events = list(agent.stream(QUESTION))
    assert "arguments" not in "".join(e.text for e in events if isinstance(e, Token | Thought))


WRONG = HOTEL.replace("may cost", "can cost")


def test_a_quote_that_is_nearly_right_is_put_right_everywhere(tmp_path: Path) -> None:
    with make_agent(tmp_path, call("hotel"), WRONG.replace("[1]", "[2]")) as agent:
        events = list(agent.stream(QUESTION))
        kept = agent.memory.messages(events[-1].answer.thread)[-1].text
    answer = events[-1].answer
    assert answer.raw == kept.strip() == HOTEL
    assert answer.supported


def test_a_quote_that_was_put_right_is_not_told_of_in_a_thought(tmp_path: Path) -> None:
    with make_agent(tmp_path, call("hotel"), WRONG) as agent:
        events = list(agent.stream(QUESTION))
    assert not [e for e in events if isinstance(e, Thought) and e.text.strip()]
    last = max(at for at, e in enumerate(events) if isinstance(e, Thought))
    assert "".join(e.text for e in events[last:] if isinstance(e, Token)).strip() == HOTEL


def test_quotes_stay_as_they_are_written_where_they_are_free(tmp_path: Path) -> None:
    with make_agent(tmp_path, call("hotel"), WRONG, quotes="free") as agent:
        answer = agent.ask(QUESTION)
    assert answer.raw.strip() == WRONG
    assert not answer.supported


def test_an_endpoint_is_told_nothing_of_quotes(tmp_path: Path) -> None:
    with make_agent(tmp_path, call("hotel"), HOTEL) as agent:
        agent.ask(QUESTION)
        told = agent.model.chat.told
    assert all("quotes" not in each and "guided" not in each for each in told)


def test_an_answer_without_a_search_is_remarked_on_where_the_library_matches(
    tmp_path: Path,
) -> None:
    with make_agent(tmp_path, "About 200 euros.") as agent:
        assert Thought(UNSEARCHED) in list(agent.stream(QUESTION))


def test_small_talk_is_not_remarked_on(tmp_path: Path) -> None:
    with make_agent(tmp_path, replies()["greeting"]) as agent:
        assert Thought(UNSEARCHED) not in list(agent.stream(QUESTION))
