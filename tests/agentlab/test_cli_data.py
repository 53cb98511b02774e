"""`agentlab data` as a person uses it."""

import json
from pathlib import Path
from typing import Any

import pytest

from agentlab.cli.main import run
from agentlab.journal import Journal

PAIR = {"prompt": "hi", "chosen": "ho", "rejected": "ha", "document": "d"}


def write(path: Path, *rows: Any) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AGENTLAB_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def test_check_tells_the_kind_and_every_bad_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = write(tmp_path / "good.jsonl", PAIR)
    assert run(["data", "check", good]) == 0
    out = capsys.readouterr().out
    assert "pair" in out
    assert "for dpo, orpo, reward" in out
    bad = write(tmp_path / "bad.jsonl", PAIR, *[{"colour": n} for n in range(7)])
    assert run(["data", "check", bad]) == 1
    out = capsys.readouterr().out
    assert all(f"bad.jsonl:{line}: " in out for line in range(2, 9))
    assert "7 of 8 rows are bad" in out
    assert run(["data", "check", bad, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["faults"][0]["line"] == 2


def test_stats_draws_lengths(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "a.jsonl", PAIR, {**PAIR, "chosen": "ho ho"})
    assert run(["data", "stats", path]) == 0
    out = capsys.readouterr().out
    assert "words answered" in out
    assert "document 2" in out
    assert run(["data", "stats", path, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["lengths"]["answered"][-1] == 3


def test_convert_writes_and_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "a.jsonl", PAIR)
    out = str(tmp_path / "b.jsonl")
    assert run(["data", "convert", path, "--to", "kto", "--out", out]) == 0
    assert "2 rows of 1" in capsys.readouterr().out
    assert run(["data", "convert", path, "--to", "kto", "--out", out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["written"] == 2
    assert run(["data", "convert", path, "--to", "kto", "--out", path]) == 2
    assert "another --out" in capsys.readouterr().err


def test_convert_takes_files_or_the_journal(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["data", "convert", "--to", "sft", "--out", "b.jsonl"]
    assert run(line) == 2
    assert run([*line, "--from", "journal"]) == 1
    assert "There is no journal" in capsys.readouterr().err
    Journal(home / "journal.sqlite").close()
    assert run([*line, "--from", "journal"]) == 1
    assert "No row could be made" in capsys.readouterr().err


def test_split_writes_the_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{**PAIR, "chosen": f"ho {n}", "document": f"d{n}"} for n in range(10)]
    path = write(tmp_path / "a.jsonl", *rows)
    assert run(["data", "split", path, "--out", "parts", "--ratios", "train=0.8,eval=0.2"]) == 0
    assert "groups by document" in capsys.readouterr().out
    assert len((tmp_path / "parts" / "eval.jsonl").read_text().splitlines()) == 2
    for wrong in ("train=1", "train=a,eval=b", "tr/ain=1,eval=1"):
        assert run(["data", "split", path, "--out", "parts", "--ratios", wrong]) == 2


def test_curate_writes_what_is_kept_and_says_why_not_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("datasketch")
    rows = [{"text": "Write to a@b.de now."}, {"text": "write to A@B.DE now"}, {"text": "x"}]
    path = write(tmp_path / "a.jsonl", *rows)
    assert run(["data", "curate", path, "--out", "clean.jsonl"]) == 0
    out = capsys.readouterr().out
    assert "1 row of 3 in clean.jsonl" in out
    assert "email" in out
    assert "duplicate" in out
    assert (tmp_path / "clean.jsonl").read_text() == '{"text": "Write to [EMAIL] now."}\n'
    assert len((tmp_path / "clean.report.jsonl").read_text().splitlines()) == 3
    assert run(["data", "curate", path, "--out", "clean.jsonl", "--max-tokens", "3"]) == 2
    assert run(["data", "curate", path, "--out", "clean.jsonl", "--region", "XX"]) == 2
    assert "is no region" in capsys.readouterr().err
    assert run(["data", "curate", path, "--out", "clean.jsonl", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kept"] == 1
