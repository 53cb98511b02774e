"""The cluster: files are read, cut and embedded by Ray Data, on one machine or many.

The stages are those of a local ingest; what they make comes back here, to the one writer, which
keeps the manifest and the order of writing, reading back and deleting. Workers open the files by
their paths, so all machines must see the same folders. A worker that dies costs its batch, which
another one does again.
"""

import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ingest.config import IngestConfig
from ingest.cutting import Cut, cut_document
from ingest.documents import Chunk
from ingest.embedding import Embedder
from ingest.errors import ClusterError, ClusterMissingError, DocumentError
from ingest.outcomes import Outcome, from_json, to_json
from ingest.parsing import read_documents
from ingest.plan import Step

FILES = 8  # that a worker is given at a time
_SCHEMA = pa.schema(
    [
        ("number", pa.int64()),
        ("outcome", pa.large_binary()),
        ("chunks", pa.large_binary()),
        ("vectors", pa.large_binary()),
    ]
)


class RayEngine:
    """Reads files on a Ray cluster: that of RAY_ADDRESS, else one that is started here.

    `load` opens the embedder, once in each of at most `workers` workers (by default one a core).
    """

    def __init__(self, load: Callable[[], Embedder], *, workers: int | None = None) -> None:
        self._load = load
        self._workers = workers

    def __call__(
        self, steps: Sequence[Step], config: IngestConfig
    ) -> Iterator[tuple[Step, Cut | DocumentError]]:
        """Read, cut and embed files; they come back in whatever order they are done.

        Raises ClusterMissingError without ray, ClusterError where the cluster fails.
        """
        if not steps:
            return
        with _ray() as ray:
            files = [
                {
                    "number": number,
                    "path": str(step.path.resolve()),
                    "source": step.record.source,
                    "pipeline": step.record.pipeline,
                }
                for number, step in enumerate(steps)
            ]
            workers = self._workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
            made = ray.data.from_items(files, override_num_blocks=-(-len(files) // FILES))
            made = made.map_batches(
                _Worker,
                fn_kwargs={"load": self._load, "config": config},
                batch_size=FILES,
                batch_format="pyarrow",
                compute=ray.data.ActorPoolStrategy(min_size=1, max_size=workers),
            )
            for row in made.iter_rows():
                yield _received(steps[row["number"]], row)


class _Worker:
    """Reads files as a local ingest does, in a process that may be killed; cuts and embeds them."""

    def __init__(self) -> None:
        self._embedder: Embedder | None = None

    def __call__(
        self, files: pa.Table, load: Callable[[], Embedder], config: IngestConfig
    ) -> pa.Table:
        if self._embedder is None:
            self._embedder = load()
        paths = [Path(each) for each in files.column("path").to_pylist()]
        read = read_documents(paths, config.model_copy(update={"workers": 1}))
        made = [
            _made(file, outcome, self._embedder, config)
            for file, (_, outcome) in zip(files.to_pylist(), read, strict=True)
        ]
        return pa.Table.from_pylist(made, schema=_SCHEMA)


def _made(
    file: dict[str, Any], outcome: Outcome, embedder: Embedder, config: IngestConfig
) -> dict[str, Any]:
    chunks: Sequence[Chunk] = ()
    if not isinstance(outcome, DocumentError):
        cut = cut_document(
            outcome,
            source=file["source"],
            pipeline=file["pipeline"],
            embedder=embedder,
            config=config,
        )
        outcome, chunks = (cut, ()) if isinstance(cut, DocumentError) else cut
    vectors = embedder.encode([chunk.embedded for chunk in chunks]) if chunks else np.zeros(0)
    return {
        "number": file["number"],
        "outcome": to_json(outcome),
        "chunks": json.dumps([asdict(chunk) for chunk in chunks]).encode(),
        "vectors": np.ascontiguousarray(vectors, np.float32).tobytes(),
    }


def _received(step: Step, row: dict[str, Any]) -> tuple[Step, Cut | DocumentError]:
    outcome = from_json(row["outcome"])
    if isinstance(outcome, DocumentError):
        return step, outcome
    chunks = [Chunk(**each) for each in json.loads(row["chunks"])]
    vectors = np.frombuffer(row["vectors"], np.float32).reshape(len(chunks), -1)
    texts = [chunk.embedded for chunk in chunks]
    return step, Cut(step, outcome, chunks, dict(zip(texts, vectors, strict=True)))


@contextmanager
def _ray() -> Iterator[Any]:
    """Connect to the cluster, or start one that ends with the work; nothing is drawn or sent."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ClusterMissingError(
            f"Ray is not installed ({error}): pip install 'agentlab-rag[ray]', or leave out "
            "--engine ray."
        ) from error
    ours = not ray.is_initialized()
    try:
        if ours:
            with warnings.catch_warnings():
                # Ray starts its processes by fork and exec, which LanceDB warns of.
                warnings.filterwarnings("ignore", "lancedb fork support", RuntimeWarning)
                ray.init(logging_level=logging.ERROR, log_to_driver=False)
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        ray.data.DataContext.get_current().enable_progress_bars = False
        yield ray
    except (ray.exceptions.RayError, ConnectionError) as error:
        said = " ".join(str(error).split())[-300:]
        raise ClusterError(
            f"The Ray cluster failed ({said}): see `ray status`. What was stored stays, and the "
            "same command goes on."
        ) from error
    finally:
        if ours:
            ray.shutdown()
