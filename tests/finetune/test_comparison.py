import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")

import yaml

from finetune.comparison import rivals, train_beside
from finetune.errors import ConfigError, StoppedError
from finetune.events import Compared, Comparing, Finished, Progress
from finetune.method_config import load_config
from finetune.training import train
from finetune.tune_config import TuneConfig


@pytest.fixture
def settings(
    tiny_base: Path, template: Path, conversations: Callable[..., Path], tmp_path: Path
) -> Callable[..., TuneConfig]:
    def make(**changed: Any) -> TuneConfig:
        return load_config(
            "sft",
            None,
            {
                "data": conversations(),
                "model": str(tiny_base),
                "out": tmp_path / "run",
                "chat_template": template,
                "tuner": "neural",
                "lora_rank": 4,
                "batch": 4,
                "learning_rate": 5e-3,
                "max_steps": 4,
                "effects": False,
            }
            | changed,
        )

    return make


def test_a_neural_run_puts_lora_and_rslora_of_as_many_weights_beside_it(
    settings: Callable[..., TuneConfig], conversations: Callable[..., Path]
) -> None:
    held_out = conversations(4, first=100, name="held.jsonl")
    config = settings(eval_data=held_out)
    events = list(train(config))
    metrics = json.loads((config.out / "metrics.json").read_text())
    table = metrics["compared"]
    assert list(table) == ["neural", "lora", "rslora"]
    assert len({row["parameters"] for row in table.values()}) == 1
    assert len({row["held_out_loss"] for row in table.values()}) == 3
    assert table["neural"]["held_out_loss"] == metrics["held_out_loss"]
    assert 0 < metrics["angle_rms"]["mean"] <= metrics["angle_rms"]["largest"]

    beside = [event for event in events if isinstance(event, Comparing)]
    assert [(event.tuner, event.progress.step) for event in beside] == [
        (tuner, step) for tuner in ("lora", "rslora") for step in range(1, 5)
    ]
    assert len([event for event in events if isinstance(event, Progress)]) == 4
    assert isinstance(events[-2], Compared)
    assert isinstance(events[-1], Finished)
    assert events[-1].metrics["compared"] == table
    page = (config.out / "report.html").read_text()
    assert "Kinds of adapter on the same rows and steps" in page
    assert f"held_out_loss {table['rslora']['held_out_loss']:.4g}" in page
    assert not list((config.out / "compared").rglob("checkpoint*"))


def test_its_first_loss_is_that_of_a_run_of_its_own(
    settings: Callable[..., TuneConfig], tmp_path: Path
) -> None:
    config = settings()
    list(train(config))
    list(train(settings(tuner="lora", out=tmp_path / "alone")))
    beside, alone = (
        [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
        for folder in (config.out / "compared" / "lora", tmp_path / "alone")
    )
    assert beside == alone


@pytest.mark.parametrize(
    ("changed", "compares"),
    [
        ({}, True),
        ({"compare": False}, False),
        ({"tuner": "lora"}, False),
        ({"tuner": "dora", "compare": True}, True),
        ({"adapter": "earlier"}, False),
    ],
)
def test_only_a_neural_run_compares_unless_it_is_told(
    settings: Callable[..., TuneConfig], changed: dict[str, Any], compares: bool
) -> None:
    config = settings(**changed)
    assert config.compares == config.resolved()["compare"] == compares
    assert "compare" not in config.learned()


def test_a_lora_is_not_compared_with_itself(settings: Callable[..., TuneConfig]) -> None:
    assert [each.tuner for each in rivals(settings(tuner="lora"))] == ["rslora"]
    assert [each.tuner for each in rivals(settings(tuner="dora"))] == ["lora", "rslora"]


@pytest.mark.parametrize("changed", [{"tuner": "full"}, {"adapter": "earlier"}])
def test_what_has_no_equal_is_not_compared(
    settings: Callable[..., TuneConfig], changed: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match="compare trains adapters from the start"):
        settings(compare=True, **changed)


def test_the_result_is_whole_on_the_disk_before_anything_is_compared(
    settings: Callable[..., TuneConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings()
    seen: list[set[str]] = []

    def killed(*_: Any, **__: Any) -> None:
        seen.append({path.name for path in config.out.iterdir()})
        raise StoppedError("as if killed")

    monkeypatch.setattr("finetune.training.train_beside", killed)
    with pytest.raises(StoppedError):
        list(train(config))
    assert seen[0] >= {
        "adapter_model.safetensors",
        "metrics.json",
        "report.html",
        "resolved.yaml",
    }
    assert "compared" not in json.loads((config.out / "metrics.json").read_text())


def test_ctrl_c_while_comparing_ends_it_and_keeps_the_run(
    settings: Callable[..., TuneConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(max_steps=3)

    def stopped(*arguments: Any, **more: Any) -> Any:
        more["stop"].set()
        return train_beside(*arguments, **more)

    monkeypatch.setattr("finetune.training.train_beside", stopped)
    events = list(train(config))
    assert isinstance(events[-1], Finished)
    assert list(events[-1].metrics["compared"]) == ["neural"]


def test_a_rival_that_diverges_says_so_and_costs_nothing_else(
    settings: Callable[..., TuneConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(max_steps=2)
    from finetune.methods.sft import SftTrainer
    from finetune.telling import diverged

    plain = SftTrainer.training_step

    def step(self: Any, model: Any, inputs: Any, *more: Any, **named: Any) -> Any:
        if (
            model.peft_config["default"].peft_type == "LORA"
            and model.peft_config["default"].use_rslora
        ):
            raise diverged(1, "loss", float("nan"))
        return plain(self, model, inputs, *more, **named)

    monkeypatch.setattr(SftTrainer, "training_step", step)
    list(train(config))
    table = json.loads((config.out / "metrics.json").read_text())["compared"]
    assert "became nan at step 1" in table["rslora"]["diverged"]
    assert "last_loss" in table["lora"]
    assert yaml.safe_load((config.out / "resolved.yaml").read_text())["compare"] is True
