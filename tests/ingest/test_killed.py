"""kill -9 at any point: after the next run nothing is lost, nothing there twice, nothing stale."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ingest_fakes import WordEmbedder, hurry
from weaviate_fake import FakeWeaviate, running

import ingest.pipeline
from ingest.collection import Collection, made_by
from ingest.config import StoreConfig
from ingest.documents import Chunk
from ingest.events import Finished, Report
from ingest.manifest import peek
from ingest.stores import open_store

TESTS = Path(__file__).resolve().parents[1]
WORDS = "pier ferry depot seat lamp rope crane bell valve ledger harbour kettle".split()


class Crasher:
    """The process that is killed."""

    def __init__(self) -> None:
        path = f"{TESTS}{os.pathsep}{TESTS.parent}"
        self._process = subprocess.Popen(
            [sys.executable, str(TESTS / "ingest_crash.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )

    def ingest(
        self, store: StoreConfig, folder: Path, *, at: int, group: int, embedder: str = ""
    ) -> tuple[bool, int]:
        """Ingest, or embed anew; tell whether it was killed, else how many points it passed."""
        assert self._process.stdin
        assert self._process.stdout
        order = {
            "store": store.model_dump(mode="json"),
            "paths": [str(folder)],
            "at": at,
            "group": group,
            "embedder": embedder,
        }
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        reply = json.loads(self._process.stdout.readline())
        killed = os.WIFSIGNALED(reply["status"]) and os.WTERMSIG(reply["status"]) == signal.SIGKILL
        assert killed or reply["status"] == 0
        return killed, reply["passed"]

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="module")
def crasher() -> Iterator[Crasher]:
    opened = Crasher()
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


class Folder:
    """A folder that changes at random: files come, change, go, are renamed and copied."""

    def __init__(self, path: Path, chance: random.Random) -> None:
        self.path = path
        self._chance = chance
        self._number = 0
        path.mkdir()
        for _ in range(5):
            self._add()

    def change(self) -> None:
        """Change about three files."""
        for _ in range(3):
            files = sorted(self.path.iterdir())
            deed = self._chance.choice(["add", "edit", "edit", "remove", "rename", "copy"])
            if deed == "add" or len(files) < 4:
                self._add()
                continue
            file = self._chance.choice(files)
            if deed == "edit":
                text = file.read_text()
                file.write_text(text + self._section())
            elif deed == "remove":
                file.unlink()
            elif deed == "rename":
                file.rename(self._next())
            else:
                self._next().write_bytes(file.read_bytes())

    def _add(self) -> None:
        sections = "".join(self._section() for _ in range(self._chance.randint(1, 4)))
        self._next().write_text(f"# Rules {self._chance.random()}\n\n{sections}")

    def _section(self) -> str:
        words = " ".join(self._chance.choices(WORDS, k=150))
        return f"\n## On the {self._chance.choice(WORDS)}\n\nMind the {words}.\n"

    def _next(self) -> Path:
        self._number += 1
        return self.path / f"{self._number:03}.md"


def ingest_here(config: StoreConfig, folder: Path, embedder: str = "words") -> Report:
    """Run to the end, in this process."""
    store = open_store(config)
    collection = Collection(store, WordEmbedder(embedder))  # type: ignore[arg-type]
    *_, last = ingest.pipeline.ingest(
        [folder], collection=collection, sync=True, allow_removals=True
    )
    store.close()
    assert isinstance(last, Finished)
    assert last.report.exit_code == 0
    return last.report


def content(config: StoreConfig) -> tuple[dict[str, Chunk], list[Chunk], dict[str, Any]]:
    """Read what a store holds: chunks by id, all of them, and what its manifest says of them."""
    store = open_store(config)
    chunks = list(store.chunks())
    vectors = dict(row for each in store.documents() for row in _vectors(store, each.source))
    texts = {chunk.id: (chunk.embedded, vectors[chunk.id]) for chunk in chunks}
    records = peek(store.place)
    store.close()
    sources = {
        record.source: record.chunks for record in records.values() if record.state == "verified"
    }
    return texts, sorted(chunks, key=lambda chunk: chunk.id), sources


def _vectors(store: Any, source: str) -> Iterator[tuple[str, tuple[float, ...]]]:
    for chunk, vector in store.rows(source):
        yield chunk.id, tuple(round(float(number), 4) for number in vector)


def check_against_fresh(config: StoreConfig, fresh: StoreConfig, folder: Path) -> None:
    """Compare a collection that was killed again and again with one that never was."""
    ingest_here(fresh, folder)
    texts, chunks, sources = content(config)
    fresh_texts, fresh_chunks, _ = content(fresh)
    of_bytes = {chunk.document for chunk in chunks}
    assert of_bytes == {chunk.document for chunk in fresh_chunks}
    assert len(texts) == len(chunks) == len(fresh_chunks)
    # Of files with the same bytes either may be the one that is stored, so names may differ.
    assert sorted(texts.values()) == sorted(fresh_texts.values())
    counted = {name: sum(chunk.source == name for chunk in chunks) for name in sources}
    assert sources == counted
    assert sum(counted.values()) == len(chunks)
    assert all(Path(name).exists() for name in counted)


def kill_and_resume(
    crasher: Crasher, config: StoreConfig, tmp_path: Path, *, kills: int, seed: int, fresh: Any
) -> None:
    chance = random.Random(seed)
    folder = Folder(tmp_path / "files", chance)
    killed_before, points = crasher.ingest(config, folder.path, at=-1, group=4)
    assert not killed_before
    killed = resumed = 0
    while killed < kills:
        folder.change()
        for _ in range(chance.randint(1, 3)):  # the run that resumes may be killed as well
            dead, passed = crasher.ingest(
                config, folder.path, at=chance.randint(1, points), group=chance.choice([1, 4, 99])
            )
            killed += dead
            points = max(points // 2, passed, 200)
        ingest_here(config, folder.path)
        resumed += 1
        check_against_fresh(config, fresh(resumed), folder.path)
    assert resumed > kills // 4


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_at_fifty_points_the_embedded_store_is_whole_after_the_next_run(
    crasher: Crasher, tmp_path: Path
) -> None:
    def fresh(number: int) -> StoreConfig:
        return StoreConfig(folder=tmp_path / f"fresh{number}")

    config = StoreConfig(folder=tmp_path / "store")
    kill_and_resume(crasher, config, tmp_path, kills=50, seed=5, fresh=fresh)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_at_fifteen_points_a_weaviate_is_whole_after_the_next_run(
    crasher: Crasher, tmp_path: Path
) -> None:
    with running() as fake:
        kill_and_resume(
            crasher,
            weaviate(fake, tmp_path, "killed"),
            tmp_path,
            kills=15,
            seed=6,
            fresh=lambda number: weaviate(fake, tmp_path, f"fresh{number}"),
        )


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("kind", "kills"), [("lancedb", 20), ("weaviate", 5)])
def test_killed_while_it_is_embedded_anew_a_collection_is_always_whole(
    crasher: Crasher, tmp_path: Path, kind: str, kills: int
) -> None:
    chance = random.Random(7)
    folder = Folder(tmp_path / "files", chance)
    with running() as fake:
        config = StoreConfig(folder=tmp_path / "store")
        if kind == "weaviate":
            config = weaviate(fake, tmp_path, "anew")
        ingest_here(config, folder.path)
        whole, points, number, killed = content(config)[0].values(), 1000, 0, 0
        while killed < kills:
            number += 1
            name = f"words{number}"
            for _ in range(3):
                at, group = chance.randint(1, points), chance.choice([1, 4, 99])
                dead, passed = crasher.ingest(
                    config, folder.path, at=at, group=group, embedder=name
                )
                killed += dead
                points = max(points, passed)
                store = open_store(config)
                embedders = {chunk.embedder for chunk in store.chunks()}
                assert embedders in [{made_by(store)}, {f"words{number - 1}"}, {"words"}]
                store.close()
                assert sorted(content(config)[0].values()) == sorted(whole)
            crasher.ingest(config, folder.path, at=-1, group=99, embedder=name)
            report = ingest_here(config, folder.path, name)
            assert (report.documents, report.unchanged) == (0, 5)
            store = open_store(config)
            assert made_by(store) == name
            assert store.beside(store.generation - 1).count() == 0
            store.close()


def weaviate(fake: FakeWeaviate, tmp_path: Path, collection: str) -> StoreConfig:
    return StoreConfig(
        kind="weaviate", url=fake.url, collection=collection, folder=tmp_path / "notes"
    )
