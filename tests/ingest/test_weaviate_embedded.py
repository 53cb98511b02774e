"""The embedded Weaviate: the client starts and ends a binary, here one that stands in for it."""

import hashlib
import json
import os
import socket
import sys
from pathlib import Path

import numpy as np
import pytest

from ingest.config import StoreConfig
from ingest.documents import Chunk
from ingest.errors import StoreUnreachableError
from ingest.stores import open_store
from ingest.stores import weaviate_embedded as embedded

TESTS = Path(__file__).resolve().parents[1]
CHUNK = Chunk("6f7d2f0e-5f0a-5d0e-9a35-6d3c1b1c8f10", "text", "d", "a.pdf", "A", 1, 0, 4, "", "e")
BINARY = f"""#!{sys.executable}
import json, os, signal, sys
sys.path.insert(0, {str(TESTS)!r})
from weaviate_fake import FakeWeaviate
port = int(sys.argv[sys.argv.index("--port") + 1])
told = {{name: os.environ[name] for name in ("DISABLE_TELEMETRY", "PERSISTENCE_DATA_PATH")}}
open(os.path.join(os.path.dirname(sys.argv[0]), "told.json"), "w").write(json.dumps(told))
fake = FakeWeaviate(http_port=port, grpc_port=int(os.environ["GRPC_PORT"]))
signal.sigwait([signal.SIGTERM])
fake.stop()
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoreConfig:
    monkeypatch.setattr(embedded, "PORT", free_port())
    monkeypatch.setattr(embedded, "GRPC_PORT", free_port())
    folder = tmp_path / "store"
    return StoreConfig(kind="weaviate", url="embedded", folder=folder, binaries=tmp_path / "bin")


@pytest.mark.skipif(sys.platform == "win32", reason="the client knows Linux and macOS only")
def test_a_server_is_started_from_its_binary_shared_and_ended(config: StoreConfig) -> None:
    assert config.binaries
    tag = f"v{embedded.VERSION}"
    binary = config.binaries / f"weaviate-{tag}-{hashlib.sha256(tag.encode()).hexdigest()}"
    binary.parent.mkdir()
    binary.write_text(BINARY)
    binary.chmod(0o700)
    store = open_store(config)
    try:
        store.write([CHUNK], np.ones((1, 4), np.float32))
        other = open_store(config)  # finds the running one
        assert other.count() == 1
        other.close()
        assert store.count() == 1
    finally:
        store.close()
    assert not embedded.is_running()
    told = json.loads((config.binaries / "told.json").read_text())
    assert told["DISABLE_TELEMETRY"] == "true"
    assert Path(told["PERSISTENCE_DATA_PATH"]) == Path(str(config.folder), "weaviate")


def test_where_it_cannot_be_fetched_the_remedy_is_told(
    config: StoreConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("urllib.request.urlretrieve", refused)
    with pytest.raises(StoreUnreachableError, match=r"does not start \(no network\).*binaries"):
        open_store(config)


def test_its_data_need_a_folder() -> None:
    with pytest.raises(ValueError, match="needs `folder`"):
        StoreConfig(kind="weaviate", url="embedded")
    assert os.environ.get("DISABLE_TELEMETRY") is None
