"""The REPL: what each line does, how it is interrupted, and what it survives."""

import io
from pathlib import Path

import pytest
from fake_agent import PAGE, FakeAgent
from rich.console import Console

from agentlab.answer import Token
from agentlab.cli import slash
from agentlab.cli.lines import PlainLines, completions
from agentlab.cli.repl import Repl
from agentlab.console import THEME
from agentlab.errors import INTERRUPTED, OK, BackendDownError
from agentlab.memory import Conversation
from agentlab.settings import Settings


class Typed:
    """Lines as a person would type them; an exception is raised in its turn."""

    def __init__(self, *lines):
        self.lines = list(lines)

    def read(self):
        if not self.lines:
            raise EOFError
        line = self.lines.pop(0)
        if isinstance(line, BaseException):
            raise line
        return line


@pytest.fixture
def agents():
    return []


@pytest.fixture
def repl(agents, tmp_path):
    models = []

    def open_agent(settings):
        agents.append(
            FakeAgent(
                settings, models=models, known=[Conversation("t1", "Hello?", 2, "2026-11-21")]
            )
        )
        return agents[-1]

    screen = Console(file=io.StringIO(), width=100, theme=THEME, highlight=False)
    return Repl(Settings(home=tmp_path, web="off"), screen=screen, open_agent=open_agent)


def shown(repl) -> str:
    return repl.screen.file.getvalue()


def test_questions_share_one_thread(repl, agents):
    assert repl.run(Typed("How many nights?", "And abroad?")) == OK
    assert agents[0].asked == [("How many nights?", None), ("And abroad?", "thread-1")]


@pytest.mark.parametrize("line", ["exit", "quit", "QUIT", "/quit", "/exit"])
def test_each_way_out_leaves(repl, agents, line):
    assert repl.run(Typed(line, "never asked")) == OK
    assert agents[0].asked == []


def test_leaving_closes_the_agent(repl, agents):
    with repl:
        repl.run(Typed())
    assert agents[0].closed


def test_help_lists_every_command(repl):
    repl.run(Typed("/help"))
    assert all(command.name in shown(repl) for command in slash.COMMANDS)


def test_an_unknown_command_is_no_question(repl, agents):
    repl.run(Typed("/hlep"))
    assert "There is no /hlep" in shown(repl)
    assert agents[0].asked == []


def test_sources_and_cite_show_what_the_answer_rests_on(repl):
    repl.run(Typed("How many?", "/sources", "/cite 1", "/cite [1]", "/cite 9", "/cite"))
    assert shown(repl).count(PAGE.text) == 2
    assert "There is no source 9" in shown(repl)
    assert "There is no source without a number" in shown(repl)


def test_trace_shows_arguments_observation_and_the_raw_message(repl):
    repl.run(Typed("/trace", "How many?", "/trace"))
    assert "No answer yet" in shown(repl)
    assert "Evidence: strong" in shown(repl)
    assert "Answer: Three [1]" in shown(repl)


def test_web_on_and_off_begin_with_a_new_agent_and_keep_the_thread(repl, agents):
    repl.run(Typed("How many?", "/web on", "And now?", "/web bing"))
    assert [agent.settings.web for agent in agents] == ["off", "auto"]
    assert agents[0].closed
    assert agents[1].asked == [("And now?", "thread-1")]
    assert "There is no web provider bing" in shown(repl)


def test_a_model_that_cannot_start_leaves_the_old_one_in_place(repl, agents):
    repl.run(Typed("/model broken", "How many?"))
    assert "broken does not answer" in shown(repl)
    assert repl.settings.model == "starter"
    assert agents[0].asked
    assert (agents[0].closed, agents[1].closed) == (False, True)


def test_the_open_model_is_handed_over_when_the_web_search_changes(repl, agents):
    with repl:
        model = repl.agent.model
        repl.run(Typed("/web on"))
        assert repl.agent.model is model
        assert agents[0].models == ["starter opens"]
    assert agents[0].models == ["starter opens", "starter closes"]


def test_a_web_search_that_changes_before_any_question_opens_no_model(repl, agents):
    repl.run(Typed("/web on"))
    assert agents[0].models == []


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        ("vllm", ["starter opens", "starter closes", "other opens"]),
        ("transformers", ["starter opens", "other opens", "starter closes"]),
    ],
)
def test_a_model_on_vllm_makes_room_for_the_next_one(repl, agents, monkeypatch, engine, expected):
    monkeypatch.setattr("agentlab.model.model_folder", lambda *_: None)
    repl.agent.settings = repl.settings = repl.settings.model_copy(update={"engine": engine})
    _ = repl.agent.model
    repl.run(Typed("/model other"))
    assert agents[0].models == expected


def test_a_model_on_vllm_that_had_to_end_for_a_broken_one_starts_again(repl, agents, monkeypatch):
    monkeypatch.setattr("agentlab.model.model_folder", lambda *_: None)
    repl.agent.settings = repl.settings = repl.settings.model_copy(update={"engine": "vllm"})
    _ = repl.agent.model
    repl.run(Typed("/model broken"))
    assert "broken does not answer" in shown(repl)
    _ = repl.agent.model
    assert agents[0].models == ["starter opens", "starter closes", "starter opens"]


def test_a_model_on_vllm_goes_on_where_the_next_one_cannot_be_had(repl, agents, tmp_path):
    repl.agent.settings = repl.settings = repl.settings.model_copy(update={"engine": "vllm"})
    _ = repl.agent.model
    repl.run(Typed(f"/model {tmp_path}/nowhere"))
    assert "does not exist" in shown(repl)
    assert agents[0].models == ["starter opens"]


def test_retry_asks_the_last_question_again(repl, agents):
    repl.run(Typed("/retry", "How many?", "/retry"))
    assert [question for question, _ in agents[0].asked] == ["How many?", "How many?"]


def test_threads_are_listed_and_resumed(repl, agents):
    repl.run(Typed("/threads", "/resume t1", "Go on", "/resume t9"))
    assert "t1" in shown(repl)
    assert agents[0].asked == [("Go on", "t1")]
    assert "There is no conversation 't9'" in shown(repl)


@pytest.mark.parametrize("command", ["/clear", "/new"])
def test_clear_begins_a_new_conversation(repl, agents, command):
    repl.run(Typed("How many?", command, "Hello?"))
    assert agents[0].asked[-1] == ("Hello?", None)


def test_save_writes_markdown_and_overwrites_nothing(repl, tmp_path):
    path = tmp_path / "talk.md"
    repl.run(Typed(f"/save {path}", "How many?", f"/save {path}", f"/save {path}"))
    assert path.read_text().startswith("## How many?")
    assert f"{path} exists" in shown(repl)


def test_saving_where_it_cannot_be_written_is_one_line(repl, tmp_path):
    repl.run(Typed("How many?", f"/save {tmp_path / 'none' / 'talk.md'}"))
    assert "Check the path and its permissions" in shown(repl)


def test_a_failed_turn_is_one_line_and_the_conversation_goes_on(repl, agents):
    agents[0].script = [Token("Thr"), BackendDownError("The model server died: start it again.")]
    repl.handle("How many?")
    agents[0].script = None
    repl.handle("How many?")
    assert "The model server died: start it again." in shown(repl)
    assert "Three nights" in shown(repl)
    assert "Traceback" not in shown(repl)


def test_ctrl_c_keeps_the_partial_answer_and_the_conversation(repl, agents):
    agents[0].script = [Token("Three "), Token("nights"), KeyboardInterrupt()]
    assert repl.run(Typed("How many?")) == OK
    assert "Three nights" in shown(repl)
    assert agents[0].stream_closed


def test_a_second_ctrl_c_within_two_seconds_leaves(repl, agents):
    agents[0].script = [Token("Three "), KeyboardInterrupt()]
    assert repl.run(Typed("How many?", KeyboardInterrupt(), "never")) == INTERRUPTED
    assert len(agents[0].asked) == 1


def test_ctrl_c_at_the_prompt_asks_once_more(repl, monkeypatch):
    times = iter([100.0, 110.0, 111.0])
    monkeypatch.setattr("agentlab.cli.repl.time.monotonic", lambda: next(times))
    left = repl.run(Typed(KeyboardInterrupt(), KeyboardInterrupt(), KeyboardInterrupt(), "never"))
    assert left == INTERRUPTED
    assert shown(repl).count("Ctrl-C again to leave") == 2


def test_feedback_goes_to_the_journal(repl, agents):
    repl.run(Typed("/good", "How many?", "/good", "/bad", "/fix", "/fix Two nights."))
    assert agents[0].said == [
        ("run-1", "good", None),
        ("run-1", "bad", None),
        ("run-1", "better", "Two nights."),
    ]
    assert "Write the better answer after /fix" in shown(repl)


def test_the_greeting_names_library_model_and_web(repl):
    repl.greet(["How many nights?"])
    assert "3 documents, 36 pages · starter · web off" in shown(repl)
    assert "try: How many nights?" in shown(repl)


def test_slash_commands_and_their_arguments_complete():
    assert ("/sources", 2) in list(completions(slash.choices(), "/s"))
    assert list(completions(slash.choices(), "/web of")) == [("off", 2)]
    assert list(completions(slash.choices(), "a question")) == []


def test_lines_of_a_pipe_skip_blanks_and_end(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("\nHow many?\n\n"))
    lines = PlainLines()
    assert lines.read() == "How many?"
    assert capsys.readouterr().out == "› How many?\n"
    with pytest.raises(EOFError):
        lines.read()


def test_a_line_of_a_pipe_that_is_not_utf_8_costs_no_other(monkeypatch):
    piped = io.TextIOWrapper(io.BytesIO(b"caf\xe9?\nHow many?\n"), encoding="utf-8")
    monkeypatch.setattr("sys.stdin", piped)
    lines = PlainLines()
    assert [lines.read(), lines.read()] == ["caf\ufffd?", "How many?"]


def test_history_lies_in_the_home_and_is_private(tmp_path):
    from agentlab.cli.lines import _open_history

    path = tmp_path / "new" / "history"
    history = _open_history(path)
    history.append_string("How many?")
    assert "How many?" in path.read_text()
    assert path.stat().st_mode & 0o077 == 0


def test_history_that_cannot_be_written_is_kept_in_memory():
    from agentlab.cli.lines import _open_history

    _open_history(Path("/proc/none/history")).append_string("How many?")
