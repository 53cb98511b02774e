import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.data.splitting import Split, assign, split
from finetune.errors import ConfigError, ExampleError

RATIOS = {"train": 0.8, "eval": 0.2}


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def text(words: str, **more: str) -> dict[str, str]:
    return {"text": words, **more}


def parts(done: Split) -> dict[str, list[dict[str, Any]]]:
    return {
        name: [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]
        for name, path in done.files.items()
    }


def test_no_document_stands_in_two_parts_and_no_row_is_lost(tmp_path: Path) -> None:
    rows = [text(f"row number {n}", document=f"d{n % 10}") for n in range(100)]
    done = split([write(tmp_path / "a.jsonl", *rows)], tmp_path / "out", ratios=RATIOS)
    found = parts(done)
    documents = {name: {row["document"] for row in each} for name, each in found.items()}
    assert done.by == "document"
    assert done.rows == {"train": 80, "eval": 20}
    assert not documents["train"] & documents["eval"]
    assert sorted(row["text"] for each in found.values() for row in each) == sorted(
        row["text"] for row in rows
    )


def test_groups_that_share_a_row_word_for_word_stay_together(tmp_path: Path) -> None:
    rows = [text(f"row {n}", document=f"d{n}") for n in range(20)]
    rows += [text("The Same row!", document="d3"), text("the same ROW", document="d11")]
    path = write(tmp_path / "a.jsonl", *rows)
    for seed in range(8):
        found = parts(split([path], tmp_path / "out", ratios=RATIOS, seed=seed))
        holding = [
            name
            for name, each in found.items()
            if {"d3", "d11"} & {row["document"] for row in each}
        ]
        assert len(holding) == 1


def test_by_hash_rows_that_ask_the_same_stay_together(tmp_path: Path) -> None:
    rows = [
        {"prompt": f"What is {n}?", "completion": f"answer {m}", "label": True}
        for n in range(10)
        for m in range(3)
    ]
    done = split([write(tmp_path / "a.jsonl", *rows)], tmp_path / "out", ratios=RATIOS)
    assert done.by == "hash"
    asked = [{row["prompt"] for row in each} for each in parts(done).values()]
    assert not asked[0] & asked[1]


def test_auto_takes_a_field_only_where_every_row_has_it(tmp_path: Path) -> None:
    rows = [
        {"text": f"row {n}", "document": "d" if n else "", "lineage": {"source": f"s{n % 5}"}}
        for n in range(10)
    ]
    path = write(tmp_path / "a.jsonl", *rows)
    assert split([path], tmp_path / "out", ratios=RATIOS).by == "source"
    with pytest.raises(ConfigError, match=r"a\.jsonl:1 has no `document`"):
        split([path], tmp_path / "out", ratios=RATIOS, by="document")


def test_the_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", *(text(f"row {n}") for n in range(50)))
    found = [
        parts(split([path], tmp_path / str(n), ratios=RATIOS, seed=seed))
        for n, seed in enumerate((3, 3, 4))
    ]
    assert found[0] == found[1]
    assert found[1] != found[2]


def test_too_few_groups_and_bad_rows_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", text("a b", document="d"), text("c d", document="d"))
    with pytest.raises(ConfigError, match=r"1 group.* cannot fill 2 parts"):
        split([path], tmp_path / "out", ratios=RATIOS)
    with pytest.raises(ExampleError, match=r"b\.jsonl:1: .*`text` has no two words"):
        split([write(tmp_path / "b.jsonl", text("a"))], tmp_path / "out", ratios=RATIOS)
    assert not (tmp_path / "out").exists()


@given(st.lists(st.integers(1, 40), min_size=3, max_size=30), st.integers(0, 5))
def test_every_part_has_a_group_and_the_small_ones_stay_small(sizes: list[int], seed: int) -> None:
    groups = {f"g{n}": size for n, size in enumerate(sizes)}
    placed = assign(groups, {"train": 0.8, "eval": 0.1, "test": 0.1}, seed=seed)
    rows: Counter[str] = Counter()
    for name, part in placed.items():
        rows[part] += groups[name]
    assert placed.keys() == groups.keys()
    assert set(rows) == {"train", "eval", "test"}
    for part in ("eval", "test"):
        assert rows[part] <= max(0.25 * sum(sizes), *sizes)
