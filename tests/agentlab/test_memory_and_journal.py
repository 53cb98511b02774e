"""What is kept of a run: the conversation and the journal, also when something goes wrong."""

import os
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from scripted import ScriptedModel, ScriptedWeb, call, small_library

from agentlab.agent import Agent
from agentlab.answer import Answered, Thought, Token
from agentlab.errors import JournalError, MemoryStoreError, UnknownThreadError
from agentlab.journal import Journal, Setup
from agentlab.memory import Memory
from agentlab.settings import Settings

HOTEL = '"A hotel night may cost 140 euros at most." [1]\nAnswer: 140 euros [1]'
QUESTION = "What may a hotel night cost?"


def make_agent(tmp_path: Path, *lines: Any, pause_s: float = 0.0, **values: Any) -> Agent:
    chat = ScriptedModel(lines=list(lines), pause_s=pause_s)
    settings = Settings(home=tmp_path, cache=tmp_path / "cache", **values)
    return Agent(settings, chat=chat, collection=small_library(), provider=ScriptedWeb())


def test_the_journal_holds_a_run_whole(tmp_path: Path) -> None:
    with make_agent(tmp_path, call("hotel"), HOTEL) as agent:
        answer = agent.ask(QUESTION)
        run = agent.journal.run(answer.run)
    assert (run["status"], run["answer"], run["model"]) == ("answered", "140 euros [1]", "scripted")
    assert run["evidence"]["strength"] == "strong"
    assert run["steps"][0]["arguments"] == {"query": "hotel"}
    assert run["steps"][0]["sources"][0]["page"] == 4
    assert [each["supported"] for each in run["citations"]] == [1, 1]
    roles = [message["role"] for message in run["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "assistant"]
    assert run["messages"][1]["content"].startswith(f"{QUESTION}\n(Library match: strong")
    assert run["messages"][-1]["content"] == HOTEL
    assert len(run["index_version"]) == 12


def test_half_a_character_costs_neither_the_answer_nor_its_place_in_the_journal(
    tmp_path: Path,
) -> None:
    with make_agent(tmp_path, call("hotel \ud83d"), "Hello \ud83d.") as agent:
        answer = agent.ask("Is \udcff there?")
        agent.feedback(answer, "better", text="Yes \ud83d.")
        run = agent.journal.run(answer.run)
    assert answer.question == "Is ? there?"
    assert (run["status"], run["answer"]) == ("answered", "Hello ?.")
    assert run["steps"][0]["arguments"] == {"query": "hotel ?"}
    assert run["feedback"][0]["text"] == "Yes ?."


def test_feedback_is_kept_with_its_run(tmp_path: Path) -> None:
    with make_agent(tmp_path, "A", "B") as agent:
        first, second = agent.ask("Hi"), agent.ask("Hi")
        agent.feedback(first, "good")
        agent.feedback(first, "better", text="Hello there.")
        agent.feedback(second.run, "preference", other=first.run)
        rated = list(agent.journal.rated())
    assert [each["kind"] for each in rated[0]["feedback"]] == ["good", "better"]
    assert rated[0]["feedback"][1]["text"] == "Hello there."
    assert rated[1]["feedback"][0]["other"] == first.run


def test_feedback_on_an_unknown_run_is_refused(tmp_path: Path) -> None:
    with (
        make_agent(tmp_path) as agent,
        pytest.raises(JournalError, match="does not have that run"),
    ):
        agent.feedback("nothing", "good")


@pytest.mark.parametrize(
    ("kind", "lacks"),
    [("great", "one of good, bad"), ("better", "as text"), ("preference", "as other")],
)
def test_feedback_that_says_nothing_is_refused(tmp_path: Path, kind: Any, lacks: str) -> None:
    with make_agent(tmp_path, "A") as agent:
        answer = agent.ask("Hi")
        with pytest.raises(ValueError, match=lacks):
            agent.feedback(answer, kind)
        assert agent.journal.feedback(answer.run) == []


def test_a_run_is_preferred_only_to_one_that_was_kept(tmp_path: Path) -> None:
    with make_agent(tmp_path, "A") as agent:
        answer = agent.ask("Hi")
        with pytest.raises(JournalError, match="no run 'nothing'"):
            agent.feedback(answer, "preference", other="nothing")
        assert agent.journal.feedback(answer.run) == []


def test_a_run_that_could_not_begin_in_the_journal_is_told_of_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_: Any, **__: Any) -> None:
        raise JournalError("The journal is locked.")

    monkeypatch.setattr(Journal, "begin", locked)
    with make_agent(tmp_path, call("hotel"), HOTEL) as agent:
        said = [event.text for event in agent.stream(QUESTION) if isinstance(event, Thought)]
    assert said == ["The journal is locked. The answer is not affected."]


def test_a_part_that_cannot_be_closed_leaves_none_of_the_others_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = []

    def broken(_: Journal) -> None:
        raise OSError("broken")

    agent = make_agent(tmp_path, "A")
    agent.ask("Hi")
    monkeypatch.setattr(Journal, "close", broken)
    monkeypatch.setattr(Memory, "close", lambda _: closed.append("memory"))
    with pytest.raises(OSError, match="broken"):
        agent.close()
    assert closed == ["memory"]


def test_the_journal_can_be_switched_off(tmp_path: Path) -> None:
    with make_agent(tmp_path, "Hi.", journal=False) as agent:
        answer = agent.ask("Hello")
        with pytest.raises(JournalError, match="journal = true"):
            agent.feedback(answer, "good")
    assert not (tmp_path / "journal.sqlite").exists()


def test_leaving_in_the_middle_keeps_the_partial_answer_as_interrupted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    slow = "The night costs " + "and costs " * 400
    with make_agent(tmp_path, slow, "Answer: fine", pause_s=0.02) as agent:
        events = agent.stream(QUESTION)
        for event in events:
            if isinstance(event, Token):
                break
        started = time.monotonic()
        events.close()
        left = time.monotonic() - started
        (run,) = agent.journal.runs()
        threads = agent.threads()
        again = agent.ask("And now?", thread=threads[0].thread)
        shown = agent.model.chat.seen[-1]
    assert left < 6
    assert not caplog.records
    assert run["status"] == "interrupted"
    assert run["stopped"] == "interrupted"
    assert run["raw"].startswith("The night")
    assert again.text == "fine"
    # A turn without an answer is not shown to the model again.
    assert len(shown) == 2


def test_ctrl_c_while_a_model_thinks_is_felt_at_once(tmp_path: Path) -> None:
    with make_agent(tmp_path, "word " * 400, pause_s=0.02) as agent:
        events = agent.stream(QUESTION)
        next(events)
        threading.Timer(0.5, _interrupt).start()
        started = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            list(events)
        assert time.monotonic() - started < 10
        (run,) = agent.journal.runs()
    assert run["status"] == "interrupted"


def _interrupt() -> None:
    import signal

    signal.raise_signal(signal.SIGINT)


def test_a_locked_journal_costs_a_warning_and_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentlab.journal.BUSY_S", 0.05)
    Journal(tmp_path / "journal.sqlite").close()
    blocker = sqlite3.connect(tmp_path / "journal.sqlite")
    blocker.execute("BEGIN EXCLUSIVE")
    with make_agent(tmp_path, "Hi.", "Hi again.") as agent:
        first = list(agent.stream("Hello"))
        second = list(agent.stream("Hello"))
    blocker.close()
    warnings = [e.text for e in first if isinstance(e, Thought)]
    assert isinstance(first[-1], Answered)
    assert len(warnings) == 1
    assert "database is locked" in warnings[0]
    assert "journal = false" in warnings[0]
    assert not [event for event in second if isinstance(event, Thought)]


@pytest.mark.parametrize("name", ["journal.sqlite", "memory.sqlite"])
def test_a_file_that_is_no_database_costs_a_warning_and_no_answer(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes(b"not a database at all, only some bytes" * 40)
    with make_agent(tmp_path, call("hotel"), HOTEL) as agent:
        events = list(agent.stream(QUESTION))
    assert events[-1].answer.supported
    assert any("not a database" in e.text for e in events if isinstance(e, Thought))


def test_a_disk_that_fills_up_costs_a_warning_and_no_answer(tmp_path: Path) -> None:
    with make_agent(tmp_path, "Hi.", call("hotel"), HOTEL) as agent:
        agent.ask("Hello")
        for connection in (agent.memory.conn, agent.journal._connection):
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {pages}")
        events = list(agent.stream(QUESTION + " " * 5 + "x" * 60_000))
    assert events[-1].answer.text == "140 euros [1]"
    said = [e.text for e in events if isinstance(e, Thought)]
    assert any("conversation could not be kept" in text and "full" in text for text in said)
    assert any("journal" in text and "full" in text for text in said)


def test_only_the_newest_state_of_a_conversation_is_kept(tmp_path: Path) -> None:
    with make_agent(tmp_path, call("hotel"), HOTEL, "Hi.") as agent:
        thread = agent.ask(QUESTION).thread
        agent.ask("Hello", thread=thread)
        rows = agent.memory.conn.execute("SELECT count(*) FROM checkpoints").fetchone()[0]
        assert rows == 1
        assert len(agent.memory.messages(thread)) == 6


def test_conversations_are_listed_the_latest_first(tmp_path: Path) -> None:
    with make_agent(tmp_path, "A", "B", "C") as agent:
        first = agent.ask("One?").thread
        second = agent.ask("Two?").thread
        agent.ask("Three?", thread=first)
        listed = agent.threads()
    assert [(each.thread, each.title, each.turns) for each in listed] == [
        (first, "One?", 2),
        (second, "Two?", 1),
    ]


def test_an_unknown_conversation_is_named(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "memory.sqlite")
    with pytest.raises(UnknownThreadError, match="'nowhere'"):
        memory.conversation("nowhere")
    memory.close()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(MemoryStoreError, match="file"):
        Memory(tmp_path / "file" / "memory.sqlite")
    with pytest.raises(JournalError, match="file"):
        Journal(tmp_path / "file" / "journal.sqlite")


def test_a_journal_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(JournalError, match="newer agentlab"):
        Journal(path)


def test_two_programs_write_one_journal(tmp_path: Path) -> None:
    journals = [Journal(tmp_path / "journal.sqlite") for _ in range(2)]
    setup = Setup(model="m", engine="own")
    for index, journal in enumerate(journals):
        journal.begin(f"run{index}", thread="t", question="q", setup=setup)
    assert len(list(journals[0].runs(thread="t"))) == 2
    for journal in journals:
        journal.close()


def test_what_the_model_says_is_remembered_across_tool_calls(tmp_path: Path) -> None:
    with make_agent(tmp_path, call("hotel"), HOTEL) as agent:
        thread = agent.ask(QUESTION).thread
        kept = agent.memory.messages(thread)
    assert isinstance(kept[-1], AIMessage)
    assert kept[2].artifact is None


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps permissions otherwise")
def test_only_their_owner_reads_the_journal_and_the_conversations(tmp_path: Path) -> None:
    home = tmp_path / "home"
    Journal(home / "journal.sqlite").close()
    Memory(home / "memory.sqlite").close()
    modes = [path.stat().st_mode & 0o777 for path in (home, *sorted(home.glob("*.sqlite")))]
    assert modes == [0o700, 0o600, 0o600]
