import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")

import torch
import yaml
from filelock import FileLock
from peft.peft_model import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from finetune.errors import (
    ExampleError,
    ModelError,
    OutOfMemoryError,
    RunBusyError,
    RunChangedError,
    RunExistsError,
    StoppedError,
)
from finetune.events import Evaluated, Event, Finished, Progress, Saved, Started
from finetune.method_config import SftConfig, load_config
from finetune.training import train

ROOT = Path(__file__).parents[2]


@pytest.fixture
def settings(
    tiny_base: Path, template: Path, conversations: Callable[..., Path], tmp_path: Path
) -> Callable[..., SftConfig]:
    def make(**changed: Any) -> SftConfig:
        return load_config(
            "sft",
            None,
            {
                "data": conversations(),
                "model": str(tiny_base),
                "out": tmp_path / "adapter",
                "chat_template": template,
                "lora_rank": 4,
                "batch": 4,
                "learning_rate": 5e-3,
                "max_steps": 6,
                "save_every": 2,
                "effects": False,
            }
            | changed,
        )

    return make


def losses(folder: Path) -> dict[int, float]:
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return {line["step"]: line["loss"] for line in map(json.loads, lines)}


def test_a_run_tells_its_steps_and_leaves_an_adapter_with_its_lineage(
    settings: Callable[..., SftConfig], conversations: Callable[..., Path]
) -> None:
    held_out = conversations(4, first=100, name="eval.jsonl")
    config = settings(max_steps=40, save_every=20, eval_data=held_out, eval_every=20)
    events = list(train(config))
    started, finished = events[0], events[-1]
    assert isinstance(started, Started)
    assert isinstance(finished, Finished)
    assert (started.rows, started.steps, started.first_step) == (24, 40, 0)
    assert 0 < started.learned_tokens < started.tokens
    progress = [event for event in events if isinstance(event, Progress)]
    assert [event.step for event in progress] == list(range(1, 41))
    assert progress[-1].loss < 0.6 * progress[0].loss
    assert progress[-1].seconds_left == 0
    assert [event.step for event in events if isinstance(event, Evaluated)] == [20, 40]
    assert [event.step for event in events if isinstance(event, Saved)] == [20, 40]

    files = {path.name for path in config.out.iterdir()}
    assert files == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "chat_template.jinja",
        "loss.png",
        "metrics.json",
        "metrics.jsonl",
        "report.html",
        "resolved.yaml",
    }
    weights = load_file(config.out / "adapter_model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.bfloat16}
    assert sum(weight.numel() for weight in weights.values()) == started.trainable
    assert json.loads((config.out / "metrics.json").read_text()) == finished.metrics
    assert set(finished.metrics["lineage"]) == {str(config.data[0]), str(held_out), "chat_template"}
    assert finished.metrics["held_out_loss"] < finished.metrics["first_loss"]
    resolved = yaml.safe_load((config.out / "resolved.yaml").read_text())
    assert SftConfig(**resolved).resolved() == config.resolved()
    assert (config.out / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_the_adapter_loads_on_the_base_and_names_the_model_as_it_was_given(
    settings: Callable[..., SftConfig], tiny_base: Path
) -> None:
    config = settings(model="someone/some-model")
    list(train(config, base=tiny_base))
    base = AutoModelForCausalLM.from_pretrained(tiny_base)
    before = base(torch.tensor([[5, 6, 7]])).logits
    adapted = PeftModel.from_pretrained(base, str(config.out))
    assert not torch.equal(adapted(torch.tensor([[5, 6, 7]])).logits, before)
    written = json.loads((config.out / "adapter_config.json").read_text())
    assert written["base_model_name_or_path"] == "someone/some-model"
    assert written["inference_mode"] is True


def test_the_same_seed_gives_the_same_losses_and_another_one_others(
    settings: Callable[..., SftConfig], tmp_path: Path
) -> None:
    for out, seed in (("a", 0), ("b", 0), ("c", 1)):
        list(train(settings(out=tmp_path / out, seed=seed)))
    assert losses(tmp_path / "a") == losses(tmp_path / "b") != losses(tmp_path / "c")


RUN = """
import json, sys
from pathlib import Path
from finetune.method_config import load_config
from finetune.training import train
config = load_config("sft", None, json.loads(Path(sys.argv[1]).read_text()))
for event in train(config):
    print(type(event).__name__, getattr(event, "step", ""), flush=True)
"""


def start(config: SftConfig, tmp_path: Path) -> subprocess.Popen[str]:
    recipe = tmp_path / "settings.json"
    recipe.write_text(json.dumps(config.resolved()), encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(recipe)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None
    for told in process.stdout:
        if told.strip() == line:
            return
    assert process.stderr is not None
    pytest.fail(f"{line!r} was never told: {process.stderr.read()[-2000:]}")


@pytest.mark.slow
def test_a_run_killed_at_once_goes_on_with_the_losses_of_one_that_was_not(
    settings: Callable[..., SftConfig], tmp_path: Path
) -> None:
    config = settings(max_steps=30, save_every=2)
    process = start(config, tmp_path)
    wait_for(process, "Saved 4")
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.communicate()
    assert not (config.out / "adapter_model.safetensors").exists()
    told = list(train(config, resume=True))
    first = told[0]
    assert isinstance(first, Started)
    assert first.first_step >= 4
    whole = settings(max_steps=30, save_every=2, out=tmp_path / "whole")
    list(train(whole))
    assert losses(config.out) == pytest.approx(losses(whole.out), abs=1e-6)
    resumed = load_file(config.out / "adapter_model.safetensors")
    for name, weight in load_file(whole.out / "adapter_model.safetensors").items():
        torch.testing.assert_close(resumed[name], weight)


def read_and_press(config: SftConfig, told: list[Event], *, busy: bool) -> None:
    """Read a run's events; press Ctrl-C after the second step, while waiting or while busy."""
    for event in train(config):
        told.append(event)
        if isinstance(event, Progress) and event.step == 2:
            press = threading.Timer(0 if busy else 0.2, os.kill, (os.getpid(), signal.SIGINT))
            press.start()
            if busy:
                press.join()


@pytest.mark.parametrize("busy", [False, True])
def test_ctrl_c_saves_and_says_how_to_go_on(
    settings: Callable[..., SftConfig], *, busy: bool
) -> None:
    told: list[Event] = []
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(StoppedError, match=r"Stopped after step \d+; .* with resume") as stopped:
        read_and_press(settings(max_steps=5000, save_every=1000), told, busy=busy)
    last = told[-1]
    assert isinstance(last, Saved)
    assert f"step {last.step};" in str(stopped.value)
    assert (last.folder / "whole.json").exists()
    assert signal.getsignal(signal.SIGINT) == before


def test_a_run_that_is_left_by_its_reader_is_saved_and_continued(
    settings: Callable[..., SftConfig], tmp_path: Path
) -> None:
    config = settings(max_steps=30, save_every=100)
    events = train(config)
    for event in events:
        if isinstance(event, Progress) and event.step == 3:
            break
    events.close()
    (checkpoint,) = (config.out / "checkpoints").iterdir()
    step = int(checkpoint.name.split("-")[1])
    assert 3 <= step < 30
    started = next(train(config, resume=True))
    assert isinstance(started, Started)
    assert started.first_step == step


def test_a_checkpoint_that_was_not_written_to_its_end_is_ignored(
    settings: Callable[..., SftConfig],
) -> None:
    config = settings(max_steps=30, save_every=100)
    events = train(config)
    next(event for event in events if isinstance(event, Progress))
    events.close()
    (checkpoint,) = (config.out / "checkpoints").iterdir()
    broken = checkpoint.with_name("checkpoint-29")
    broken.mkdir()
    (broken / "trainer_state.json").write_text("{", encoding="utf-8")
    started = next(train(config, resume=True))
    assert isinstance(started, Started)
    assert 0 < started.first_step < 29
    assert not broken.exists()


def test_a_finished_run_is_never_overwritten(settings: Callable[..., SftConfig]) -> None:
    config = settings(max_steps=1)
    list(train(config))
    for resume in (False, True):
        with pytest.raises(RunExistsError, match="finished run"):
            list(train(config, resume=resume))


def test_an_unfinished_run_is_neither_overwritten_nor_mixed_with_another(
    settings: Callable[..., SftConfig], conversations: Callable[..., Path]
) -> None:
    config = settings(max_steps=30, save_every=100)
    events = train(config)
    next(event for event in events if isinstance(event, Progress))
    events.close()
    with pytest.raises(RunExistsError, match="unfinished run"):
        list(train(config))
    with pytest.raises(RunChangedError, match=r"learning_rate was 0.005, now 0.1"):
        list(train(settings(max_steps=30, learning_rate=0.1), resume=True))
    conversations(25)
    with pytest.raises(RunChangedError, match=r"train\.jsonl has other content"):
        list(train(config, resume=True))


def test_two_processes_never_train_into_one_folder(settings: Callable[..., SftConfig]) -> None:
    config = settings()
    config.out.mkdir()
    with FileLock(config.out / ".lock"), pytest.raises(RunBusyError, match="Another process"):
        list(train(config))


def test_a_missing_model_is_named_before_anything_is_written(
    settings: Callable[..., SftConfig], tmp_path: Path
) -> None:
    config = settings(model=str(tmp_path / "none"))
    with pytest.raises(ModelError, match="none is no model folder"):
        list(train(config))
    assert not config.out.exists()


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"target_modules": ["no_such"]}, ModelError),
        ({"adapter": "nowhere"}, ModelError),
        ({"max_length": 8}, ExampleError),
    ],
)
def test_a_run_that_is_refused_leaves_no_folder_behind(
    changed: dict[str, Any],
    error: type[Exception],
    settings: Callable[..., SftConfig],
    tmp_path: Path,
) -> None:
    with pytest.raises(error):
        list(train(settings(out=tmp_path / "new" / "run", **changed)))
    assert not (tmp_path / "new").exists()
    (own := tmp_path / "own").mkdir()
    with pytest.raises(error):
        list(train(settings(out=own, **changed)))
    assert list(own.iterdir()) == []


@pytest.mark.slow
def test_four_bits_learn_too(settings: Callable[..., SftConfig]) -> None:
    pytest.importorskip("bitsandbytes")
    events = list(train(settings(quantize_4bit=True, max_steps=25)))
    progress = [event for event in events if isinstance(event, Progress)]
    assert progress[-1].loss < 0.9 * progress[0].loss


@pytest.mark.slow
def test_the_real_starter_base_learns(
    settings: Callable[..., SftConfig], starter_base: Path
) -> None:
    begun = time.monotonic()
    config = settings(
        model="starter", lora_rank=32, learning_rate=8e-4, max_steps=6, batch=2, save_every=100
    )
    events = list(train(config, base=starter_base))
    progress = [event for event in events if isinstance(event, Progress)]
    assert progress[-1].loss < 0.5 * progress[0].loss, time.monotonic() - begun
    assert (config.out / "adapter_model.safetensors").stat().st_size < 25 * 2**20


def test_a_whole_model_is_tuned_and_saved_so_that_it_loads_like_its_base(
    settings: Callable[..., SftConfig], tiny_base: Path
) -> None:
    config = settings(tuner="full", max_steps=20, learning_rate=2e-3)
    events = list(train(config))
    started = events[0]
    assert isinstance(started, Started)
    assert started.trainable == started.parameters
    progress = [event for event in events if isinstance(event, Progress)]
    assert progress[-1].loss < 0.8 * progress[0].loss
    tuned = AutoModelForCausalLM.from_pretrained(config.out, dtype="auto")
    base = AutoModelForCausalLM.from_pretrained(tiny_base, dtype="auto")
    assert tuned.dtype == torch.bfloat16
    assert not torch.equal(
        tuned(torch.tensor([[5, 6]])).logits, base(torch.tensor([[5, 6]])).logits
    )


@pytest.mark.parametrize("tuner", ["rslora", "dora"])
def test_each_kind_of_adapter_trains_and_loads_on_its_base(
    tuner: str, settings: Callable[..., SftConfig], tiny_base: Path
) -> None:
    config = settings(tuner=tuner, max_steps=20)
    progress = [event for event in train(config) if isinstance(event, Progress)]
    assert progress[-1].loss < 0.8 * progress[0].loss
    written = json.loads((config.out / "adapter_config.json").read_text())
    assert (written["use_rslora"], written["use_dora"]) == (tuner == "rslora", tuner == "dora")
    base = AutoModelForCausalLM.from_pretrained(tiny_base)
    PeftModel.from_pretrained(base, str(config.out))


def test_several_rows_at_once_give_the_losses_of_one_at_a_time(
    settings: Callable[..., SftConfig], tmp_path: Path, conversations: Callable[..., Path]
) -> None:
    data = conversations(4, name="one-batch.jsonl")  # so that the order is the same
    for out, size in (("one", 1), ("four", 4)):
        config = settings(data=data, out=tmp_path / out, micro_batch=size, max_steps=4, bf16=False)
        list(train(config))
    assert losses(tmp_path / "four") == pytest.approx(losses(tmp_path / "one"), rel=1e-4)


def test_a_run_says_what_it_did_to_general_text_and_to_the_variety_of_writing(
    settings: Callable[..., SftConfig],
) -> None:
    config = settings(effects=True, max_steps=8, learning_rate=2e-2)
    finished = list(train(config))[-1]
    assert isinstance(finished, Finished)
    effects = finished.metrics["effects"]
    assert effects["forgotten_percent"] != 0  # a base of random weights may as well gain
    for side in ("base", "tuned"):
        assert 0 < effects[side]["distinct_2"] <= 1
        assert 0 <= effects[side]["self_bleu"] <= 1
    page = (config.out / "report.html").read_text(encoding="utf-8")
    assert "effects.forgotten_percent" in page
    assert "data:image/png;base64," in page


@pytest.mark.parametrize(
    ("cores", "changed", "threads"), [(64, {}, 2), (1, {}, 1), (1, {"threads": 3}, 3)]
)
def test_a_run_takes_the_threads_that_are_set_or_no_more_than_it_has_cores(
    cores: int,
    changed: dict[str, Any],
    threads: int,
    settings: Callable[..., SftConfig],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[int] = []
    monkeypatch.setattr("finetune.running.usable_cores", lambda: cores)
    monkeypatch.setattr("torch.get_num_threads", lambda: 2)
    monkeypatch.setattr("torch.set_num_threads", taken.append)
    with pytest.raises(ModelError):
        list(train(settings(model="nowhere", **changed)))
    assert taken == [threads]


def test_tensorboard_gets_the_losses_where_it_is_asked_for(
    settings: Callable[..., SftConfig],
) -> None:
    pytest.importorskip("tensorboard")
    config = settings(tensorboard=True, max_steps=2)
    list(train(config))
    assert list((config.out / "tensorboard").glob("events.*"))


def test_too_little_memory_ends_in_advice_that_follows_from_the_run(
    settings: Callable[..., SftConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")

    monkeypatch.setattr("finetune.methods.sft.label_loss", fail)
    with pytest.raises(OutOfMemoryError, match=r"CUDA out of memory\. .*max_length=512 \(about"):
        list(train(settings()))
