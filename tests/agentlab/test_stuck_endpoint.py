"""An endpoint that takes a question and never answers: Ctrl-C, closing, and the time budget."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from scripted import ScriptedWeb, small_library

from agentlab.agent import Agent
from agentlab.answer import Answered, EvidenceSeen, Token
from agentlab.errors import BackendDownError
from agentlab.settings import Settings

QUESTION = "What may a hotel night cost?"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
WORD = b'data: {"id":"1","choices":[{"index":0,"delta":{"content":"Half "}}]}\n\n'


class Stuck(BaseHTTPRequestHandler):
    """Writes what the server is told to write, then nothing until the test is over."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append(time.monotonic())
        self.wfile.write(self.server.written)
        self.wfile.flush()
        self.server.over.wait(60)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def stuck() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Stuck)
    server.daemon_threads = True
    server.asked, server.written, server.over = [], b"", threading.Event()
    server.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    server.server_close()
    thread.join()


def make_agent(tmp_path: Path, url: str, **values: Any) -> Agent:
    settings = Settings(home=tmp_path, cache=tmp_path / "cache", base_url=url, model="m", **values)
    return Agent(settings, collection=small_library(), provider=ScriptedWeb())


def wait_until_asked(stuck: Any) -> None:
    deadline = time.monotonic() + 60
    while not stuck.asked and time.monotonic() < deadline:
        time.sleep(0.02)
    assert stuck.asked


def test_closing_the_stream_does_not_wait_for_an_answer(tmp_path: Path, stuck: Any) -> None:
    with make_agent(tmp_path, stuck.url) as agent:
        events = agent.stream(QUESTION)
        assert isinstance(next(events), EvidenceSeen)
        wait_until_asked(stuck)
        begun = time.monotonic()
        events.close()
        assert time.monotonic() - begun < 4
        (run,) = agent.journal.runs()
    assert run["status"] == "interrupted"
    assert len(stuck.asked) == 1
    assert not [t for t in threading.enumerate() if t.name == "agentlab-relay"]


@pytest.mark.parametrize("written", [b"", HEAD, HEAD + WORD])
def test_a_silent_endpoint_gets_the_time_budget_once(
    tmp_path: Path, stuck: Any, written: bytes
) -> None:
    stuck.written = written
    with make_agent(tmp_path, stuck.url, timeout_s=4) as agent:
        begun = time.monotonic()
        events = list(agent.stream(QUESTION))
    assert time.monotonic() - begun < 20
    assert isinstance(events[-1], Answered)
    answer = events[-1].answer
    assert answer.stopped == "time"
    assert len(stuck.asked) == 1
    if written.endswith(WORD):
        assert [e.text for e in events if isinstance(e, Token)] == ["Half "]
        assert answer.raw == "Half"
    else:
        assert "timeout_s" in answer.text


def test_an_endpoint_that_asks_for_more_patience_than_is_left_is_not_tried_again(
    tmp_path: Path, stuck: Any
) -> None:
    stuck.over.set()
    stuck.written = (
        b"HTTP/1.1 503 Busy\r\nRetry-After: 30\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
    waits_in_vain = pytest.raises(BackendDownError, match="503")
    with make_agent(tmp_path, stuck.url, timeout_s=20) as agent, waits_in_vain:
        agent.ask(QUESTION)
    assert len(stuck.asked) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="a process is sent Ctrl-C by a signal")
def test_ctrl_c_ends_ask_though_the_endpoint_is_silent(tmp_path: Path, stuck: Any) -> None:
    code = (
        "import sys; sys.argv[1:] = ['ask', 'What may a hotel night cost?', '--web', 'off'];"
        "from scripted import small_library; import agentlab.agent as a;"
        "a.open_collection = lambda *_, **__: small_library();"
        "from agentlab.cli.main import main; main()"
    )
    environment = os.environ | {
        "AGENTLAB_HOME": str(tmp_path),
        "AGENTLAB_BASE_URL": stuck.url,
        "AGENTLAB_MODEL": "m",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_until_asked(stuck)
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert time.monotonic() - begun < 40
