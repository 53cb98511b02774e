"""A loopback Weaviate: HTTP for the schema, gRPC for the data, real BM25, and faults on request.

It speaks the client's own protocol stubs, so the real client runs against it unchanged. Its fusion,
its checks and the wording of its refusals follow the server's.
"""

import json
import math
import re
import struct
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
import numpy as np
from google.protobuf.json_format import MessageToDict
from weaviate.proto.v1 import (
    aggregate_pb2,
    base_pb2,
    batch_delete_pb2,
    batch_pb2,
    properties_pb2,
    search_get_pb2,
    weaviate_pb2_grpc,
)

STOPWORDS = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be but by for if in into is it no not of on or such that the their then"
        " there these they this to was will with",
    )
)
CANDIDATES = 100
REACH = 10_000
HNSW_DEFAULTS = {
    "cleanupIntervalSeconds": 300,
    "distance": "cosine",
    "dynamicEfFactor": 8,
    "dynamicEfMax": 500,
    "dynamicEfMin": 100,
    "ef": -1,
    "efConstruction": 128,
    "flatSearchCutoff": 40000,
    "maxConnections": 32,
    "skip": False,
    "vectorCacheMaxObjects": 1_000_000_000_000,
}
SHARDING_DEFAULTS = {
    "virtualPerPhysical": 128,
    "desiredCount": 1,
    "actualCount": 1,
    "desiredVirtualCount": 128,
    "actualVirtualCount": 128,
    "key": "_id",
    "strategy": "hash",
    "function": "murmur3",
}


@dataclass
class Faults:
    """What goes wrong: set before the call that shall see it."""

    refuse: dict[str, tuple[int, str]] = field(default_factory=dict)  # uuid -> times, reason
    lose: set[str] = field(default_factory=set)  # uuids that are acknowledged but not kept
    keep_on_delete: set[str] = field(default_factory=set)
    unavailable: int = 0  # how many gRPC calls to answer with UNAVAILABLE
    slow_s: float = 0.0  # how long every gRPC call takes
    explain: bool = True
    hang_up: bool = False  # HTTP connections are closed without an answer
    http_status: int = 0  # every HTTP answer, with a page instead of JSON
    unready: bool = False  # it answers, but says that it is not ready
    stop_after: int = 0  # how many objects of a batch are kept before the call breaks off


@dataclass
class Stored:
    """One object of a class."""

    uuid: str
    properties: dict[str, Any]
    vector: np.ndarray | None


class FakeWeaviate:
    """A server that keeps its data over `stop` and `start`, on the same ports."""

    def __init__(
        self,
        *,
        version: str = "1.34.0",
        api_key: str | None = None,
        delete_limit: int = 10_000,
        nodes: int = 1,
        http_port: int = 0,
        grpc_port: int = 0,
    ) -> None:
        self.version = version
        self.nodes = nodes
        self.api_key = api_key
        self.delete_limit = delete_limit
        self.faults = Faults()
        self.schema: dict[str, dict[str, Any]] = {}
        self.objects: dict[str, dict[str, Stored]] = {}  # by class, or by class/tenant
        self.calls: Counter[str] = Counter()
        self.lock = threading.RLock()
        self.http_port = http_port
        self.grpc_port = grpc_port
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}?grpc={self.grpc_port}"

    def start(self) -> None:
        handler = type("Handler", (_Handler,), {"fake": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", self.http_port), handler)
        self._http.daemon_threads = True
        self.http_port = self._http.server_address[1]
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self._grpc = grpc.server(
            ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)], maximum_concurrent_rpcs=None
        )
        weaviate_pb2_grpc.add_WeaviateServicer_to_server(_Servicer(self), self._grpc)
        serving = grpc.unary_unary_rpc_method_handler(lambda request, context: b"\x08\x01")
        health = grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": serving})
        self._grpc.add_generic_rpc_handlers((health,))
        self.grpc_port = self._grpc.add_insecure_port(f"127.0.0.1:{self.grpc_port}")
        self._grpc.start()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
        self.stop_grpc()

    def stop_grpc(self) -> None:
        self._grpc.stop(grace=None).wait()


@contextmanager
def running(**options: Any) -> Iterator[FakeWeaviate]:
    fake = FakeWeaviate(**options)
    try:
        yield fake
    finally:
        fake.stop()


class _Handler(BaseHTTPRequestHandler):
    """The part of the REST interface that the client uses: meta and schema."""

    fake: FakeWeaviate
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the signature of the base
        """Say nothing."""

    def do_GET(self) -> None:
        if not self._admitted():
            return
        if self.path == "/v1/meta":
            self._answer(200, {"version": self.fake.version, "grpcMaxMessageSize": 104858000})
        elif self.path == "/v1/.well-known/ready":
            self._answer(503 if self.fake.faults.unready else 200, None)
        elif self.path == "/v1/nodes":
            names = [f"node{number}" for number in range(1, self.fake.nodes + 1)]
            nodes = [{"name": each, "status": "HEALTHY", "shards": None} for each in names]
            self._answer(200, {"nodes": nodes})
        elif found := re.fullmatch(r"/v1/schema/(\w+)", self.path):
            schema = self.fake.schema.get(found.group(1))
            self._answer(*((200, schema) if schema else (404, None)))
        else:
            self._answer(404, None)

    def do_HEAD(self) -> None:
        if self._admitted():
            name, _, tenant = self.path.removeprefix("/v1/schema/").partition("/tenants/")
            self._answer(200 if f"{name}/{tenant}" in self.fake.objects else 404, None)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._admitted():
            return
        if added := re.fullmatch(r"/v1/schema/(\w+)/properties", self.path):
            self.fake.schema[added.group(1)]["properties"].append(body)
            self._answer(200, body)
            return
        name = body["class"]
        if not re.fullmatch(r"[A-Z][_0-9A-Za-z]*", name):
            self._answer(422, _error(f"'{name}' is not a valid class name"))
        elif name in self.fake.schema:
            self._answer(422, _error(f"class name {name} already exists"))
        elif (wanted := body.get("replicationConfig", {}).get("factor", 1)) > self.fake.nodes:
            reason = f"not enough storage replicas: found {self.fake.nodes} want {wanted}"
            self._answer(422, _error(reason))
        else:
            fill_defaults(body)
            self.fake.schema[name] = body
            self.fake.objects.setdefault(name, {})
            self._answer(200, body)

    def do_DELETE(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self._admitted():
            name, _, tenants = self.path.removeprefix("/v1/schema/").partition("/")
            if tenants:
                for tenant in json.loads(body):
                    self.fake.objects.pop(f"{name}/{tenant}", None)
                self._answer(200, None)
                return
            self.fake.schema.pop(name, None)
            for each in [key for key in self.fake.objects if key.split("/")[0] == name]:
                del self.fake.objects[each]
            self._answer(200, None)

    def _admitted(self) -> bool:
        self.fake.calls["http"] += 1
        faults = self.fake.faults
        if faults.hang_up:
            self.close_connection = True
            return False
        if faults.http_status:
            self._send(faults.http_status, b"<html>Bad gateway</html>", "text/html")
            return False
        if _unauthorized(self.fake, self.headers.get("authorization")):
            self._answer(401, _error("invalid api key, please provide a valid api key"))
            return False
        return True

    def _answer(self, status: int, value: Any) -> None:
        self._send(status, b"" if value is None else json.dumps(value).encode(), "application/json")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Servicer(weaviate_pb2_grpc.WeaviateServicer):
    """Search, batch insert, batch delete and counting."""

    def __init__(self, fake: FakeWeaviate) -> None:
        self.fake = fake

    def Search(self, request: Any, context: Any) -> Any:  # noqa: N802 - names of the protocol
        self._enter("search", context)
        stored = self._class(request.collection, request.tenant, context)
        self._check_properties(request, context)
        with self.fake.lock:
            allowed = [each for each in stored.values() if _matches(request, each)]
        allowed.sort(key=lambda each: each.uuid)
        if request.HasField("hybrid_search"):
            found = _hybrid(self, request, allowed, context)
        else:
            if request.after and request.HasField("filters"):
                reason = "where filter and after parameter can't be used together"
                context.abort(grpc.StatusCode.UNKNOWN, reason)
            if request.offset + request.limit > REACH:
                context.abort(grpc.StatusCode.UNKNOWN, "query maximum results exceeded")
            after = [each for each in allowed if each.uuid > request.after][request.offset :]
            found = [(each, 0.0, "") for each in after[: request.limit or 100]]
        reply = search_get_pb2.SearchReply()
        for each, score, explained in found:
            reply.results.append(_result(request, each, score, explained))
        return reply

    def BatchObjects(self, request: Any, context: Any) -> Any:  # noqa: N802 - names of the protocol
        self._enter("write", context)
        reply = batch_pb2.BatchObjectsReply()
        for index, sent in enumerate(request.objects):
            if 0 < self.fake.faults.stop_after <= index:
                self.fake.faults.stop_after = 0
                context.abort(grpc.StatusCode.UNAVAILABLE, "the server is shutting down")
            stored = self._class(sent.collection, sent.tenant, context, write=True)
            reason = self._take(stored, sent)
            if reason:
                reply.errors.append(
                    batch_pb2.BatchObjectsReply.BatchError(index=index, error=reason)
                )
        return reply

    def BatchStream(self, requests: Any, context: Any) -> Iterator[Any]:  # noqa: N802 - names of the protocol
        self._enter("stream", context)
        replies = batch_pb2.BatchStreamReply
        yield replies(started=replies.Started())
        taken = 0
        for request in requests:
            if request.HasField("stop"):
                return
            results = replies.Results()
            sent = list(request.data.objects.values)
            yield replies(acks=replies.Acks(uuids=[each.uuid for each in sent]))
            for each in sent:
                taken += 1
                if 0 < self.fake.faults.stop_after < taken:
                    self.fake.faults.stop_after = 0
                    context.abort(grpc.StatusCode.UNAVAILABLE, "the server is shutting down")
                stored = self._class(each.collection, each.tenant, context, write=True)
                reason = self._take(stored, each)
                if reason:
                    results.errors.append(results.Error(error=reason, uuid=each.uuid))
                else:
                    results.successes.append(results.Success(uuid=each.uuid))
            yield replies(results=results)

    def BatchDelete(self, request: Any, context: Any) -> Any:  # noqa: N802 - names of the protocol
        self._enter("delete", context)
        stored = self._class(request.collection, request.tenant, context)
        with self.fake.lock:
            found = [each.uuid for each in stored.values() if _matches(request, each)]
            found = found[: self.fake.delete_limit]
            failed = [each for each in found if each in self.fake.faults.keep_on_delete]
            for each in set(found) - set(failed):
                del stored[each]
        return batch_delete_pb2.BatchDeleteReply(
            matches=len(found), successful=len(found) - len(failed), failed=len(failed)
        )

    def Aggregate(self, request: Any, context: Any) -> Any:  # noqa: N802 - names of the protocol
        self._enter("count", context)
        stored = self._class(request.collection, request.tenant, context)
        with self.fake.lock:
            count = sum(_matches(request, each) for each in stored.values())
        single = aggregate_pb2.AggregateReply.Single(objects_count=count)
        return aggregate_pb2.AggregateReply(single_result=single)

    def _enter(self, call: str, context: Any) -> None:
        self.fake.calls[call] += 1
        faults = self.fake.faults
        key = dict(context.invocation_metadata()).get("authorization")
        if _unauthorized(self.fake, key):
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "unauthorized: invalid api key")
        if faults.slow_s:
            time.sleep(faults.slow_s)
        if faults.unavailable > 0:
            faults.unavailable -= 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "the server is shutting down")

    def _class(
        self, name: str, tenant: str, context: Any, *, write: bool = False
    ) -> dict[str, Stored]:
        """Give the objects of a class or of its tenant, which the first write brings into being."""
        schema = self.fake.schema.get(name)
        if schema is None:
            context.abort(grpc.StatusCode.UNKNOWN, f"could not find class {name} in schema")
            raise AssertionError
        tenancy = schema.get("multiTenancyConfig", {})
        if bool(tenancy.get("enabled")) != bool(tenant):
            said = (
                "disabled, but request was with" if tenant else "enabled, but request was without"
            )
            context.abort(grpc.StatusCode.UNKNOWN, f"class {name} has multi-tenancy {said} tenant")
        key = f"{name}/{tenant}" if tenant else name
        if tenant and write and tenancy.get("autoTenantCreation"):
            self.fake.objects.setdefault(key, {})
        if key not in self.fake.objects:
            context.abort(grpc.StatusCode.UNKNOWN, f'tenant not found: "{tenant}"')
        return self.fake.objects[key]

    def _check_properties(self, request: Any, context: Any) -> None:
        own = {each["name"] for each in self.fake.schema[request.collection]["properties"]}
        for name in set(request.properties.non_ref_properties) - own:
            reason = f"no such prop with name '{name}' found in class '{request.collection}'"
            context.abort(grpc.StatusCode.UNKNOWN, f"{reason} in the schema")

    def _take(self, stored: dict[str, Stored], sent: Any) -> str:
        """Keep one object, or give the reason why not."""
        faults = self.fake.faults
        times, reason = faults.refuse.get(sent.uuid, (0, ""))
        if times > 0:
            faults.refuse[sent.uuid] = (times - 1, reason)
            return reason
        vector = _vector(sent)
        with self.fake.lock:
            other = next((each.vector for each in stored.values() if each.vector is not None), None)
            if vector is not None and other is not None and len(other) != len(vector):
                return (
                    f"new node has a vector with length {len(vector)}. Existing nodes have vectors"
                    f" with length {len(other)}: vector lengths don't match"
                )
            if sent.uuid not in faults.lose:
                values = MessageToDict(sent.properties.non_ref_properties)
                stored[str(uuid.UUID(sent.uuid))] = Stored(sent.uuid, values, vector)
        return ""


def fill_defaults(schema: dict[str, Any]) -> None:
    """Complete a new class with what the server states of its own accord."""
    inverted = schema.setdefault("invertedIndexConfig", {})
    inverted.setdefault("bm25", {"b": 0.75, "k1": 1.2})
    inverted.setdefault("cleanupIntervalSeconds", 60)
    words = inverted.setdefault("stopwords", {})
    for name, value in (("preset", "en"), ("additions", None), ("removals", None)):
        words.setdefault(name, value)
    schema.setdefault("replicationConfig", {"factor": 1})
    schema.setdefault("multiTenancyConfig", {"enabled": False})
    schema["shardingConfig"] = SHARDING_DEFAULTS
    for each in schema.get("properties", []):
        each.setdefault("indexFilterable", True)
        each.setdefault("indexSearchable", each["dataType"] == ["text"])
    for vector in schema.get("vectorConfig", {}).values():
        config = vector.setdefault("vectorIndexConfig", {})
        vector["vectorIndexConfig"] = HNSW_DEFAULTS | config


def _error(message: str) -> dict[str, Any]:
    return {"error": [{"message": message}]}


def _unauthorized(fake: FakeWeaviate, header: str | None) -> bool:
    return fake.api_key is not None and header != f"Bearer {fake.api_key}"


def _vector(sent: Any) -> np.ndarray | None:
    raw = sent.vector_bytes or (sent.vectors[0].vector_bytes if sent.vectors else b"")
    return np.frombuffer(raw, dtype="<f4") if raw else None


def _matches(request: Any, stored: Stored) -> bool:
    return not request.HasField("filters") or _filter(request.filters, stored)


def _filter(wanted: Any, stored: Stored) -> bool:
    kinds = base_pb2.Filters
    if wanted.operator == kinds.OPERATOR_AND:
        return all(_filter(each, stored) for each in wanted.filters)
    if wanted.operator == kinds.OPERATOR_OR:
        return any(_filter(each, stored) for each in wanted.filters)
    name = wanted.target.property
    value = stored.uuid if name == "_id" else stored.properties.get(name)
    given = getattr(wanted, wanted.WhichOneof("test_value"))
    if wanted.operator == kinds.OPERATOR_EQUAL:
        return bool(value == given)
    if wanted.operator == kinds.OPERATOR_CONTAINS_ANY:
        return value in list(given.values)
    raise NotImplementedError(kinds.Operator.Name(wanted.operator))


def _words(text: str) -> list[str]:
    return [each for each in re.findall(r"[^\W_]+", text.lower()) if each not in STOPWORDS]


def _bm25(query: str, objects: list[Stored], names: list[str]) -> dict[str, float]:
    texts = {
        each.uuid: Counter(_words(" ".join(str(each.properties.get(name, "")) for name in names)))
        for each in objects
    }
    mean = sum(sum(each.values()) for each in texts.values()) / max(1, len(texts))
    scores: dict[str, float] = {}
    for word in dict.fromkeys(_words(query)):
        holders = sum(word in each for each in texts.values())
        idf = math.log(1 + (len(texts) - holders + 0.5) / (holders + 0.5))
        for key, counts in texts.items():
            if count := counts[word]:
                norm = 1.2 * (1 - 0.75 + 0.75 * sum(counts.values()) / mean)
                scores[key] = scores.get(key, 0.0) + idf * count * 2.2 / (count + norm)
    return scores


def _hybrid(
    servicer: _Servicer, request: Any, objects: list[Stored], context: Any
) -> list[tuple[Stored, float, str]]:
    asked = request.hybrid_search
    alpha = asked.alpha_param if asked.use_alpha_param else asked.alpha
    arms: list[tuple[str, float, dict[str, float]]] = []
    if alpha < 1:
        if not asked.query:
            context.abort(grpc.StatusCode.UNKNOWN, "hybrid: the keyword search needs a query")
        scores = _bm25(asked.query, objects, [each.split("^")[0] for each in asked.properties])
        arms.append(("keyword,bm25", 1 - alpha, scores))
    if alpha > 0:
        vector = np.frombuffer(_hybrid_vector(asked), dtype="<f4")
        arms.append(("vector,hybridVector", alpha, _near(vector, objects, context)))
    fused: dict[str, float] = {}
    explained: dict[str, str] = {}
    for name, weight, scores in arms:
        best = dict(sorted(scores.items(), key=lambda item: -item[1])[:CANDIDATES])
        low, high = min(best.values(), default=0.0), max(best.values(), default=0.0)
        for key, score in best.items():
            part = weight if high == low else weight * (score - low) / (high - low)
            line = (
                f"\nHybrid (Result Set {name}) Document {key}: original score {score:g},"
                f" normalized score: {part:g}"
            )
            explained[key] = line + (f" - {explained[key]}" if key in explained else "")
            fused[key] = fused.get(key, 0.0) + part
    by_id = {each.uuid: each for each in objects}
    order = sorted(fused, key=lambda key: (-fused[key], key))[: request.limit]
    silent = not servicer.fake.faults.explain
    return [(by_id[key], fused[key], "" if silent else explained[key]) for key in order]


def _hybrid_vector(asked: Any) -> bytes:
    near = asked.near_vector
    for each in (asked, near):
        if each.vector_bytes:
            return bytes(each.vector_bytes)
        if each.vectors:
            return bytes(each.vectors[0].vector_bytes)
    return struct.pack(f"<{len(near.vector)}f", *near.vector)


def _near(vector: np.ndarray, objects: list[Stored], context: Any) -> dict[str, float]:
    scores = {}
    for each in objects:
        if each.vector is None:
            continue
        if len(each.vector) != len(vector):
            context.abort(
                grpc.StatusCode.UNKNOWN,
                f"vector lengths don't match: {len(each.vector)} vs {len(vector)}",
            )
        length = float(np.linalg.norm(each.vector) * np.linalg.norm(vector))
        scores[each.uuid] = float(np.dot(each.vector, vector)) / length if length else 0.0
    return scores


def _result(request: Any, stored: Stored, score: float, explained: str) -> Any:
    metadata = search_get_pb2.MetadataResult(
        id=stored.uuid,
        id_as_bytes=uuid.UUID(stored.uuid).bytes,
        score=score,
        score_present=True,
        explain_score=explained,
        explain_score_present=bool(explained),
        creation_time_unix=1,
        creation_time_unix_present=True,
        last_update_time_unix=1,
        last_update_time_unix_present=True,
    )
    if request.metadata.vector and stored.vector is not None:
        metadata.vectors.append(
            base_pb2.Vectors(
                name="default",
                vector_bytes=stored.vector.astype("<f4").tobytes(),
                type=base_pb2.Vectors.VECTOR_TYPE_SINGLE_FP32,
            )
        )
    wanted: Callable[[str], bool] = lambda name: (  # noqa: E731 - one expression, used once below
        request.properties.return_all_nonref_properties
        or name in request.properties.non_ref_properties
    )
    values = properties_pb2.Properties()
    for name, value in stored.properties.items():
        if not wanted(name):
            continue
        if isinstance(value, str):
            values.fields[name].text_value = value
        else:
            values.fields[name].int_value = int(value)
    return search_get_pb2.SearchResult(
        metadata=metadata,
        properties=search_get_pb2.PropertiesResult(
            non_ref_props=values, target_collection=request.collection
        ),
    )
