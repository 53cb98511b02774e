"""What was said of runs, as rows; the runs are real ones of the agent with a scripted model."""

from pathlib import Path
from typing import Any

from scripted import ScriptedModel, ScriptedWeb, call, small_library

from agentlab.agent import Agent
from agentlab.feedback_rows import FeedbackRows, read_feedback
from agentlab.settings import Settings
from finetune.data.rows import as_text

QUESTION = "What may a hotel night cost?"
HOTEL = '"A hotel night may cost 140 euros at most." [1]\nAnswer: 140 euros [1]'
WRONG = "Answer: 90 euros"


def make_agent(tmp_path: Path, *lines: Any) -> Agent:
    settings = Settings(home=tmp_path, cache=tmp_path / "cache")
    chat = ScriptedModel(lines=list(lines))
    return Agent(settings, chat=chat, collection=small_library(), provider=ScriptedWeb())


def read(agent: Agent) -> FeedbackRows:
    return read_feedback(agent.journal)


def test_a_good_answer_is_a_conversation_and_a_label_of_the_whole_run(tmp_path: Path) -> None:
    with make_agent(tmp_path, call("hotel"), HOTEL) as agent:
        run = agent.ask(QUESTION)
        agent.feedback(run, "bad")
        agent.feedback(run, "good")
        found = read(agent)
    (talk,), (label,) = found.conversations, found.labels
    roles = [each["role"] for each in talk.messages]
    assert roles == ["system", "user", "assistant", "tool", "assistant"]
    assert talk.messages[-1]["content"] == HOTEL
    assert talk.tools
    assert (label.label, as_text(label.completion)) == (True, HOTEL)
    assert talk.lineage == {"run": run.run}
    assert not found.pairs


def test_a_fix_is_quoted_from_what_was_shown_and_preferred_to_the_runs_own(tmp_path: Path) -> None:
    with make_agent(tmp_path, call("hotel"), WRONG) as agent:
        agent.feedback(agent.ask(QUESTION), "better", text="140 euros.")
        found = read(agent)
    (pair,) = found.pairs
    assert (as_text(pair.chosen), as_text(pair.rejected)) == (HOTEL, WRONG)
    assert [label.label for label in found.labels] == [False, True]
    assert found.conversations[0].messages[-1]["content"] == HOTEL


def test_a_fix_is_quoted_where_its_words_stand_and_not_where_its_letters_do(tmp_path: Path) -> None:
    with make_agent(tmp_path, call("hotel"), WRONG) as agent:
        agent.feedback(agent.ask(QUESTION), "better", text="40 euros")
        (pair,) = read(agent).pairs
    assert as_text(pair.chosen) == "40 euros"


def test_a_fix_that_was_shown_nowhere_stays_as_it_was_written(tmp_path: Path) -> None:
    with make_agent(tmp_path, call("hotel"), WRONG) as agent:
        agent.feedback(agent.ask(QUESTION), "better", text="It depends on the city.")
        (pair,) = read(agent).pairs
    assert as_text(pair.chosen) == "It depends on the city."


def test_pairs_come_of_preferences_and_of_thumbs_on_one_question(tmp_path: Path) -> None:
    lines = [call("hotel"), HOTEL, call("hotel"), WRONG, "Hello."]
    with make_agent(tmp_path, *lines) as agent:
        good, bad, other = agent.ask(QUESTION), agent.ask(f"{QUESTION} "), agent.ask("Hi")
        agent.feedback(good, "preference", other=bad.run)
        agent.feedback(good, "preference", other=other.run)
        first = read(agent)
        agent.feedback(good, "good")
        agent.feedback(bad, "bad")
        second = read(agent)
    (pair,) = first.pairs
    assert (as_text(pair.chosen), as_text(pair.rejected)) == (HOTEL, WRONG)
    assert first.left_out == {"the run that was liked less answers another question": 1}
    assert len(second.pairs) == 1
    assert len(second.conversations) == 1
