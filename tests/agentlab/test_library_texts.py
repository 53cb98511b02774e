import json
from pathlib import Path

import numpy as np
import pytest

from agentlab.cli.main import run
from agentlab.library_texts import text_of, write_texts
from ingest.config import StoreConfig
from ingest.documents import Chunk
from ingest.stores import open_store


def chunk(text: str, *, page: int, start: int, source: str = "a.pdf") -> Chunk:
    return Chunk(
        id=f"{source}{page}{start}",
        text=text,
        document=f"id of {source}",
        source=source,
        title="A",
        page=page,
        start=start,
        end=start + len(text),
        heading="",
        embedder="none",
    )


def test_a_text_is_its_passages_in_order_and_what_two_share_stands_once() -> None:
    chunks = [
        chunk("third page", page=3, start=0),
        chunk("two three", page=1, start=4),
        chunk("one two", page=1, start=0),
    ]
    assert text_of(chunks) == "one two\n\nthree\n\nthird page"


def test_the_library_becomes_one_row_a_document(tmp_path: Path) -> None:
    store = open_store(StoreConfig(kind="lancedb", collection="c", folder=tmp_path / "store"))
    chunks = [chunk("b text", page=1, start=0, source=name) for name in ("b.pdf", "a.pdf")]
    store.write(chunks, np.eye(2, 8, dtype=np.float32))
    path = tmp_path / "texts.jsonl"
    assert write_texts(store, path) == 2
    store.close()
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [row["source"] for row in rows] == ["a.pdf", "b.pdf"]
    assert rows[0]["text"] == "b text"
    assert rows[0]["document"] == "id of a.pdf"


def test_learning_from_the_library_needs_a_place_for_its_texts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["finetune", "cpt", "--library", "--model", "smollm2-135m"]) == 2
    assert "--library writes its texts beside --out" in capsys.readouterr().err
