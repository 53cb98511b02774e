"""Embeddings of a server: batches, retries, and failures that say who can mend them."""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from ingest.addresses import is_here
from ingest.embedding.endpoint import EndpointEmbedder
from ingest.embedding.errors import EndpointError

KEY = "sk-very-secret-key"
Answer = tuple[int, Any]


def vector(text: str) -> list[float]:
    return [float(len(text)), 4.0, 0.0]


def whole(request: dict[str, Any]) -> Answer:
    rows = [
        {"object": "embedding", "index": index, "embedding": vector(text)}
        for index, text in enumerate(request["input"])
    ]
    return 200, {"object": "list", "model": request["model"], "data": rows[::-1]}


class Server:
    """A loopback server that answers as it is told, and keeps what it was asked."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.first: list[Answer] = []
        self.answer: Callable[[dict[str, Any]], Answer] = whole
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests.append(request)
                outer.keys.append(self.headers["Authorization"])
                status, body = outer.first.pop(0) if outer.first else outer.answer(request)
                content = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.send_header("retry-after-ms", "1")
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


@pytest.fixture
def embedder(server: Server) -> EndpointEmbedder:
    return EndpointEmbedder(model="e", base_url=server.url, api_key=KEY, batch_size=2)


def test_texts_go_in_batches_and_their_vectors_come_back_in_order_and_of_length_one(
    server: Server, embedder: EndpointEmbedder
) -> None:
    told: list[int] = []
    vectors = embedder.encode(["abc", "", "a"], told.append)
    assert vectors.dtype == np.float32
    assert np.allclose(vectors[0], [0.6, 0.8, 0])
    assert np.allclose(vectors[1], vectors[2])  # both are one letter on the way
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    assert [request["input"] for request in server.requests] == [["abc", "."], ["a"]]
    assert told == [2, 1]
    assert set(server.keys) == {f"Bearer {KEY}"}


def test_its_name_tells_its_vectors_from_those_of_our_own_models(
    embedder: EndpointEmbedder,
) -> None:
    assert embedder.name == "openai:e"


def test_the_dimension_is_found_out_once(server: Server, embedder: EndpointEmbedder) -> None:
    assert embedder.dimension == 3
    assert embedder.encode([]).shape == (0, 3)
    assert len(server.requests) == 1


def test_a_long_text_is_cut_and_a_token_is_at_most_four_letters(
    server: Server, embedder: EndpointEmbedder
) -> None:
    assert embedder.token_spans("Kestrels, fly") == [(0, 4), (4, 8), (8, 9), (10, 13)]
    embedder.encode(["word " * 2000])
    assert embedder.count_tokens(server.requests[0]["input"][0]) == embedder.max_tokens


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_a_busy_server_refuses_is_asked_again(
    server: Server, embedder: EndpointEmbedder, status: int
) -> None:
    server.first = [(status, {"error": {"message": "busy"}})]
    assert embedder.encode(["abc"]).shape == (1, 3)
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("answer", "remedy"),
    [
        ((401, {"error": {"message": f"bad key {KEY}"}}), "set embedder_api_key"),
        ((404, {"error": {"message": "no such model"}}), "end embedder_url in /v1"),
        ((400, {"error": {"message": "no"}}), "look at its log"),
        ((200, {"object": "list", "data": []}), "see whether this model is one for embeddings"),
        ((200, {"object": "list", "data": [{"index": 0, "embedding": [0.0]}]}), "direction"),
        ((200, {"object": "list", "data": [{"index": 5, "embedding": [1.0]}]}), "not usable"),
    ],
)
def test_a_failure_says_what_to_do_and_never_the_key(
    server: Server,
    embedder: EndpointEmbedder,
    answer: Answer,
    remedy: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.answer = lambda _: answer
    with caplog.at_level(logging.INFO), pytest.raises(EndpointError, match=remedy) as caught:
        embedder.encode(["abc"])
    assert KEY not in str(caught.value) + caplog.text


def test_a_server_that_changes_its_model_between_batches_is_refused(
    server: Server, embedder: EndpointEmbedder
) -> None:
    server.first = [
        (200, {"data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0]}]})
    ]
    with pytest.raises(EndpointError, match="vectors of several lengths"):
        embedder.encode(["a", "b", "c"])


def test_a_server_that_is_gone_is_named(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.embedding.endpoint._RETRIES", 0)
    embedder = EndpointEmbedder(model="e", base_url=server.url)
    server.close()
    with pytest.raises(EndpointError, match=r"127\.0\.0\.1:\d+ does not answer: start it"):
        embedder.encode(["abc"])


def test_openai_itself_needs_a_key() -> None:
    with pytest.raises(EndpointError, match="set embedder_api_key, or embedder_url"):
        EndpointEmbedder(model="text-embedding-3-small")


def test_a_server_on_this_machine_is_reached_past_a_proxy(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    embedder = EndpointEmbedder(model="e", base_url=server.url)
    assert len(embedder.encode(["abc"])) == 1


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://localhost:8000/v1", True),
        ("http://127.0.0.7/v1", True),
        ("http://[::1]:80/v1", True),
        ("http://0.0.0.0:8000/v1", True),
        ("https://api.openai.com/v1", False),
        ("http://127.0.0.1.example.org/v1", False),
    ],
)
def test_an_address_of_this_machine_is_known(url: str, here: bool) -> None:
    assert is_here(url) == here
