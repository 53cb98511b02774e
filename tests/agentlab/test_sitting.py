"""A sitting: a model answers what it was not asked yet, in one process or in several."""

from dataclasses import replace
from pathlib import Path

import pytest

from agentlab.errors import UserError
from agentlab.settings import Settings
from agentlab.starter import sitting as sittings
from agentlab.starter.exam import Part, handbook_cases
from agentlab.starter.sitting import Sitting, sit, suited_workers
from finetune.hardware import Gpu, Hardware
from serve.errors import ModelFolderError

GB = 1024**3


@pytest.fixture
def sitting(tmp_path: Path) -> Sitting:
    cases = tuple(case for case in handbook_cases() if case.kind == "small_talk")[:5]
    settings = Settings(home=tmp_path, engine="transformers")
    parts = (Part("handbooks", (), cases),)
    return Sitting(settings, parts, tmp_path / "out.jsonl", None, label="starter", build="b")


def test_shares_are_all_questions_once(sitting: Sitting) -> None:
    shares = [sitting.share(number, 2) for number in range(2)]
    assert [len(each) for each in shares] == [3, 2]
    cases = [case for share in shares for part in share.parts for case in part.cases]
    assert sorted(map(repr, cases)) == sorted(map(repr, sitting.parts[0].cases))


@pytest.mark.parametrize(
    ("machine", "questions", "processes"),
    [
        (Hardware(cores=2, memory=16 * GB), 313, 2),
        (Hardware(cores=16, memory=12 * GB), 313, 2),
        (Hardware(cores=64, memory=512 * GB), 313, 8),
        (Hardware(cores=2, memory=2 * GB), 313, 1),
        (Hardware(cores=2, memory=16 * GB), 14, 1),
        (Hardware(cores=16, memory=64 * GB, gpus=(Gpu("gpu", 24 * GB),)), 313, 1),
    ],
)
def test_a_process_needs_a_core_memory_questions_and_no_gpu(
    machine: Hardware,
    questions: int,
    processes: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sittings, "find_hardware", lambda: machine)
    settings = Settings(engine="transformers", home=tmp_path)
    assert suited_workers(settings, questions) == processes


def test_a_big_model_is_not_held_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(8 * GB)  # holes, which take no place
    monkeypatch.setattr(sittings, "find_hardware", lambda: Hardware(cores=8, memory=32 * GB))
    settings = Settings(engine="transformers", model=str(tmp_path))
    assert suited_workers(settings, 313) == 1


def test_an_endpoint_is_asked_one_question_at_a_time_unless_told_otherwise() -> None:
    assert suited_workers(Settings(base_url="http://localhost:1/v1", model="m"), 313) == 1


def test_several_processes_start_no_servers(sitting: Sitting) -> None:
    sitting = replace(sitting, settings=Settings(home=sitting.settings.home, engine="vllm"))
    with pytest.raises(UserError, match="--set base_url=URL"):
        list(sit(sitting, workers=2))


@pytest.mark.slow
def test_what_stops_a_process_stops_the_sitting(sitting: Sitting, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    own = Settings(home=tmp_path, engine="transformers", model=str(empty))
    with pytest.raises(ModelFolderError):
        list(sit(replace(sitting, settings=own), workers=2))


@pytest.mark.slow
@pytest.mark.usefixtures("starter_base")
def test_the_starter_answers_in_two_processes_and_only_what_is_left(sitting: Sitting) -> None:
    *_, done = sit(sitting, workers=2)
    assert done == 5
    assert len(sitting.rest()) == 0
    assert list(sit(sitting, workers=2)) == []
