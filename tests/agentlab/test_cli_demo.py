"""`agentlab demo`: its home, its recorded web, its three questions."""

import io

from fake_agent import FakeAgent

from agentlab.cli import demo
from agentlab.cli.main import run
from agentlab.demo import HANDBOOKS, WEB
from agentlab.resolving import load_settings


def resolved(tmp_path, **environ):
    return load_settings(environ={"AGENTLAB_HOME": str(tmp_path), **environ})


def test_the_demo_has_a_home_of_its_own_and_recorded_results(tmp_path):
    settings = demo.demo_settings(resolved(tmp_path), None)
    assert settings.home == tmp_path / "demo"
    assert (settings.web, settings.recorded) == ("recorded", WEB)


def test_a_key_or_a_choice_brings_the_live_web(tmp_path):
    keyed = demo.demo_settings(resolved(tmp_path, SERPER_API_KEY="k"), None)
    chosen = demo.demo_settings(resolved(tmp_path, AGENTLAB_WEB="ddgs"), None)
    assert (keyed.web, chosen.web) == ("auto", "ddgs")


def test_a_home_that_is_given_is_taken_as_it_is(tmp_path):
    assert demo.demo_settings(resolved(tmp_path), tmp_path / "x").home == tmp_path / "x"


def test_the_demo_reads_into_no_library_that_others_search(tmp_path):
    shared = {
        "AGENTLAB_STORE": "weaviate",
        "WEAVIATE_URL": "http://team:8080",
        "AGENTLAB_COLLECTION": "team",
        "AGENTLAB_WEAVIATE_TENANT": "north",
    }
    settings = demo.demo_settings(resolved(tmp_path, **shared), None)
    assert (settings.store, settings.collection) == ("lancedb", "library")
    assert settings.weaviate_tenant is None


def test_there_are_three_questions_and_three_handbooks():
    assert len(demo.questions()) == 3
    assert len(list(HANDBOOKS.glob("*.pdf"))) >= 3


def test_without_a_terminal_the_questions_are_asked_in_one_conversation(
    tmp_path, monkeypatch, capsys
):
    opened = []

    def open_agent(settings, progress=None):
        opened.append(FakeAgent(settings))
        return opened[-1]

    prepared = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("agentlab.agent.Agent", open_agent)
    monkeypatch.setattr("agentlab.cli.demo.prepare", prepared.append)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert run(["demo", "--home", str(tmp_path / "home")]) == 0
    first, second, third = demo.questions()
    assert opened[0].asked == [(first, None), (second, "thread-1"), (third, "thread-1")]
    assert capsys.readouterr().out.count("Three nights [1]") == 3
    assert len(prepared) == 1
