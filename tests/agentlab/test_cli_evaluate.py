import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentlab.cli import evaluate, report
from agentlab.cli.main import run
from agentlab.evaluation import Asked, Outcome
from agentlab.record import Record
from agentlab.settings import Settings
from agentlab.starter import examination
from agentlab.starter.exam import Case
from agentlab.starter.general import Forgotten

GOOD = Outcome(
    "starter", "b", "handbooks", Case("documents", "Which limit?"), {"valid": (1, 1)}, None,
    "", "", (), None, 2.0, 30,
)  # fmt: skip
BAD = replace(
    GOOD,
    case=Case(
        "follow_up", "And then?", (("First?", "Yes"),), "What then?", ("90 euros",),
        "It is 90 euros.", "Guide", 4,
    ),
    marks={"valid": (1, 1), "gold": (0, 1), "falsely": (0, 1)},
    cause="wrong sentence",
    raw='"Something else." [1]\nAnswer: else [1]',
    steps=(Asked("search_documents", "then", "Evidence: fair\n[1] Guide, p. 4: It is."),),
    score=0.25,
)  # fmt: skip


def test_the_table_shows_aims_a_column_a_model_and_intervals() -> None:
    columns = {"starter": [GOOD] * 4, "base": [replace(GOOD, marks={"valid": (0, 1)})] * 2}
    lines = report.as_markdown(columns).splitlines()
    assert lines[:3] == [
        "| measure | aim | starter | base |",
        "|---|---|---|---|",
        "| valid tool calls | >= 99.5 % | 100.0% [51%, 100%] of 4 | 0.0% [0%, 66%] of 2 |",
    ]
    assert "| seconds a question, mean |  | 2.0 | 2.0 |" in lines
    assert lines[-1] == "| questions |  | 4 | 2 |"


def test_the_plain_table_is_aligned() -> None:
    lines = report.as_text({"starter": [GOOD]}).splitlines()
    assert lines[0].split() == ["measure", "aim", "starter"]
    column = lines[0].index("starter")
    assert all(line[column] != " " and line[column - 1] == " " for line in lines)


def test_what_was_not_measured_has_no_row_in_a_table_and_null_in_json() -> None:
    assert "AUC" not in report.as_text({"starter": [GOOD]})
    value = json.loads(report.as_json({"starter": [GOOD, BAD]}, misses=True))["starter"]
    assert value["measures"]["near_area"]["value"] is None
    assert value["measures"]["valid"]["value"] == 1.0
    assert [each["cause"] for each in value["misses"]] == ["wrong sentence"]


def test_a_miss_is_listed_with_its_cause_its_searches_and_the_full_answer() -> None:
    assert report.as_misses({"starter": [GOOD, BAD]}).splitlines() == [
        "starter: 1 with something wrong",
        "    1  follow_up: wrong sentence",
        "",
        "[wrong sentence] follow_up, handbooks: And then?",
        "  before  First? -> Yes",
        "  means   What then?",
        "  gold    90 euros: It is 90 euros.",
        "  where   Guide, p. 4",
        "  failed  gold",
        "  score   0.250",
        "  search_documents(then)",
        "    Evidence: fair",
        "    [1] Guide, p. 4: It is.",
        "  answer",
        '    "Something else." [1]',
        "    Answer: else [1]",
    ]


def test_the_commonest_cause_comes_first() -> None:
    rare = replace(BAD, cause="route")
    assert report.wrong([rare, BAD, GOOD, BAD]) == [BAD, BAD, rare]


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A record in which every quick question has been answered, so that no model is opened."""
    monkeypatch.setattr(examination, "build_of", lambda _: "b")
    record = Record(tmp_path / "out.jsonl")
    for label in ("starter", "starter passages=2", "other"):
        for part in examination.quick_parts(examination.exam_parts(None)):
            for case in part.cases:
                record.add(replace(GOOD, model=label, part=part.name, case=case))
    record.add(replace(GOOD, build="an older training"))
    return record.path


def evaluated(out: Path, *more: str) -> list[str]:
    return ["evaluate", "--quick", "--out", str(out), *more]


def test_what_is_recorded_is_not_asked_again_and_changes_are_columns_of_their_own(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(evaluated(recorded, "--set", "passages=2", "--json")) == 0
    value: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert list(value) == ["starter", "starter passages=2"]
    kinds = 7
    assert [each["questions"] for each in value.values()] == [2 * kinds, 2 * kinds]


def test_a_case_that_two_runs_recorded_counts_once(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded.write_bytes(recorded.read_bytes() * 2)
    assert run(evaluated(recorded, "starter", "starter", "--json")) == 0
    value: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert value["starter"]["questions"] == 2 * 7


def test_a_model_that_is_not_here_is_fetched_before_its_weights_are_named(
    recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def fetched(name: str, *_: object, **__: object) -> Path:
        told.append(f"fetched {name}")
        return recorded.parent

    def named(settings: Settings) -> str:
        told.append(f"named {settings.model}")
        return "b"

    monkeypatch.setenv("AGENTLAB_ENGINE", "transformers")
    monkeypatch.setattr("agentlab.model.find_model", lambda *_: None)
    monkeypatch.setattr("agentlab.model.model_folder", fetched)
    monkeypatch.setattr(examination, "build_of", named)
    assert run(evaluated(recorded, "other")) == 0
    assert told[:2] == ["fetched other", "named other"]


def test_the_forms_of_the_table_go_to_stdout(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(evaluated(recorded, "--markdown")) == 0
    assert capsys.readouterr().out.startswith("| measure | aim | starter |")
    assert run(evaluated(recorded, "--misses")) == 0
    assert "starter: 0 with something wrong" in capsys.readouterr().out


def test_lines_of_another_shape_are_told(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with recorded.open("a", encoding="utf-8") as file:
        file.write('{"model": "starter"}\n')
    assert run(evaluated(recorded)) == 0
    assert "lines of another shape, asked anew: 1" in capsys.readouterr().err


@pytest.mark.parametrize("given", ["passages", "model=x", "no_such=1", "passages=many"])
def test_a_change_that_cannot_be_made_is_refused(
    given: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(evaluated(tmp_path / "out.jsonl", "--set", given)) != 0
    assert given.partition("=")[0] in capsys.readouterr().err


def test_a_loss_without_texts_to_measure_it_on_is_refused_before_anything_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(evaluate, "_examine", lambda *given, **_: asked.append(given))
    assert run(evaluated(tmp_path / "out.jsonl", "--general")) == 2
    said = capsys.readouterr()
    assert "--general" in said.err
    assert "needs --questions DIR" in said.err
    assert (asked, said.out) == ([], "")


def test_general_text_and_json_are_not_asked_for_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = evaluated(tmp_path / "out.jsonl", "--general", "--questions", "qa", "--json")
    assert run(given) == 2
    assert "stands below the table" in " ".join(capsys.readouterr().err.split())


def test_the_loss_on_general_text_stands_below_the_table(
    recorded: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[Path] = []

    def measured(_: object, questions: Path) -> Forgotten:
        seen.append(questions)
        return Forgotten(3.0, 3.03)

    monkeypatch.setattr("agentlab.starter.general.forgotten", measured)
    handbooks_only = examination.exam_parts(None)
    monkeypatch.setattr(examination, "exam_parts", lambda *_, **__: handbooks_only)
    assert run(evaluated(recorded, "--general", "--questions", "qa")) == 0
    assert capsys.readouterr().out.endswith("starter 3.030 (+1.0%; aim <= +2 %)\n")
    assert seen == [Path("qa")]
