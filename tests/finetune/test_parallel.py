"""Two processes on one run, on the CPU by gloo: they take the steps of one."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bell import Bell
from stopped_runs import stop_after

pytest.importorskip("trl")

from finetune.errors import ConfigError, ExampleError
from finetune.events import Evaluated, Event, Finished, Progress, Saved, Started
from finetune.method_config import load_config
from finetune.training import train
from finetune.tune_config import TuneConfig
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

    def make(method: str = "sft", **changed: Any) -> TuneConfig:
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
        return load_config(method, None, given | changed)

    return make


@pytest.fixture
def prompts(tmp_path: Path) -> dict[str, Any]:
    data = tmp_path / "prompts.jsonl"
    rows = [{"prompt": f"What follows {number}?"} for number in range(8)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return {"data": data, "eval_data": data}


def losses(folder: Path) -> dict[int, float]:
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return {line["step"]: line["loss"] for line in map(json.loads, lines)}


def measures(folder: Path) -> list[dict[str, float]]:
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["measures"] for line in lines]


def test_two_processes_take_the_steps_of_one_and_a_stopped_run_goes_on(
    settings: Callable[..., TuneConfig], tmp_path: Path
) -> None:
    config = settings(processes=2)
    stop_after(2, train(config))
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


def test_ppo_shares_its_rollouts_and_takes_the_steps_of_one_process(
    settings: Callable[..., TuneConfig], tmp_path: Path, prompts: dict[str, Any]
) -> None:
    more: dict[str, Any] = prompts | {
        "rewards": {"reward": "contains", "text": "e"},
        "rollout": 8,
        "batch": 4,
        "micro_batch": 2,
        "completion_length": 6,
        "kl_limit": 100.0,
        "kl_target": 0.5,
        "learning_rate": 1e-2,
        "max_steps": 10,  # of three rollouts
    }
    config = settings("ppo", processes=2, **more)
    stop_after(2, train(config))
    events = list(train(config, resume=True))
    assert isinstance(events[-1], Finished)
    whole = list(train(settings("ppo", out=tmp_path / "one", **more)))
    assert losses(config.out) == pytest.approx(losses(tmp_path / "one"), rel=1e-3, abs=1e-5)
    shared, alone = (measures(tmp_path / name) for name in ("out", "one"))
    assert shared == [pytest.approx(each, rel=1e-3, abs=1e-4) for each in alone]
    held_out = [[e.measures for e in told if isinstance(e, Evaluated)] for told in (events, whole)]
    assert held_out[0] == [pytest.approx(each, rel=1e-3, abs=1e-4) for each in held_out[1]]


def stopped_and_resumed(config: TuneConfig, world: Bell | None = None) -> list[Event]:
    """Stop a run after two steps, go on with it, and return what was told from there on."""
    stop_after(2, train(config, world=world))
    assert not (config.out / "metrics.json").exists()
    events = list(train(config, world=world, resume=True))
    assert isinstance(events[0], Started)
    assert events[0].first_step >= 2
    return events


def test_a_stopped_run_of_dpo_goes_on_with_the_losses_of_one_process(
    settings: Callable[..., TuneConfig], tmp_path: Path
) -> None:
    data = tmp_path / "pairs.jsonl"
    pairs = [{"prompt": f"{n}?", "chosen": f"{n} it is.", "rejected": "no"} for n in range(8)]
    data.write_text("".join(json.dumps(pair) + "\n" for pair in pairs), encoding="utf-8")
    more = {"data": data, "eval_data": (), "micro_batch": 2}
    config = settings("dpo", processes=2, **more)
    stopped_and_resumed(config)
    list(train(settings("dpo", out=tmp_path / "one", **more)))
    assert losses(config.out) == pytest.approx(losses(tmp_path / "one"), rel=1e-3)


def test_grpo_acts_in_every_process_in_a_world_of_its_own_and_goes_on_where_it_stopped(
    settings: Callable[..., TuneConfig], prompts: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=os.pathsep)
    more = prompts | {
        "rewards": {"liked": 1.0},
        "batch": 2,
        "generations": 4,
        "turns": 1,
        "turn_tokens": 8,
        "max_length": 128,
        "micro_batch": 2,
        "learning_rate": 3e-2,
        "schedule": "constant_with_warmup",
        "max_steps": 25,
        "save_every": 2,
    }
    config = settings("grpo", processes=2, **more)
    events = stopped_and_resumed(config, Bell())
    rewards = [each["reward"] for each in measures(config.out)]
    assert len(rewards) == 25
    assert sum(rewards[-5:]) > 1.5 * sum(rewards[:5])
    assert [set(e.measures) for e in events if isinstance(e, Evaluated)] == [
        {"reward", "reward/liked"}
    ]


def test_the_processes_must_share_a_batch(settings: Callable[..., TuneConfig]) -> None:
    with pytest.raises(ConfigError, match="times processes=3 does not divide batch=8"):
        settings(processes=3)
    with pytest.raises(ConfigError, match="rag trains encoder and model in one process"):
        settings("rag", processes=2)
    with pytest.raises(ConfigError, match="make rollout=16 a multiple of 32"):
        settings("ppo", processes=2, batch=16, rollout=16, micro_batch=1)


def test_what_a_launcher_started_otherwise_is_refused_before_anything_is_loaded(
    settings: Callable[..., TuneConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(model="not/there")
    with monkeypatch.context() as started:
        started.setenv("RANK", "1")
        started.setenv("WORLD_SIZE", "4")
        with pytest.raises(ConfigError, match=r"started this 4 times.*--set processes=4"):
            list(train(config))
    for variable, name in (("FSDP", "FSDP"), ("DEEPSPEED", "DeepSpeed")):
        with monkeypatch.context() as started:
            started.setenv(f"ACCELERATE_USE_{variable}", "true")
            with pytest.raises(ConfigError, match=f"{name} shares a model out.*quantize_4bit"):
                list(train(config))


def test_an_event_survives_the_pipe_and_other_lines_are_none() -> None:
    assert heard(tell(Saved(3, Path("a")))) == Saved(3, Path("a"))
    assert heard("Loading weights: 100%") is None
