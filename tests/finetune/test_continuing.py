import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")

import torch
import yaml
from peft.peft_model import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from finetune.base_model import load_tokenizer
from finetune.continuing import ADAPTER_WEIGHTS, agree, read_earlier
from finetune.data.reading import read_examples
from finetune.encoding import encode_all
from finetune.errors import ConfigError, ModelError, RunChangedError
from finetune.events import Finished, Progress, Started
from finetune.method_config import SftConfig, load_config
from finetune.methods.sft import held_out_loss
from finetune.precision import dtype_of, in_bf16
from finetune.training import train


@pytest.fixture
def settings(
    tiny_base: Path, template: Path, conversations: Callable[..., Path], tmp_path: Path
) -> Callable[..., SftConfig]:
    def make(**changed: Any) -> SftConfig:
        return load_config(
            "sft",
            None,
            {
                "data": conversations(4),
                "model": str(tiny_base),
                "out": tmp_path / "second",
                "chat_template": template,
                "batch": 4,
                "learning_rate": 5e-3,
                "max_steps": 4,
                "effects": False,
            }
            | changed,
        )

    return make


@pytest.fixture
def first(settings: Callable[..., SftConfig], tmp_path: Path) -> Path:
    """The adapter of a first run, of rank 4."""
    out = tmp_path / "first"
    list(train(settings(out=out, lora_rank=4, lora_alpha=12, max_steps=12)))
    return out


def test_a_run_begins_at_the_loss_of_the_adapter_that_it_continues(
    settings: Callable[..., SftConfig], first: Path, tiny_base: Path, template: Path
) -> None:
    config = settings(adapter=first)
    tokenizer = load_tokenizer(tiny_base)
    data, _ = encode_all(
        read_examples(config.data), tokenizer, template.read_text(), max_length=1024
    )
    base = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=dtype_of(config))
    adapted = PeftModel.from_pretrained(base, str(first), autocast_adapter_dtype=True)
    expected = held_out_loss(adapted, data, bf16=in_bf16(config))

    events = list(train(config))
    progress = [event for event in events if isinstance(event, Progress)]
    finished = json.loads((first / "metrics.json").read_text())
    assert progress[0].loss == pytest.approx(expected, rel=1e-3)
    assert progress[0].loss < 0.9 * finished["first_loss"]
    assert progress[-1].loss < progress[0].loss


def test_the_result_is_an_ordinary_adapter_that_says_what_it_continued(
    settings: Callable[..., SftConfig], first: Path, tiny_base: Path
) -> None:
    config = settings(adapter=first)
    events = list(train(config))
    started, finished = events[0], events[-1]
    assert isinstance(started, Started)
    assert isinstance(finished, Finished)
    before = json.loads((first / "metrics.json").read_text())
    metrics = json.loads((config.out / "metrics.json").read_text())
    name = before["adapter_sha256"][:12]
    assert started.continued == name
    assert metrics["continued"] == {"adapter": name, "tokens": before["tokens"]}
    assert metrics["total_tokens"] == before["tokens"] + metrics["tokens"]
    assert metrics["lineage"]["adapter"] == before["adapter_sha256"]
    assert str(first) not in (config.out / "metrics.json").read_text()
    resolved = yaml.safe_load((config.out / "resolved.yaml").read_text())
    assert (resolved["lora_rank"], resolved["lora_alpha"]) == (4, 12)
    assert resolved["adapter"] == str(first)
    old, new = load_file(first / ADAPTER_WEIGHTS), load_file(config.out / ADAPTER_WEIGHTS)
    assert old.keys() == new.keys()
    assert any(not torch.equal(old[key], new[key]) for key in old)
    third = read_earlier(config.out)
    assert (third.rank, third.alpha, third.tokens) == (4, 12, metrics["total_tokens"])
    base = AutoModelForCausalLM.from_pretrained(tiny_base)
    PeftModel.from_pretrained(base, str(config.out))


def test_a_continued_run_is_stopped_and_resumed_with_the_same_losses(
    settings: Callable[..., SftConfig], first: Path, tmp_path: Path
) -> None:
    config = settings(adapter=first, max_steps=8, save_every=100)
    events = train(config)
    next(event for event in events if isinstance(event, Progress) and event.step == 2)
    events.close()
    list(train(config, resume=True))
    whole = settings(adapter=first, max_steps=8, out=tmp_path / "whole")
    list(train(whole))

    def losses(folder: Path) -> list[float]:
        lines = (folder / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line)["loss"] for line in lines]

    assert len(losses(config.out)) == 8
    assert losses(config.out) == pytest.approx(losses(whole.out), abs=1e-6)


def test_a_run_is_not_resumed_on_another_adapter(
    settings: Callable[..., SftConfig], first: Path
) -> None:
    config = settings(adapter=first, max_steps=30)
    events = train(config)
    next(event for event in events if isinstance(event, Progress))
    events.close()
    weights = load_file(first / ADAPTER_WEIGHTS)
    save_file({name: weight * 2 for name, weight in weights.items()}, first / ADAPTER_WEIGHTS)
    with pytest.raises(RunChangedError, match="adapter has other content"):
        list(train(config, resume=True))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"lora_rank": 8}, "lora_rank is 8, the adapter's 4"),
        ({"lora_alpha": 4}, "lora_alpha is 4, the adapter's 12"),
        ({"target_modules": "attention"}, "target_modules is .*k_proj"),
        ({"target_modules": ["up_proj"]}, r"target_modules is \['up_proj'\]"),
    ],
)
def test_a_setting_that_contradicts_the_adapter_is_refused_with_both_values(
    settings: Callable[..., SftConfig], first: Path, changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        agree(settings(adapter=first, **changed), read_earlier(first))


def test_all_modules_agree_with_an_adapter_on_all_of_them_only(
    settings: Callable[..., SftConfig], first: Path, tmp_path: Path
) -> None:
    list(train(settings(adapter=first, target_modules="all", max_steps=1)))
    some = settings(out=tmp_path / "some", target_modules="attention", max_steps=1)
    list(train(some))
    with pytest.raises(ConfigError, match=r"target_modules is all.*Leave target_modules out"):
        list(train(settings(adapter=some.out, target_modules="all", out=tmp_path / "next")))


def test_an_adapter_of_another_model_is_refused(
    settings: Callable[..., SftConfig], first: Path
) -> None:
    weights = load_file(first / ADAPTER_WEIGHTS)
    weights.pop(next(name for name in weights if ".layers.1." in name))
    save_file(weights, first / ADAPTER_WEIGHTS)
    with pytest.raises(
        ModelError, match=r"does not fit this model: 1 weights, such as .*layers\.1"
    ):
        list(train(settings(adapter=first)))


def test_a_folder_without_a_lora_is_named(first: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none is no folder of an adapter"):
        read_earlier(tmp_path / "none")
    path = first / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"peft_type": "LOHA"}))
    with pytest.raises(ModelError, match="holds a LOHA adapter"):
        read_earlier(first)
    path.write_text("{")
    with pytest.raises(ModelError, match=r"adapter_config\.json is no valid JSON"):
        read_earlier(first)


def test_a_neural_adapter_is_continued_as_one_with_its_own_frequency(
    settings: Callable[..., SftConfig], tmp_path: Path
) -> None:
    begun = tmp_path / "neural"
    sine = {"tuner": "neural", "frequency": 50.0, "compare": False}
    list(train(settings(out=begun, lora_rank=4, max_steps=12, **sine)))
    before = json.loads((begun / "metrics.json").read_text())
    events = list(train(settings(adapter=begun)))
    progress = [event.loss for event in events if isinstance(event, Progress)]
    assert progress[0] < 0.95 * before["first_loss"]
    written = json.loads((tmp_path / "second" / "adapter_config.json").read_text())
    assert (written["peft_type"], written["frequency"], written["r"]) == ("NEURAL", 50.0, 4)
    assert events[-1].metrics["tuner"] == "neural"
    with pytest.raises(ConfigError, match=r"frequency is 9\.0, the adapter's 50\.0"):
        list(train(settings(adapter=begun, frequency=9.0, out=tmp_path / "third")))
    with pytest.raises(ConfigError, match="tuner is lora, the adapter's neural"):
        list(train(settings(adapter=begun, tuner="lora", out=tmp_path / "fourth")))
