"""Ingests on a Ray cluster of two nodes on this machine; run as a program by the tests of it.

Arguments: the folder of the store, the folder of the files, and a file that does not exist. The
first worker that embeds makes that file and kills itself.
"""

import json
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import ray
from ingest_fakes import WordEmbedder
from ray.cluster_utils import Cluster

from ingest.cluster import RayEngine
from ingest.collection import Collection
from ingest.events import Finished
from ingest.pipeline import ingest
from ingest.stores.embedded import LanceStore


class DyingEmbedder(WordEmbedder):
    """Kills its process at its first texts, and not again; notes on which node it works."""

    def __init__(self, grave: Path) -> None:
        super().__init__()
        self._grave = grave

    def encode(
        self, texts: Sequence[str], progress: Callable[[int], None] | None = None
    ) -> np.ndarray:
        try:
            self._grave.touch(exist_ok=False)
        except FileExistsError:
            node = ray.get_runtime_context().get_node_id()
            self._grave.with_name(f"node-{node}").touch()
            return super().encode(texts)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


def main() -> None:
    """Start the cluster, ingest, and tell what came of it."""
    store, files, grave = map(Path, sys.argv[1:4])
    size = {"num_cpus": 2, "object_store_memory": 80 * 1024**2, "include_dashboard": False}
    warnings.filterwarnings("ignore", "lancedb fork support", RuntimeWarning)
    cluster = Cluster(initialize_head=True, head_node_args=size)
    cluster.add_node(num_cpus=2, object_store_memory=size["object_store_memory"])
    ray.init(address=cluster.address, logging_level=logging.ERROR, log_to_driver=False)
    nodes = len([node for node in ray.nodes() if node["Alive"]])
    collection = Collection(LanceStore(store, collection="library"), WordEmbedder())
    engine = RayEngine(partial(DyingEmbedder, grave), workers=2)
    *_, last = ingest([files], collection=collection, engine=engine)
    ray.shutdown()
    cluster.shutdown()
    assert isinstance(last, Finished)
    print(json.dumps({"nodes": nodes, "report": last.report.to_dict()}))


if __name__ == "__main__":
    main()
