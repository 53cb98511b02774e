"""`agentlab ask`: the answer on stdout, the rest on stderr, and the exit codes."""

import io
import json

import pytest
from fake_agent import BAD, FakeAgent, answer, events

from agentlab.answer import Token
from agentlab.cli.main import run
from agentlab.errors import BackendDownError, BudgetError, KeyRejectedError
from agentlab.memory import Conversation


@pytest.fixture
def agents(tmp_path, monkeypatch):
    """Puts fakes in the place of the agent; `agents.script` is what they replay."""
    opened = Opened()

    def open_agent(settings, progress=None):
        agent = FakeAgent(settings, script=opened.script)
        agent.known = [
            Conversation(name, "Hello?", 1, "2026-11-21") for name in ("latest", "earlier")
        ]
        opened.append(agent)
        return agent

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGENTLAB_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("agentlab.agent.Agent", open_agent)
    return opened


class Opened(list):
    script = None


def test_the_answer_alone_is_on_stdout(agents, capsys):
    assert run(["ask", "How", "many", "nights?"]) == 0
    out, err = capsys.readouterr()
    assert out == "Three nights [1]\n"
    assert "search_documents “hotel nights”" in err
    assert "✓ [1]" in err
    assert agents[0].asked == [("How many nights?", None)]


def test_no_colour_codes_off_a_terminal(agents, capsys):
    run(["ask", "How many?"])
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err


def test_quiet_leaves_only_the_answer(agents, capsys):
    assert run(["ask", "How many?", "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_a_question_can_come_from_a_pipe(agents, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("How many?\n"))
    assert run(["ask", "-"]) == 0
    assert agents[0].asked == [("How many?", None)]


def test_an_empty_question_ends_with_2(agents, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    assert run(["ask", "-"]) == 2
    assert "The question is empty" in capsys.readouterr().err
    assert not agents


def test_an_unknown_thread_ends_with_2_and_begins_no_conversation(agents, capsys):
    assert run(["ask", "How many?", "--thread", "nosuch"]) == 2
    assert "There is no conversation 'nosuch'" in capsys.readouterr().err
    assert agents[0].asked == []


def test_json_holds_text_citations_steps_and_sources(agents, capsys):
    assert run(["ask", "How many?", "--json"]) == 0
    given = json.loads(capsys.readouterr().out)
    assert given["text"] == "Three nights [1]"
    assert given["supported"] is True
    assert given["confidence"] is None  # nobody read the fake's page
    assert given["citations"][0]["source"]["page"] == 7
    assert given["steps"][0]["arguments"] == {"query": "hotel nights"}


def test_a_conversation_goes_on_by_id_or_with_c(agents):
    run(["ask", "And abroad?", "--thread", "earlier"])
    run(["ask", "And abroad?", "-c"])
    assert [agent.asked[0][1] for agent in agents] == ["earlier", "latest"]


def test_flags_become_settings(agents):
    run(["ask", "x", "--web", "off", "--timeout", "9", "--model", "smollm2-135m"])
    settings = agents[0].settings
    assert (settings.web, settings.timeout_s, settings.model) == ("off", 9, "smollm2-135m")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"abstained": True, "citations": ()}, 5),
        ({"stopped": "time"}, 124),
        ({"stopped": "empty", "citations": ()}, 1),
        ({"stopped": "steps"}, 0),
        ({"citations": (BAD,)}, 0),
    ],
)
def test_the_exit_code_tells_what_kind_of_answer_it_is(agents, changes, code):
    agents.script = events(answer(**changes))
    assert run(["ask", "How many?"]) == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (KeyRejectedError("SerpAPI refuses the key: set SERPAPI_API_KEY."), 3),
        (BackendDownError("http://127.0.0.1:9 does not answer: start the server."), 4),
        (BudgetError("180 s passed: raise timeout_s."), 124),
    ],
)
def test_a_failure_in_the_middle_of_an_answer_is_one_line(agents, capsys, error, code):
    agents.script = [Token("Thr"), error]
    assert run(["ask", "How many?"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"agentlab: {error}\n"


def test_ctrl_c_keeps_what_was_written_and_ends_with_130(agents, capsys):
    agents.script = [Token("Three "), Token("nights"), KeyboardInterrupt()]
    assert run(["ask", "How many?"]) == 130
    assert capsys.readouterr().out == "Three nights\n"
    assert agents[0].closed


def test_chat_reads_the_lines_of_a_pipe(agents, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("How many?\n/sources\nquit\n"))
    assert run(["chat", "-c"]) == 0
    out = capsys.readouterr().out
    assert "Going on with latest" in out
    assert "› How many?" in out
    assert "Three nights [1]" in out
    assert agents[0].asked == [("How many?", "latest")]


def test_chat_with_an_unknown_thread_ends_with_2(agents, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert run(["chat", "--thread", "t9"]) == 2
    assert "There is no conversation 't9'" in capsys.readouterr().err
