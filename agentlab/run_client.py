"""RunClient: HTTP to a model's server, each request ending with the run that it is made for."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import httpx
import openai

from agentlab.trace import Trace
from ingest.addresses import is_here

# A server that does not even take a connection by then is not there.
CONNECT_S = 10.0
_run: ContextVar[Trace | None] = ContextVar("run", default=None)


@contextmanager
def within(trace: Trace) -> Iterator[None]:
    """Let the requests made here end when the run does: cancelled, or out of time."""
    outer = _run.set(trace)
    # A moment late, so that the budget is spent by the clock when the connection breaks.
    timer = threading.Timer(max(trace.left, 0) + 0.01, trace.hang_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        trace.connection = None
        _run.reset(outer)


class RunClient(httpx.Client):
    """A client whose blocked reads fail at once when the run of `within` is over.

    Then RunCancelledError is raised; what times out otherwise is not tried again.
    """

    def __init__(self, url: str) -> None:
        # A connection for each request: its socket is then known to be this run's alone.
        super().__init__(
            limits=httpx.Limits(max_keepalive_connections=0),
            trust_env=not is_here(url),
            follow_redirects=True,
        )

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send a request within what is left of the run's time."""
        trace = _run.get()
        if trace is None:
            return super().send(request, **options)
        trace.check()
        # openai names the request of another httpx than the one that it is given here.
        sent: Any = request
        request.extensions |= {"timeout": _limits(trace.left), "trace": _Watch(trace)}
        try:
            response = super().send(request, **options)
        except httpx.TimeoutException as error:
            trace.check()
            raise openai.APITimeoutError(request=sent) from error
        except httpx.HTTPError:
            trace.check()
            raise
        if _asked_wait(response) > trace.left:
            response.headers["x-should-retry"] = "false"
        return response


class _Watch:
    """Hears of the connections of a request, and lets the run break the latest."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace

    def __call__(self, event: str, info: dict[str, Any]) -> None:
        made = info.get("return_value")
        if not event.endswith((".connect_tcp.complete", ".start_tls.complete")) or made is None:
            return
        connection = made.get_extra_info("socket")

        def shut() -> None:
            # Closing it would not wake the thread that reads from it.
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

        self._trace.connection = shut
        if self._trace.over:
            shut()


def _limits(left: float) -> dict[str, float]:
    # The run's own clock ends a read; this is for a clock that failed to.
    return {"connect": min(CONNECT_S, left), "read": left + 1, "write": left + 1, "pool": left}


def _asked_wait(response: httpx.Response) -> float:
    """Tell how many seconds a server asks to be left alone."""
    try:
        return float(response.headers.get("retry-after", 0))
    except ValueError:
        return 0.0
