"""`agentlab data synthesise` as a person uses it, on a library that embeds without a model."""

import json
from pathlib import Path
from typing import Any

import pytest
from ingest_fakes import WordEmbedder, hurry
from scripted import ScriptedModel

from agentlab import library
from agentlab import model as models
from agentlab.cli.main import run
from agentlab.model import OpenModel
from agentlab.settings import Settings

HANDBOOK = """# Travel Handbook

The daily meal allowance for technicians is 46 euros. A taxi ride above 60 euros needs a written
reason.

# Care

Personal beacons get a fresh battery every five years in the workshop. The warranty on the Selkie
lasts 60 months.
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)
    for name in ("open_keeping_embedder", "open_embedder"):
        monkeypatch.setattr(library, name, lambda *_, **__: WordEmbedder())
    monkeypatch.setattr(library, "embedder_name", lambda _: "words")
    monkeypatch.setenv("AGENTLAB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AGENTLAB_READER", "false")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def handbook(tmp_path: Path) -> None:
    (tmp_path / "handbook.md").write_text(HANDBOOK, encoding="utf-8")
    assert run(["ingest", "handbook.md"]) == 0


def rows(path: str = "rows.jsonl") -> list[Any]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def test_an_empty_library_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "synthesise", "--kind", "qa", "--out", "rows.jsonl"]) == 1
    assert "run agentlab ingest PATH first" in capsys.readouterr().err


@pytest.mark.usefixtures("handbook")
def test_questions_for_the_agent_come_with_their_answers_and_where_to_look() -> None:
    line = ["data", "synthesise", "--kind", "questions", "--out", "rows.jsonl"]
    assert run(line) == 0
    asked = {row["prompt"]: row for row in rows()}
    row = asked["What is the daily meal allowance for technicians?"]
    assert (row["answers"], row["route"]) == (["46 euros"], "search_documents")
    assert run(["data", "check", "rows.jsonl"]) == 0


@pytest.mark.usefixtures("handbook")
def test_without_a_model_questions_come_from_the_sentences_and_it_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    capsys.readouterr()
    line = ["data", "synthesise", "--kind", "qa", "--out", "rows.jsonl", "--per-passage", "5"]
    assert run(line) == 0
    out = capsys.readouterr().out
    assert "questions made by rules from the sentences, without a model" in out
    asked = {row["instruction"]: row["response"] for row in rows()}
    assert asked["What is the daily meal allowance for technicians?"] == "46 euros"
    assert asked["What does the warranty on the Selkie last?"] == "60 months"
    assert {row["made"] for row in rows()} == {"sentences"}
    assert run(["data", "check", "rows.jsonl"]) == 0
    assert run(["data", "split", "rows.jsonl", "--out", "parts", "--by", "hash"]) == 0


@pytest.mark.usefixtures("handbook")
def test_a_model_is_asked_verified_and_paid_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reply = json.dumps(
        [
            {
                "question": "How much may technicians spend on meals",
                "answer": "46 euros",
                "quote": "allowance for technicians is 46 euros",
            },
            {"question": "What about managers?", "answer": "58", "quote": "managers get 58"},
        ]
    )
    chat = ScriptedModel(lines=[reply, reply, reply])
    closed = []
    opened = OpenModel(chat, "big", "openai", close=lambda: closed.append(True))
    asked: list[Settings] = []
    monkeypatch.setattr(
        models, "open_model", lambda settings, **_: (asked.append(settings), opened)[1]
    )
    capsys.readouterr()
    line = ["data", "synthesise", "--kind", "reader", "--out", "rows.jsonl", "--model", "big"]
    line += ["--engine", "openai", "--parallel", "1", "--price-in", "2", "--json"]
    assert run([*line, "--answer-tokens", "300"]) == 0
    assert [settings.max_tokens for settings in asked] == [300]
    done = json.loads(capsys.readouterr().out)
    assert (done["rows"], done["made"]) == (1, "model big")
    assert done["refused"]["the quote is not in the passage"] >= 1
    assert done["usage"]["calls"] == done["passages"]
    assert closed
    (row,) = rows()
    assert row["passage"][slice(*row["answer"])] == "46 euros"


@pytest.mark.usefixtures("handbook")
def test_only_the_named_documents_are_asked_of(capsys: pytest.CaptureFixture[str]) -> None:
    line = ["data", "synthesise", "--kind", "qa", "--out", "rows.jsonl", "--source"]
    assert run([*line, "handbook.md"]) == 0
    assert run([*line, "nothing.md"]) == 2
    assert "nothing.md" in capsys.readouterr().err
