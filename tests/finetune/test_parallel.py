"""Two processes on one run, on the CPU by gloo: they take the steps of one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")

from finetune.errors import ConfigError, ExampleError
from finetune.events import Evaluated, Finished, Progress, Saved, Started
from finetune.method_config import TuneConfig, load_config
from finetune.training import train
from finetune.worker import heard, tell

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture
def settings(
    tiny_base: Path,
    template: Path,
    conversations: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., TuneConfig]:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    data = conversations(8)
    held_out = conversations(4, first=100, name="held.jsonl")

    def make(**changed: Any) -> TuneConfig:
        given = {
            "data": data,
            "eval_data": held_out,
            "model": str(tiny_base),
            "out": tmp_path / "out",
            "chat_template": template,
            "lora_rank": 4,
            "batch": 8,
            "bf16": False,
            "learning_rate": 5e-3,
            "max_steps": 6,
            "save_every": 2,
            "effects": False,
        }
        return load_config("sft", None, given | changed)

    return make


def losses(folder: Path) -> dict[int, float]:
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return {line["step"]: line["loss"] for line in map(json.loads, lines)}


def test_two_processes_take_the_steps_of_one_and_a_stopped_run_goes_on(
    settings: Callable[..., TuneConfig], tmp_path: Path
) -> None:
    config = settings(processes=2)
    run = train(config)
    for event in run:
        if isinstance(event, Saved) and event.step == 2:
            break
    run.close()
    assert not (config.out / "metrics.json").exists()
    events = list(train(config, resume=True))
    started = events[0]
    assert isinstance(started, Started)
    assert started.first_step >= 2
    assert isinstance(events[-1], Finished)
    assert [event.step for event in events if isinstance(event, Evaluated)] == [6]
    assert [event.step for event in events if isinstance(event, Progress)][-1] == 6
    list(train(settings(out=tmp_path / "one")))
    # one batch is all rows, so that the order does not matter
    assert losses(config.out) == pytest.approx(losses(tmp_path / "one"), rel=1e-3)


def test_what_a_process_raises_is_raised_here(
    settings: Callable[..., TuneConfig], tmp_path: Path
) -> None:
    data = tmp_path / "bad.jsonl"
    data.write_text("{}\n")
    with pytest.raises(ExampleError, match=r"bad\.jsonl:1"):
        list(train(settings(processes=2, data=data)))


def test_the_processes_must_share_a_batch(settings: Callable[..., TuneConfig]) -> None:
    with pytest.raises(ConfigError, match="times processes=3 does not divide batch=8"):
        settings(processes=3)
    with pytest.raises(ConfigError, match="grpo writes while it learns"):
        load_config("grpo", None, {"data": "a", "model": "m", "out": "o", "processes": 2})


def test_an_event_survives_the_pipe_and_other_lines_are_none() -> None:
    assert heard(tell(Saved(3, Path("a")))) == Saved(3, Path("a"))
    assert heard("Loading weights: 100%") is None
