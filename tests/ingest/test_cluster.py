"""Ingest on a Ray cluster: as a local one does it, and whatever worker dies."""

import builtins
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from ingest_fakes import WordEmbedder

from ingest.cluster import RayEngine
from ingest.collection import Collection
from ingest.config import IngestConfig
from ingest.documents import Chunk
from ingest.errors import ClusterMissingError
from ingest.events import Finished
from ingest.manifest import Record, peek
from ingest.pipeline import ingest
from ingest.plan import Step
from ingest.stores.embedded import LanceStore

TESTS = Path(__file__).resolve().parents[1]


def held(folder: Path) -> dict[Chunk, tuple[float, ...]]:
    store = LanceStore(folder, collection="library")
    return {
        chunk: tuple(round(float(each), 5) for each in vector)
        for document in store.documents()
        for chunk, vector in store.rows(document.source)
    }


def states(folder: Path) -> dict[str, tuple[str, str, int]]:
    records = peek(folder / "library")
    return {path: (each.state, each.reason, each.chunks) for path, each in records.items()}


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed (the extra `ray`)")
def test_two_nodes_make_what_one_process_makes_though_a_worker_is_killed(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    for number in range(20):
        parts = "".join(
            f"\n## Part {part}\n\n{f'The ferry {number} ' * 80}\n" for part in range(number % 4 + 1)
        )
        (files / f"{number:02}.md").write_text(f"# Rules {number}\n{parts}")
    (files / "broken.pdf").write_bytes(b"%PDF-1.7 and no more")
    (files / "empty.md").write_text("")
    given = [str(tmp_path / name) for name in ("ray", "files", "grave")]
    ran = subprocess.run(
        [sys.executable, str(TESTS / "ingest_on_ray.py"), *given],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=170,
        env={
            **os.environ,
            "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}",
            "RAY_USAGE_STATS_ENABLED": "0",
        },
    )
    assert ran.returncode == 0, ran.stdout[-3000:]
    told = json.loads(ran.stdout.strip().splitlines()[-1])
    assert told["nodes"] == 2
    assert (tmp_path / "grave").exists()  # made by the worker that then killed itself
    report = told["report"]
    assert (report["documents"], len(report["skipped"])) == (20, 2)

    here = Collection(LanceStore(tmp_path / "here", collection="library"), WordEmbedder())  # type: ignore[arg-type]
    *_, last = ingest([files], collection=here)
    assert isinstance(last, Finished)
    assert held(tmp_path / "ray") == held(tmp_path / "here")
    assert states(tmp_path / "ray") == states(tmp_path / "here")
    assert last.report.embedded == report["embedded"]


def test_without_ray_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] == "ray":
            raise ImportError("No module named 'ray'")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    path = tmp_path / "a.md"
    step = Step("new", path, Record(str(path), str(path)))
    with pytest.raises(ClusterMissingError, match=r"agentlab-rag\[ray\]"):
        list(RayEngine(WordEmbedder)([step], IngestConfig()))  # type: ignore[arg-type]


def test_nothing_to_read_starts_no_cluster() -> None:
    assert list(RayEngine(WordEmbedder)([], IngestConfig())) == []  # type: ignore[arg-type]
