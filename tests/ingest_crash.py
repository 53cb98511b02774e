"""A process that ingests and kills itself at a chosen point; run as a program, by the kill tests.

It imports once, then forks for every order that it reads: a JSON line with the store, the paths,
the point to stop at, and the embedder to embed anew with, if that is asked for. The reply is how
many points were passed.
"""

import json
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import lancedb  # noqa: F401 - imported before the forks, used after them
import pytest
from ingest_fakes import WordEmbedder, hurry
from weaviate import connect_to_custom  # noqa: F401 - the same

import ingest.pipeline
import ingest.reembedding
from ingest.collection import Collection
from ingest.config import StoreConfig
from ingest.stores import open_store

PLACES = (f"{os.sep}ingest{os.sep}", "lancedb", "weaviate", "sqlite3", "filelock")


class Killer:
    """Counts calls and returns in the code that matters, and at one of them kills the process."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.passed = 0

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        if any(place in frame.f_code.co_filename for place in PLACES):
            self.passed += 1
            if self.passed == self.at:
                os.kill(os.getpid(), signal.SIGKILL)


def work(order: dict[str, Any]) -> int:
    """Ingest as ordered; return how many points were passed."""
    hurry(pytest.MonkeyPatch())
    ingest.pipeline.GROUP_CHUNKS = order["group"]
    store = open_store(StoreConfig.model_validate(order["store"]))
    embedder = WordEmbedder(order.get("embedder") or "words")
    collection = Collection(store, embedder)  # type: ignore[arg-type]
    killer = Killer(order["at"])
    events: Iterator[Any]
    if order.get("embedder"):
        ingest.reembedding.BATCH = order["group"]
        events = ingest.reembedding.reembed(collection)
    else:
        events = ingest.pipeline.ingest(
            [Path(each) for each in order["paths"]],
            collection=collection,
            sync=True,
            allow_removals=True,
        )
    sys.setprofile(killer)
    for _ in events:
        pass
    sys.setprofile(None)
    return killer.passed


def main() -> None:
    """Fork for each order."""
    warnings.simplefilter(
        "ignore"
    )  # that forking is experimental: nothing runs yet when it is done
    for line in sys.stdin:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            passed = work(json.loads(line))
            os.write(writing, str(passed).encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as told:
            passed_said = told.read()
        _, status = os.waitpid(child, 0)
        print(json.dumps({"status": status, "passed": int(passed_said or 0)}), flush=True)


if __name__ == "__main__":
    main()
