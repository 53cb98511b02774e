"""Every kind of adapter trains, saves, loads, merges, and is served or refused with its reason."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stopped_runs import stop_after

pytest.importorskip("trl")

import torch
from peft.peft_model import PeftModel
from transformers import AutoModelForCausalLM

from finetune.delivery import Order, deliver
from finetune.errors import ConversionError
from finetune.events import Progress
from finetune.method_config import load_config
from finetune.servability import check
from finetune.training import train
from finetune.tune_config import TuneConfig
from serve.local import LocalModel

IDS = torch.arange(3, 43).reshape(2, 20)
KINDS: dict[str, dict[str, Any]] = {
    "lora": {"tuner": "lora"},
    "lora on attention": {"tuner": "lora", "target_modules": "attention"},
    "qlora": {"tuner": "lora", "quantize_4bit": True},
    "rslora": {"tuner": "rslora"},
    "rslora in 4 bits": {"tuner": "rslora", "quantize_4bit": True},
    "dora": {"tuner": "dora"},
    "dora in 4 bits": {"tuner": "dora", "quantize_4bit": True},
    "neural": {"tuner": "neural"},
    "neural in 4 bits": {"tuner": "neural", "quantize_4bit": True},
    "full": {"tuner": "full", "learning_rate": 1e-3},
}


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
                "lora_rank": 8,
                "batch": 4,
                "learning_rate": 5e-3,
                "max_steps": 25,
                "effects": False,
                "compare": False,
            }
            | changed,
        )

    return make


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        result: torch.Tensor = model.float().eval()(IDS).logits
    return result


def losses(folder: Path) -> list[float]:
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["loss"] for line in lines]


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_trains_saves_loads_merges_and_is_served(
    settings: Callable[..., TuneConfig],
    tiny_base: Path,
    tmp_path: Path,
    kind: str,
) -> None:
    config = settings(**KINDS[kind])
    tuner, told = config.tuner, check(config)
    events = list(train(config))
    seen = [event.loss for event in events if isinstance(event, Progress)]
    assert sum(seen[-5:]) < 0.95 * sum(seen[:5])
    metrics = events[-1].metrics
    assert metrics["tuner"] == tuner
    assert metrics["served_as"] == str(told)

    plain = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    before = logits(plain)
    if tuner == "full":
        tuned = AutoModelForCausalLM.from_pretrained(config.out)
    else:
        tuned = PeftModel.from_pretrained(plain, str(config.out))
    after = logits(tuned)
    assert (after - before).abs().max() > 0.1

    merged = deliver(Order(run=config.out, out=tmp_path / "m", target="merged", base=tiny_base))
    assert merged.form == ("model" if tuner == "full" else "merged")
    change = (after - before).abs().mean()
    apart = logits(AutoModelForCausalLM.from_pretrained(merged.folder)) - after
    assert apart.abs().mean() < 0.1 * change
    question = [{"role": "user", "content": "What follows 5?"}]
    assert "".join(LocalModel(merged.folder).stream(question, max_tokens=12, temperature=0.0))

    order = Order(run=config.out, out=tmp_path / "vllm", base=tiny_base)
    if told.served_as == "merged":
        assert "vLLM refuses DoRA" in metrics["served_as"]
        with pytest.raises(ConversionError, match="vLLM refuses DoRA"):
            deliver(Order(run=config.out, out=tmp_path / "a", target="adapter"))
    served = deliver(order)
    assert served.form == told.served_as
    if served.max_lora_rank:
        config_of = json.loads((served.folder / "adapter_config.json").read_text())
        assert config_of["peft_type"] == "LORA"
        base = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
        loaded = PeftModel.from_pretrained(base, str(served.folder))
        assert (logits(loaded) - after).abs().mean() < 0.1 * change


@pytest.mark.parametrize("kind", ["qlora", "dora", "neural in 4 bits", "full"])
def test_a_stopped_run_of_a_kind_goes_on_with_the_losses_of_one_that_was_not(
    kind: str, settings: Callable[..., TuneConfig], tmp_path: Path
) -> None:
    few = KINDS[kind] | {"max_steps": 4, "save_every": 1}
    config = settings(**few)
    stop_after(2, train(config))
    assert not (config.out / "metrics.json").exists()
    list(train(config, resume=True))
    list(train(settings(**few, out=tmp_path / "whole")))
    assert losses(config.out) == pytest.approx(losses(tmp_path / "whole"), abs=1e-5)
