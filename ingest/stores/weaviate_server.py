"""A Weaviate server: its address, a connection to it, and what its failures mean."""

import logging
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import grpc
import httpx
import weaviate
from weaviate.classes.init import AdditionalConfig, Auth, Timeout
from weaviate.exceptions import (
    AuthenticationFailedError,
    UnexpectedStatusCodeError,
    WeaviateConnectionError,
    WeaviateGRPCUnavailableError,
    WeaviateStartUpError,
    WeaviateTimeoutError,
)

from ingest.errors import (
    StoreAccessError,
    StoreError,
    StoreFullError,
    StoreMismatchError,
    StoreUnreachableError,
)
from ingest.stores import weaviate_embedded as embedded

Result = TypeVar("Result")

_CLOUD = (".weaviate.cloud", ".weaviate.network")
_UNREACHABLE = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
}
_CONNECTION = (
    httpx.TransportError,
    WeaviateConnectionError,
    WeaviateGRPCUnavailableError,
    WeaviateStartUpError,
    WeaviateTimeoutError,
)
_REFUSED = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}
_FULL = ("read-only", "no space left", "disk usage")
_TOO_OLD = "is not supported. Please use Weaviate version"
_TOO_FEW_NODES = ("storage replicas", "enough weaviate nodes", "replication factor")
_OTHER_VECTORS = ("vector lengths don't match", "vector dimension", "vector length")


@dataclass(frozen=True)
class Address:
    """Where a server listens: HTTP for the schema, gRPC for the data."""

    host: str
    port: int
    secure: bool
    grpc_host: str
    grpc_port: int

    @classmethod
    def parse(cls, url: str, grpc: str | None = None) -> "Address":
        """Read `http://host:8080`; `grpc` or `?grpc=` names another gRPC place: port, host:port."""
        if url == embedded.EMBEDDED:
            return cls(embedded.HOST, embedded.PORT, False, embedded.HOST, embedded.GRPC_PORT)
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            host, port = parts.hostname, parts.port
            named = grpc or parse_qs(parts.query).get("grpc", [""])[0]
            grpc_host, _, grpc_port = named.rpartition(":")
            number = int(grpc_port) if grpc_port else 0
        except ValueError:
            host = None
        if not host or parts.scheme not in {"http", "https"}:
            message = (
                f"{url!r}{f' with gRPC at {grpc!r}' if grpc else ''} is no address of a Weaviate"
                " server; write it like http://localhost:8080 (with ?grpc=50051 where gRPC listens"
                " on another port)"
            )
            raise StoreUnreachableError(message)
        secure = parts.scheme == "https"
        cloud = host.endswith(_CLOUD)
        return cls(
            host=host,
            port=port or (443 if secure else 8080),
            secure=secure,
            grpc_host=grpc_host or (f"grpc-{host}" if cloud else host),
            grpc_port=number or (443 if cloud else 50051),
        )

    @property
    def grpc_target(self) -> str:
        """Give the gRPC place as host:port."""
        return f"{self.grpc_host}:{self.grpc_port}"


class Server:
    """An open connection; every call to it has a deadline and fails as a StoreError.

    The url "embedded" stands for a server that is started here, with its data in `folder` and its
    binary in `binaries`.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None,
        timeout_s: float,
        init_timeout_s: float | None = None,
        insert_timeout_s: float | None = None,
        grpc: str | None = None,
        folder: Path | None = None,
        binaries: Path | None = None,
    ) -> None:
        self.url = url
        self.timeout_s = timeout_s
        self._folder = folder
        self._binaries = binaries
        self.address = Address.parse(url, grpc)
        self._init_s = init_timeout_s or timeout_s
        self._insert_s = insert_timeout_s or timeout_s
        # The client logs every refused object whole; the refusals are raised with their reasons.
        logging.getLogger("weaviate-client").setLevel(logging.CRITICAL)
        connect = partial(self._connect, api_key)
        starts = self.url == embedded.EMBEDDED and not embedded.is_running()
        limit_s = embedded.FETCHING_S if starts else self._init_s
        self.client = self.ask("connect", connect, timeout_s=limit_s)
        try:
            self.ask("connect by gRPC", self._reach_grpc, timeout_s=self._init_s)
        except StoreError:
            self.client.close()
            raise

    def ask(
        self, action: str, call: Callable[[], Result], *, timeout_s: float | None = None
    ) -> Result:
        """Run one call of the client and wait for it until the deadline.

        The client repeats unavailable calls by itself, which rides out a restart but may take
        over a minute; so the call runs beside, and is left behind when its time is up.
        """
        done: queue.SimpleQueue[tuple[Any, Exception | None]] = queue.SimpleQueue()

        def run() -> None:
            try:
                done.put((call(), None))
            except Exception as error:  # noqa: BLE001 - handed to the caller, whatever it is
                done.put((None, error))

        threading.Thread(target=run, name=f"weaviate {action}", daemon=True).start()
        limit_s = timeout_s or self.timeout_s
        try:
            value, error = done.get(timeout=limit_s)
        except queue.Empty:
            message = (
                f"Weaviate at {self.url} did not {action} within {limit_s:g} s; look at its log, or"
                " allow more time (weaviate_init_s, weaviate_query_s, weaviate_insert_s)"
            )
            raise StoreUnreachableError(message) from None
        if error is not None:
            raise self._explain(action, error) from error
        result: Result = value
        return result

    def version(self) -> str:
        """Ask the server for its version."""
        return str(self.ask("tell its version", self.client.get_meta)["version"])

    def close(self) -> None:
        """Close the connection."""
        self.client.close()

    def _connect(self, api_key: str | None) -> weaviate.WeaviateClient:
        # These end one try of a call; the deadline of `ask` ends the client's repetitions too.
        timeout = Timeout(init=self._init_s, query=self.timeout_s, insert=self._insert_s)
        if self.url == embedded.EMBEDDED and not embedded.is_running():
            return self._start(AdditionalConfig(timeout=timeout))
        # The initial checks of the client ask the package index for its newest version.
        return weaviate.connect_to_custom(
            http_host=self.address.host,
            http_port=self.address.port,
            http_secure=self.address.secure,
            grpc_host=self.address.grpc_host,
            grpc_port=self.address.grpc_port,
            grpc_secure=self.address.secure,
            auth_credentials=Auth.api_key(api_key) if api_key else None,
            additional_config=AdditionalConfig(timeout=timeout),
            skip_init_checks=True,
        )

    def _start(self, additional: AdditionalConfig) -> weaviate.WeaviateClient:
        assert self._folder is not None  # noqa: S101 - StoreConfig has checked it
        try:
            client = embedded.new_client(self._folder, self._binaries, additional)
            client.connect()
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise StoreUnreachableError(embedded.remedy(reason)) from error
        return client

    def _reach_grpc(self) -> None:
        target = self.address.grpc_target
        if self.address.secure:
            channel = grpc.secure_channel(target, grpc.ssl_channel_credentials())
        else:
            channel = grpc.insecure_channel(target)
        with channel:
            try:
                channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=self._init_s)
            except grpc.RpcError as error:
                # Any other answer, a refused key too, comes from a server that is there.
                if not set(_codes(error)) & _UNREACHABLE:
                    return
                message = (
                    f"Weaviate at {self.url} answers by HTTP, but not by gRPC at {target}; publish"
                    " that port, or name the right one: "
                    f"http://{self.address.host}:{self.address.port}?grpc=PORT"
                )
                raise StoreUnreachableError(message) from None

    def _explain(self, action: str, error: Exception) -> StoreError:
        if isinstance(error, StoreError):
            return error
        codes = set(_codes(error))
        reason = " ".join(str(error).split())[:400]
        if codes & {401, 403} or codes & _REFUSED or isinstance(error, AuthenticationFailedError):
            return StoreAccessError(
                f"Weaviate at {self.url} refuses to {action}: the API key is missing or wrong; set"
                " WEAVIATE_API_KEY to a key of that server"
            )
        if _TOO_OLD in reason:
            return StoreMismatchError(
                f"Weaviate at {self.url} is too old: {reason} agentlab store compose prints a file"
                " that starts a newer one"
            )
        unreached = isinstance(error, _CONNECTION) or codes & _UNREACHABLE
        if unreached or codes & {502, 503, 504}:
            return StoreUnreachableError(
                f"Weaviate at {self.url} cannot {action}: it is not reachable; start it (docker run"
                " -p 8080:8080 -p 50051:50051 cr.weaviate.io/semitechnologies/weaviate), or"
                f" correct the address ({reason})"
            )
        return refusal(f"Weaviate at {self.url} failed to {action}: {reason}", reason)


def refusal(message: str, reason: str, otherwise: type[StoreError] = StoreError) -> StoreError:
    """Make the error that fits a reason which the server gave."""
    lowered = reason.lower()
    if any(sign in lowered for sign in _FULL):
        return StoreFullError(f"{message}; free disk space on the server and make it writable")
    if any(sign in lowered for sign in _OTHER_VECTORS):
        return StoreMismatchError(
            f"{message}; the collection was made by another embedder: use that one, or a new"
            " collection"
        )
    if any(sign in lowered for sign in _TOO_FEW_NODES):
        return StoreMismatchError(
            f"{message}; set weaviate_replicas to no more than the number of its nodes"
        )
    return otherwise(message)


def _codes(error: BaseException | None) -> Iterator[Any]:
    """Give the HTTP and gRPC status codes behind an error; the client hides most in the context."""
    while error is not None:
        if isinstance(error, UnexpectedStatusCodeError):
            yield error.status_code
        if isinstance(error, grpc.Call):
            yield error.code()
        error = error.__cause__ or error.__context__
