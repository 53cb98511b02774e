"""What `make` would run, from the files that are there."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="no make")


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., list[str]]:
    """A function that tells the commands of a target where these files are there, in this order."""

    def tell(target: str, *there: str, trial: str = "") -> list[str]:
        shutil.copy(ROOT / "Makefile", tmp_path)
        (tmp_path / "qa").mkdir(exist_ok=True)
        installed = (".venv/bin/python", "pyproject.toml", ".venv/.installed")
        for age, name in enumerate((*installed, ".venv/.installed-dev", *there)):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            os.utime(path, (age, age))
        # Called from another make, its flags would be taken over.
        outside = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
        done = subprocess.run(
            ["make", "-n", target, "QUESTIONS=qa", "MODEL=some/model", f"TRIAL={trial}"],
            cwd=tmp_path, env=outside, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout.replace("\\\n", " ").splitlines()

    return tell


def steps(lines: list[str]) -> list[str]:
    """Return the second and third word of each of agentlab's commands."""
    commands = [line.split() for line in lines if line.startswith(".venv/bin/agentlab")]
    return [" ".join(words[1:3]) for words in commands]


def test_the_starter_is_made_from_the_question_sets_alone(made: Callable[..., list[str]]) -> None:
    assert steps(made("starter")) == [
        "finetune passages",
        "finetune reader",
        "finetune passages",
        "finetune reader",
        "finetune calibrate",
        "finetune conversations",
        "finetune sft",
        "finetune routes",
        "finetune router",
        "finetune intents",
        "finetune router",
        "evaluate starter",
    ]


def test_a_trial_takes_the_same_steps_in_small_and_in_a_folder_of_its_own(
    made: Callable[..., list[str]],
) -> None:
    small, whole = made("starter", trial="1"), made("starter")
    assert steps(small) == steps(whole)
    trained = [line for line in small if "--resume" in line]
    assert len(trained) == 5
    assert all("--set max_steps=" in line for line in trained)
    assert "--quick" in small[-1]
    assert all("runs/trial/" in line for line in small if "runs/" in line)
    assert not [line for line in whole if "trial" in line or "max_steps" in line]


def test_a_reader_that_was_not_calibrated_is_before_anything_is_written_with_it(
    made: Callable[..., list[str]],
) -> None:
    there = (
        "runs/passages.jsonl",
        "runs/first-reader/reader.safetensors",
        "runs/hard-passages.jsonl",
        "runs/reader/reader.safetensors",
    )
    assert steps(made("starter", *there))[:2] == ["finetune calibrate", "finetune conversations"]


def test_an_adapter_whose_run_did_not_end_is_gone_on_with(made: Callable[..., list[str]]) -> None:
    there = (
        "runs/passages.jsonl",
        "runs/first-reader/reader.safetensors",
        "runs/hard-passages.jsonl",
        "runs/reader/reader.safetensors",
        "runs/reader/.calibrated",
        "runs/starter.jsonl",
        "runs/adapter/adapter_model.safetensors",
        "runs/routes.jsonl",
        "runs/router/metrics.json",
        "runs/intents.jsonl",
        "runs/intents/metrics.json",
    )
    assert steps(made("starter", *there)) == ["finetune sft", "evaluate starter"]


def test_what_ships_of_the_adapter_are_the_files_that_are_there(
    made: Callable[..., list[str]],
) -> None:
    copied = next(line for line in made("starter") if line.startswith("cp runs/adapter/"))
    *files, folder = copied.split()[1:]
    shipped = ROOT / folder
    assert sorted(Path(file).name for file in files) == sorted(
        file.name for file in shipped.iterdir()
    )


def test_a_bigger_base_learns_from_what_the_shipped_reader_finds(
    made: Callable[..., list[str]],
) -> None:
    lines = made("adapter")
    assert steps(lines) == ["finetune conversations", "finetune sft"]
    told = " ".join(lines)
    assert "--reader" not in told
    assert told.count("runs/agent.jsonl") == 3
    assert "--model some/model --out runs/model " in " ".join(told.split())
