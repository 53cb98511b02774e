"""The embedded Weaviate: a server of its released binary, which this process starts and ends.

The first process that needs it starts it; others on this machine find it at its ports. The client
looks for `weaviate-v<version>-<sha256 of v<version>>` in the folder of binaries, and fetches the
release where it is not there. Linux and macOS only.
"""

import socket
from pathlib import Path

import weaviate
from weaviate.classes.init import AdditionalConfig
from weaviate.embedded import EmbeddedOptions

EMBEDDED = "embedded"
VERSION = "1.34.0"
HOST = "127.0.0.1"
PORT, GRPC_PORT = 8079, 50060
FETCHING_S = 600.0
"""The deadline of connecting to it: the release is about 60 MB."""


def is_running() -> bool:
    """Tell whether a server listens already at both of its ports."""
    for port in (PORT, GRPC_PORT):
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)):
                return False
    return True


def new_client(
    folder: Path, binaries: Path | None, additional: AdditionalConfig
) -> weaviate.WeaviateClient:
    """Give a client that starts the server when it connects, and ends it when it is closed.

    `folder` keeps the data and, unless `binaries` is named, the binary.
    """
    options = EmbeddedOptions(
        version=VERSION,
        hostname=HOST,
        port=PORT,
        grpc_port=GRPC_PORT,
        persistence_data_path=str(folder / "weaviate"),
        binary_path=str(binaries or folder / "weaviate-binaries"),
        # No word leaves the machine; vectors are brought along, so no module is needed.
        additional_env_vars={"DISABLE_TELEMETRY": "true", "ENABLE_MODULES": ""},
    )
    return weaviate.WeaviateClient(
        embedded_options=options, additional_config=additional, skip_init_checks=True
    )


def remedy(reason: str) -> str:
    """Say what to do where it does not start."""
    return (
        f"The embedded Weaviate {VERSION} does not start ({reason}): it needs Linux or macOS and "
        "its release, which is fetched, or lies in the folder that weaviate_binaries names; else "
        "start a server (agentlab store compose) and name its address"
    )
