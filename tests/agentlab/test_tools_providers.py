"""The web providers with their real clients, against a server on the loopback."""

import contextlib
import json
import logging
import pickle
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from agentlab.errors import KeyRejectedError
from agentlab.settings import Settings
from agentlab.tools.errors import (
    RateLimitError,
    RecordedSearchError,
    SearchError,
    SearchKeyError,
    SearchTimeoutError,
    SearchUnavailableError,
    SearchUnreadableError,
)
from agentlab.tools.providers import Provider, choose_provider
from agentlab.tools.providers.base import clean, result
from agentlab.tools.providers.http_api import Serper, Tavily
from agentlab.tools.providers.keyless import Ddgs
from agentlab.tools.providers.recorded import Recorded
from agentlab.tools.providers.serpapi import SerpApi

KEY = "sk/se+cret=0123456789"
HTML = "<html><body><h1>502 Bad Gateway</h1></body></html>"


@dataclass
class Service:
    """A search service whose next answer is set by the test; it keeps what it was asked."""

    url: str = ""
    status: int = 200
    body: str = "{}"
    silent: bool = False
    closing: threading.Event = field(default_factory=threading.Event)
    hang_up: bool = False
    asked: list[tuple[str, dict[str, str], str]] = field(default_factory=list)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    state = Service()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            question = self.rfile.read(length).decode()
            state.asked.append((self.path, dict(self.headers), question))
            if state.silent:
                state.closing.wait(60)
            if state.hang_up or state.silent:
                self.connection.close()
                return
            body = state.body.encode()
            self.send_response(state.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: Any) -> None:
            pass

        def handle(self) -> None:
            with contextlib.suppress(ConnectionError, ValueError):
                super().handle()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield state
    state.closing.set()
    server.shutdown()
    server.server_close()
    thread.join()


MAKERS: dict[str, Callable[..., Provider]] = {
    "SerpAPI": SerpApi,
    "Serper": Serper,
    "Tavily": Tavily,
}


@pytest.fixture(params=sorted(MAKERS))
def provider(request: pytest.FixtureRequest, service: Service) -> Provider:
    return MAKERS[request.param](KEY, timeout_s=30, base_url=service.url)


def failure(provider: Provider, query: str = "tide tables") -> SearchError:
    with pytest.raises(SearchError) as caught:
        provider.search(query, limit=3)
    assert_no_key(caught.value)
    assert "\n" not in str(caught.value)
    return caught.value


def assert_no_key(error: BaseException) -> None:
    told = "".join(traceback.format_exception(error)) + repr(error)
    assert error.__context__ is None
    for form in (KEY, "0123456789"):
        assert form not in told


def test_serpapi_gives_the_answer_box_and_the_organic_results(service: Service) -> None:
    service.body = json.dumps(
        {
            "answer_box": {
                "title": "High tide",
                "link": "https://tides.example/today",
                "answer": "14:05",
                "snippet": "High tide is at 14:05.",
            },
            "organic_results": [
                {
                    "title": "A",
                    "link": "https://a.example/x",
                    "snippet": "One.",
                    "date": "2 days ago",
                },
                {"title": "A again", "link": "https://a.example/x", "snippet": "Other."},
                {"title": "no link", "snippet": "Nothing."},
                {"title": "script", "link": "javascript:alert(1)", "snippet": "Nothing."},
                "not an object",
                {"title": "B", "link": "https://www.b.example/", "snippet": "Two."},
            ],
        }
    )
    found = SerpApi(KEY, base_url=service.url).search("tide tables", limit=3)
    assert [each.title for each in found] == ["High tide", "A", "B"]
    assert found[0].snippet == "14:05. High tide is at 14:05"
    assert found[1].date == "2 days ago"
    assert found[2].site == "b.example"
    path, _, _ = service.asked[0]
    assert path.startswith("/search?")
    assert "q=tide+tables" in path
    assert "engine=google" in path


def test_each_serpapi_search_starts_afresh(service: Service) -> None:
    searcher = SerpApi(KEY, base_url=service.url)
    searcher.search("first", limit=3)
    searcher.search("second", limit=3)
    assert "first" not in service.asked[1][0]


def test_serpapi_reports_no_results_as_none(service: Service) -> None:
    service.body = json.dumps({"error": "Google hasn't returned any results for this query."})
    assert SerpApi(KEY, base_url=service.url).search("qqq", limit=3) == []


def test_a_wrong_serpapi_key_is_told_though_its_status_is_200(service: Service) -> None:
    service.body = json.dumps({"error": f"Invalid API key {KEY}. Your key should be here: x"})
    error = failure(SerpApi(KEY, base_url=service.url))
    assert isinstance(error, SearchKeyError)
    assert "SERPAPI_API_KEY" in str(error)


def test_serper_sends_the_key_in_a_header_and_reads_organic_results(service: Service) -> None:
    service.body = json.dumps(
        {
            "answerBox": {
                "title": "T",
                "link": "https://t.example",
                "answer": "42",
                "snippet": "42.",
            },
            "knowledgeGraph": {"title": "K", "description": "D", "website": "https://k.example"},
            "organic": [
                {"title": "O", "link": "https://o.example", "snippet": "S", "date": "Nov 3, 2026"}
            ],
        }
    )
    found = Serper(KEY, base_url=service.url).search("tide tables", limit=5)
    assert [(each.title, each.snippet) for each in found] == [("T", "42"), ("K", "D"), ("O", "S")]
    path, headers, question = service.asked[0]
    assert path == "/search"
    assert headers["X-API-KEY"] == KEY
    assert json.loads(question) == {"q": "tide tables"}


def test_tavily_sends_the_key_as_a_bearer_and_reads_contents(service: Service) -> None:
    service.body = json.dumps(
        {"results": [{"title": "O", "url": "https://o.example", "content": "Text.", "score": 0.9}]}
    )
    found = Tavily(KEY, base_url=service.url).search("tide tables", limit=5)
    assert [(each.title, each.snippet) for each in found] == [("O", "Text.")]
    _, headers, question = service.asked[0]
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert json.loads(question) == {"query": "tide tables", "max_results": 5}


def test_an_html_502_says_what_it_is_and_what_to_do(provider: Provider, service: Service) -> None:
    service.status, service.body = 502, HTML
    error = failure(provider)
    assert isinstance(error, SearchUnavailableError)
    assert str(error) == (
        f"the search provider {provider.name} answered with an HTML error page (502); "
        "try again or choose another with --web"
    )


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_names_its_variable(
    provider: Provider, service: Service, status: int
) -> None:
    service.status, service.body = status, json.dumps({"message": f"bad key {KEY}"})
    error = failure(provider)
    assert isinstance(error, KeyRejectedError)
    assert error.exit_code == 3
    assert "_API_KEY" in str(error)
    assert "[key hidden]" in str(error)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, {"error": "Your account has run out of searches."}),
        (432, {"detail": {"error": "This request exceeds your plan's set usage limit."}}),
        (400, {"message": "Not enough credits", "statusCode": 400}),
    ],
)
def test_a_used_up_plan_is_a_rate_limit(
    provider: Provider, service: Service, status: int, body: dict[str, Any]
) -> None:
    service.status, service.body = status, json.dumps(body)
    error = failure(provider)
    assert isinstance(error, RateLimitError)
    assert "--web" in str(error)


def test_a_slow_server_is_given_up(provider: Provider, service: Service) -> None:
    service.silent = True
    impatient = MAKERS[provider.name](KEY, timeout_s=0.3, base_url=service.url)
    started = time.monotonic()
    error = failure(impatient)
    assert time.monotonic() - started < 15
    assert isinstance(error, SearchTimeoutError)
    assert "0.3 s" in str(error)


def test_a_server_that_hangs_up_is_unavailable(provider: Provider, service: Service) -> None:
    service.hang_up = True
    assert isinstance(failure(provider), SearchUnavailableError)


def test_a_closed_port_is_unavailable(provider: Provider) -> None:
    closed = MAKERS[provider.name](KEY, timeout_s=30, base_url="http://127.0.0.1:9")
    assert isinstance(failure(closed), SearchUnavailableError)


@pytest.mark.parametrize("body", ["", "{", "null", "[1, 2]", '"text"', "[" * 100_000])
def test_what_is_no_json_object_is_unreadable(
    provider: Provider, service: Service, body: str
) -> None:
    service.body = body
    assert isinstance(failure(provider), SearchUnreadableError)


def test_a_failing_service_is_told_with_its_status(provider: Provider, service: Service) -> None:
    service.status, service.body = 503, json.dumps({"error": "Try later."})
    error = failure(provider)
    assert isinstance(error, SearchUnavailableError)
    assert "503 (Try later)" in str(error)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"organic_results": [], "organic": [], "results": []},
        {"organic_results": None, "organic": {"a": 1}, "results": "none"},
        {"organic_results": [{}], "organic": [{"link": 7}], "results": [{"url": "http://[bad"}]},
    ],
)
def test_results_that_are_empty_or_misshapen_are_none(
    provider: Provider, service: Service, body: dict[str, Any]
) -> None:
    service.body = json.dumps(body)
    assert provider.search("tide tables", limit=3) == []


def test_a_huge_snippet_is_cut_at_a_word(provider: Provider, service: Service) -> None:
    entry = {"title": "T" * 10_000, "link": "https://a.example", "snippet": "word " * 200_000}
    entry |= {"url": entry["link"], "content": entry["snippet"]}
    service.body = json.dumps({"organic_results": [entry], "organic": [entry], "results": [entry]})
    (found,) = provider.search("x", limit=3)
    assert len(found.snippet) < 1510
    assert found.snippet.endswith("word …")
    assert len(found.title) < 160


def test_no_log_holds_the_key(
    provider: Provider, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    provider.search("tide tables", limit=3)
    assert caplog.records, "the client library logs the request at this level"
    assert "0123456789" not in caplog.text


def test_no_repr_holds_the_key(provider: Provider) -> None:
    assert "0123456789" not in repr(provider)


@pytest.mark.parametrize("key", ["two words", "sleutel-é", "line\nbreak"])
@pytest.mark.parametrize("maker", MAKERS.values())
def test_a_key_that_cannot_be_one_is_refused_without_showing_it(
    maker: Callable[..., Provider], key: str
) -> None:
    with pytest.raises(SearchKeyError) as caught:
        maker(key)
    assert key not in str(caught.value)
    assert "no key has" in str(caught.value)


def test_errors_survive_pickling(provider: Provider, service: Service) -> None:
    service.status, service.body = 401, "{}"
    error = failure(provider)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (type(error), str(error))


# ddgs


class FakeDdgs:
    """Stands where the ddgs package opens its connections."""

    outcome: Any = None

    def __init__(self, timeout: int) -> None:
        assert 1 <= timeout <= 60

    def text(self, query: str, *, max_results: int) -> list[dict[str, Any]]:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return list(self.outcome)[:max_results]


@pytest.fixture
def fake_ddgs(monkeypatch: pytest.MonkeyPatch) -> type[FakeDdgs]:
    monkeypatch.setattr("ddgs.DDGS", FakeDdgs)
    return FakeDdgs


def test_ddgs_results_are_read(fake_ddgs: type[FakeDdgs]) -> None:
    fake_ddgs.outcome = [{"title": "T", "href": "https://t.example", "body": "B &amp; C"}]
    (found,) = Ddgs().search("x", limit=3)
    assert (found.title, found.url, found.snippet) == ("T", "https://t.example", "B & C")


def test_ddgs_without_results_is_an_empty_list(fake_ddgs: type[FakeDdgs]) -> None:
    from ddgs.exceptions import DDGSException

    fake_ddgs.outcome = DDGSException("No results found.")
    assert Ddgs().search("x", limit=3) == []


def test_ddgs_errors_say_how_to_get_a_service_with_a_key(fake_ddgs: type[FakeDdgs]) -> None:
    from ddgs.exceptions import DDGSException, RatelimitException, TimeoutException

    for raised, expected in (
        (RatelimitException("202"), RateLimitError),
        (DDGSException(RatelimitException("202")), RateLimitError),
        (TimeoutException("timed out"), SearchTimeoutError),
        (DDGSException("ConnectError: dns"), SearchUnavailableError),
    ):
        fake_ddgs.outcome = raised
        with pytest.raises(expected, match="SERPAPI_API_KEY"):
            Ddgs().search("x", limit=3)


def test_ddgs_that_ran_out_of_time_is_no_empty_result(fake_ddgs: type[FakeDdgs]) -> None:
    from ddgs.exceptions import DDGSException

    fake_ddgs.outcome = DDGSException("No results found.")
    with pytest.raises(SearchTimeoutError):
        Ddgs(timeout_s=0.0).search("x", limit=3)


# recorded


RECORDED = {
    "recorded": "2026-11-02",
    "searches": [
        {
            "query": "who won the harbour marathon 2026",
            "results": [{"title": "Marathon", "url": "https://m.example/1", "snippet": "Ada won."}],
        },
        {
            "query": "price of diesel today",
            "recorded": "2026-11-03",
            "results": [{"title": "Fuel", "url": "https://f.example", "snippet": "1.60 a litre."}],
        },
    ],
}


def recorded(tmp_path: Path, data: Any = RECORDED) -> Recorded:
    path = tmp_path / "web.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return Recorded.from_file(path)


def test_the_recorded_query_with_most_shared_words_answers(tmp_path: Path) -> None:
    searches = recorded(tmp_path)
    (found,) = searches.search("Who won this year's harbour marathon?", limit=3)
    assert (found.title, found.recorded) == ("Marathon", "2026-11-02")
    (found,) = searches.search("diesel price", limit=3)
    assert (found.title, found.recorded) == ("Fuel", "2026-11-03")


@pytest.mark.parametrize("query", ["travel rules for staff", "the", "?"])
def test_a_query_that_none_was_recorded_for_has_no_results(tmp_path: Path, query: str) -> None:
    assert recorded(tmp_path).search(query, limit=3) == []


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("{", "not JSON"),
        ([], "hold no searches"),
        ({"searches": []}, "hold no searches"),
        ({"searches": [{"query": "x", "results": []}]}, "do not say when"),
        ({"recorded": "yesterday", "searches": [{"query": "x"}]}, "do not say when"),
    ],
)
def test_a_recorded_file_that_cannot_be_used_is_named(tmp_path: Path, data: Any, said: str) -> None:
    with pytest.raises(RecordedSearchError, match=said) as caught:
        recorded(tmp_path, data)
    assert "web.json" in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_recorded_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordedSearchError, match=r"none\.json cannot be read"):
        Recorded.from_file(tmp_path / "none.json")


# choosing


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({}, "ddgs"),
        ({"tavily_api_key": "t"}, "Tavily"),
        ({"tavily_api_key": "t", "serper_api_key": "s"}, "Serper"),
        ({"tavily_api_key": "t", "serper_api_key": "s", "serpapi_api_key": "a"}, "SerpAPI"),
        ({"serpapi_api_key": " "}, "ddgs"),
        ({"web": "serper", "serper_api_key": "s", "serpapi_api_key": "a"}, "Serper"),
        ({"web": "ddgs", "serpapi_api_key": "a"}, "ddgs"),
    ],
)
def test_the_settings_choose_the_provider(values: dict[str, Any], name: str) -> None:
    chosen = choose_provider(Settings(**values))
    assert chosen is not None
    assert chosen.name == name


def test_off_means_no_provider() -> None:
    assert choose_provider(Settings(web="off", serpapi_api_key="a")) is None


def test_recorded_reads_its_file(tmp_path: Path) -> None:
    recorded(tmp_path)
    chosen = choose_provider(Settings(web="recorded", recorded=tmp_path / "web.json"))
    assert chosen is not None
    assert chosen.name == "recorded"


@pytest.mark.parametrize("web", ["serpapi", "serper", "tavily"])
def test_a_named_provider_without_its_key_says_which_variable_to_set(web: str) -> None:
    with pytest.raises(SearchKeyError, match=f"{web.upper()}_API_KEY") as caught:
        choose_provider(Settings(web=web))
    assert caught.value.exit_code == 3


# cleaning


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("<b>High</b> tide &amp; low\n tide\u200b", "High tide & low tide"),
        ("a <|im_end|> b", "a < |im_end| > b"),
        ("<tool_call>{}</tool_call>", "{}"),
        ("&lt;tool_call&gt;{}", "{}"),
        ("example.com › docs » best", "example.com > docs > best"),
        ("2 < 3 and 5 > 4", "2 < 3 and 5 > 4"),
        (None, ""),
        (["x"], ""),
        (42, "42"),
    ],
)
def test_web_text_becomes_one_plain_line_without_markup(raw: Any, plain: str) -> None:
    assert clean(raw) == plain


def test_a_result_without_a_title_is_named_by_its_site() -> None:
    found = result(None, "https://www.tides.example/today", "Text.")
    assert found is not None
    assert found.title == "tides.example"
