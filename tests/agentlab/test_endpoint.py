"""An OpenAI-compatible endpoint, played by a server on the loopback: answers and failures."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from scripted import ScriptedWeb, small_library

from agentlab.agent import Agent
from agentlab.answer import Token
from agentlab.errors import (
    AgentlabError,
    BackendDownError,
    KeyRejectedError,
    ModelRefusedError,
    ToolsUnsupportedError,
)
from agentlab.settings import Settings

QUESTION = "What may a hotel night cost?"
Reply = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Gives the server's replies in order and keeps what it was asked."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append(json.loads(body))
        self.server.keys.append(self.headers["Authorization"])
        replies = self.server.replies
        (replies.pop(0) if len(replies) > 1 else replies[0])(self)

    def log_message(self, *arguments: Any) -> None:
        pass


def refusal(status: int, message: str, code: str | None = None) -> Reply:
    def reply(handler: Handler) -> None:
        body = json.dumps({"error": {"message": message, "code": code, "type": "x"}}).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return reply


def stream(*deltas: dict[str, Any], dies: bool = False) -> Reply:
    def reply(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for delta in deltas:
            choice = {"index": 0, "delta": delta, "finish_reason": None}
            write(handler, {"id": "1", "object": "chat.completion.chunk", "choices": [choice]})
        if dies:
            handler.wfile.flush()
            handler.close_connection = True
            return
        usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
        write(handler, {"id": "1", "choices": [], "usage": usage})
        write(handler, "[DONE]")
        handler.wfile.write(b"0\r\n\r\n")

    return reply


def write(handler: Handler, event: Any) -> None:
    data = event if isinstance(event, str) else json.dumps(event)
    line = f"data: {data}\n\n".encode()
    handler.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")


def tool_call(query: str) -> dict[str, Any]:
    function = {"name": "search_documents", "arguments": json.dumps({"query": query})}
    return {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": function}]}


@pytest.fixture
def endpoint() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.keys, server.replies = [], [], []
    server.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def make_agent(tmp_path: Path, url: str, **values: Any) -> Agent:
    settings = Settings(
        home=tmp_path, cache=tmp_path / "cache", base_url=url, model="some-model", **values
    )
    return Agent(settings, collection=small_library(), provider=ScriptedWeb())


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentlab.endpoint.RETRIES", 0)


def test_an_endpoint_that_streams_a_call_and_an_answer_is_used_like_any_model(
    tmp_path: Path, endpoint: Any
) -> None:
    endpoint.replies[:] = [
        stream(tool_call("hotel night cost")),
        stream({"content": "Answer: 140"}, {"content": " euros [1]"}),
    ]
    with make_agent(tmp_path, endpoint.url) as agent:
        events = list(agent.stream(QUESTION))
    answer = events[-1].answer
    assert answer.text == "140 euros [1]"
    assert answer.supported
    assert [e.text for e in events if isinstance(e, Token)] == ["Answer: 140", " euros [1]"]
    assert answer.usage.prompt_tokens == 14
    assert endpoint.asked[0]["tools"][0]["function"]["name"] == "search_documents"
    assert endpoint.asked[0]["max_tokens"] == 256


def test_an_empty_list_of_tools_is_never_sent(tmp_path: Path, endpoint: Any) -> None:
    endpoint.replies[:] = [stream(tool_call("hotel")), stream({"content": "Answer: 140 [1]"})]
    with make_agent(tmp_path, endpoint.url, max_steps=1) as agent:
        assert agent.ask(QUESTION).stopped == "steps"
    assert "tools" not in endpoint.asked[-1]


@pytest.mark.parametrize(
    ("reply", "kind", "code", "words"),
    [
        (refusal(401, "bad key"), KeyRejectedError, 3, "refuses the key"),
        (refusal(429, "empty", "insufficient_quota"), KeyRejectedError, 3, "no credit"),
        (refusal(429, "slow down"), BackendDownError, 4, "wait"),
        (refusal(404, "no such model"), ModelRefusedError, 1, "does not know the model"),
        (
            refusal(400, '"auto" tool choice requires --enable-auto-tool-choice'),
            ToolsUnsupportedError,
            1,
            "cannot call tools",
        ),
        (refusal(400, "maximum context length is 2048"), ModelRefusedError, 1, "too long"),
        (refusal(503, "loading"), BackendDownError, 4, "failed (503)"),
    ],
)
def test_what_an_endpoint_refuses_becomes_one_line_with_its_exit_code(
    tmp_path: Path, endpoint: Any, reply: Reply, kind: type[AgentlabError], code: int, words: str
) -> None:
    endpoint.replies[:] = [reply]
    with make_agent(tmp_path, endpoint.url) as agent, pytest.raises(kind) as raised:
        agent.ask(QUESTION)
    assert raised.value.exit_code == code
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_server_that_dies_in_the_middle_of_an_answer_is_named(
    tmp_path: Path, endpoint: Any
) -> None:
    endpoint.replies[:] = [stream({"content": "The night "}, {"content": "costs"}, dies=True)]
    with make_agent(tmp_path, endpoint.url) as agent:
        with pytest.raises(BackendDownError, match="in the middle of an answer") as raised:
            list(agent.stream(QUESTION))
        (run,) = agent.journal.runs()
    assert raised.value.exit_code == 4
    assert (run["status"], run["raw"]) == ("failed", "The night costs")
    assert "broke off" in run["error"]


def test_a_web_page_in_the_place_of_an_answer_points_to_the_address(
    tmp_path: Path, endpoint: Any
) -> None:
    def page(handler: Handler) -> None:
        body = b"<html>Welcome</html>"
        handler.send_response(200)
        handler.send_header("Content-Type", "text/html")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    endpoint.replies = [page]
    with (
        make_agent(tmp_path, endpoint.url) as agent,
        pytest.raises(ModelRefusedError, match="not as a model server does: correct base_url"),
    ):
        agent.ask(QUESTION)


def test_an_endpoint_that_is_not_there_is_named_with_its_address(tmp_path: Path) -> None:
    with make_agent(tmp_path, "http://127.0.0.1:9/v1") as agent:
        with pytest.raises(BackendDownError, match=r"127\.0\.0\.1:9 cannot be reached") as raised:
            agent.ask(QUESTION)
        assert raised.value.exit_code == 4


def test_openai_without_a_key_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, cache=tmp_path, engine="openai", model="gpt-5-mini")
    agent = Agent(settings, collection=small_library(), provider=ScriptedWeb())
    with agent, pytest.raises(KeyRejectedError, match="OPENAI_API_KEY"):
        agent.ask(QUESTION)


def test_leaving_in_the_middle_of_an_answer_ends_the_request(tmp_path: Path, endpoint: Any) -> None:
    endpoint.replies[:] = [stream(*({"content": f"word{n} "} for n in range(50)))]
    with make_agent(tmp_path, endpoint.url) as agent:
        events = agent.stream(QUESTION)
        for event in events:
            if isinstance(event, Token):
                break
        events.close()
        (run,) = agent.journal.runs()
    assert run["status"] == "interrupted"
    assert run["raw"].startswith("word0")


def test_a_model_on_this_machine_is_reached_past_a_proxy(
    tmp_path: Path, endpoint: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.upper(), "http://127.0.0.1:9")
    endpoint.replies[:] = [stream({"content": "Hello."})]
    with make_agent(tmp_path, endpoint.url) as agent:
        assert agent.ask(QUESTION).text == "Hello."


def test_an_address_is_told_without_its_credentials(tmp_path: Path, endpoint: Any) -> None:
    url = endpoint.url.replace("//", "//me:word@")
    for reply in (refusal(404, "none"), refusal(401, "bad"), refusal(503, "busy")):
        endpoint.replies[:] = [reply]
        with make_agent(tmp_path, url) as agent, pytest.raises(AgentlabError) as raised:
            agent.ask(QUESTION)
        assert "127.0.0.1" in str(raised.value)
        assert "word" not in str(raised.value)


def test_a_key_of_openai_is_not_sent_elsewhere(tmp_path: Path, endpoint: Any) -> None:
    endpoint.replies[:] = [refusal(401, "who?")]
    refused = pytest.raises(KeyRejectedError, match="OpenAI alone")
    with make_agent(tmp_path, endpoint.url, openai_api_key="sk-openai") as agent, refused:
        agent.ask(QUESTION)
    assert endpoint.keys == ["Bearer none"]
