"""GRPO on a tiny model in a tiny world: it learns what is rewarded, and tools' words are masked."""

import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from bell import Bell, BellEpisode
from stopped_runs import stop_after

pytest.importorskip("trl")

from transformers import AutoModelForCausalLM

from finetune.base_model import load_tokenizer
from finetune.data.rows import Prompt
from finetune.errors import ConfigError
from finetune.events import Evaluated, Event, Progress
from finetune.method_config import load_config
from finetune.rollouts import Roller, Sampling
from finetune.training import train
from finetune.tune_config import TuneConfig


@pytest.fixture
def settings(tiny_base: Path, template: Path, tmp_path: Path) -> Callable[..., TuneConfig]:
    def make(**changed: Any) -> TuneConfig:
        data = tmp_path / "prompts.jsonl"
        data.write_text(
            "".join(json.dumps({"prompt": f"What is {n}?"}) + "\n" for n in range(8)),
            encoding="utf-8",
        )
        given = {
            "data": data,
            "model": str(tiny_base),
            "out": tmp_path / "adapter",
            "chat_template": template,
            "lora_rank": 4,
            "batch": 2,
            "generations": 4,
            "micro_batch": 2,
            "turns": 1,
            "turn_tokens": 8,
            "max_length": 128,
            "learning_rate": 3e-2,
            "max_steps": 25,
            "effects": False,
        }
        return load_config("grpo", None, given | changed)

    return make


def rewards(events: Sequence[Event]) -> list[float]:
    return [event.measures["reward"] for event in events if isinstance(event, Progress)]


def test_what_is_rewarded_becomes_likelier(settings: Callable[..., TuneConfig]) -> None:
    config = settings(rewards={"liked": 1.0})
    told = rewards(list(train(config, world=Bell())))
    assert sum(told[-5:]) > 1.5 * sum(told[:5])


def test_held_out_prompts_are_judged_by_each_reward(
    settings: Callable[..., TuneConfig], tmp_path: Path
) -> None:
    config = settings(max_steps=2, eval_data=tmp_path / "prompts.jsonl")
    events = list(train(config, world=Bell()))
    (seen,) = [event for event in events if isinstance(event, Evaluated)]
    assert seen.loss is None
    assert set(seen.measures) == {"reward", "reward/liked", "reward/short"}
    assert seen.measures["reward"] == pytest.approx(
        seen.measures["reward/liked"] + seen.measures["reward/short"]
    )


@pytest.mark.parametrize(("prompts", "epochs"), [(1, 1), (3, 1), (3, 4)])
def test_prompts_that_fill_no_batch_are_asked_again_as_often_as_each_other(
    prompts: int,
    epochs: int,
    settings: Callable[..., TuneConfig],
    tmp_path: Path,
) -> None:
    data = tmp_path / "few.jsonl"
    data.write_text("".join(f'{{"prompt": "What is {n}?"}}\n' for n in range(prompts)))
    config = settings(data=data, batch=4, generations=2, max_steps=None, epochs=epochs)
    asked: Counter[str] = Counter()

    class Heard(Bell):
        def begin(self, prompt: Prompt) -> BellEpisode:
            asked[str(prompt.prompt)] += 1
            return super().begin(prompt)

    steps = len(rewards(list(train(config, world=Heard()))))
    assert steps == math.ceil(prompts * epochs / 4)
    assert len(asked) == prompts
    assert max(asked.values()) - min(asked.values()) <= 2
    assert asked.total() == steps * 4 * 2


def test_a_neural_run_is_compared_by_what_held_out_prompts_earn(
    settings: Callable[..., TuneConfig], tmp_path: Path
) -> None:
    config = settings(max_steps=1, tuner="neural", eval_data=tmp_path / "prompts.jsonl")
    list(train(config, world=Bell()))
    metrics = json.loads((config.out / "metrics.json").read_text(encoding="utf-8"))
    table = metrics["compared"]
    assert list(table) == ["neural", "lora", "rslora"]
    assert table["neural"]["held_out_reward"] == metrics["held_out_reward"]
    assert all("held_out_reward" in numbers for numbers in table.values())


def test_a_stopped_run_goes_on_with_the_rewards_of_one_that_was_not(
    settings: Callable[..., TuneConfig], tmp_path: Path
) -> None:
    config = settings(max_steps=6, save_every=2)
    stop_after(2, train(config, world=Bell()))
    list(train(config, world=Bell(), resume=True))
    list(train(settings(max_steps=6, out=tmp_path / "whole"), world=Bell()))

    def lines(folder: Path) -> dict[int, tuple[float, int]]:
        rows = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        return {
            row["step"]: (row["measures"]["reward"], row["tokens"]) for row in map(json.loads, rows)
        }

    first, whole = lines(config.out), lines(tmp_path / "whole")
    assert first.keys() == whole.keys()
    for step, (reward, tokens) in whole.items():
        assert first[step] == (pytest.approx(reward, abs=1e-5), tokens)


def test_what_tools_say_stands_between_and_is_not_the_models_own(
    tiny_base: Path, template: Path
) -> None:
    tokenizer = load_tokenizer(tiny_base)
    text = template.read_text(encoding="utf-8")
    sampling = Sampling(turns=3, tokens=6, length=256, temperature=1.0)
    roller = Roller(tokenizer, text, Bell(rings=2), sampling)
    model = AutoModelForCausalLM.from_pretrained(tiny_base)
    (rollout,) = roller.roll(model, [Prompt("What is 3?")])
    assert rollout.turns == 3
    assert len(rollout.own) == len(rollout.completion_ids)
    foreign = [id_ for id_, own in zip(rollout.completion_ids, rollout.own, strict=True) if not own]
    said = tokenizer.decode(foreign)
    assert said.count("<|im_start|>tool\nding<|im_end|>\n<|im_start|>assistant\n") == 2
    assert tokenizer.decode(rollout.prompt_ids).endswith("<|im_start|>assistant\n")


def test_tries_that_are_alike_are_read_once_and_written_as_each_would_be_alone(
    tiny_base: Path, template: Path
) -> None:
    text = template.read_text(encoding="utf-8")
    sampling = Sampling(turns=2, tokens=6, length=256, temperature=0.0)
    roller = Roller(load_tokenizer(tiny_base), text, Bell(rings=1), sampling)
    model = AutoModelForCausalLM.from_pretrained(tiny_base)
    read: list[int] = []
    model.register_forward_pre_hook(
        lambda _, args, given: read.append(given["input_ids"].numel()), with_kwargs=True
    )
    one, other = Prompt("What is 3?"), Prompt("How much is it that 3 and 4 are?")
    alone = [roller.roll(model, [each])[0].completion_ids for each in (one, other)]
    once = sum(read)
    read.clear()
    together = roller.roll(model, [one, one, other, one])
    assert [each.completion_ids for each in together] == [alone[0], alone[0], alone[1], alone[0]]
    assert sum(read) < 1.5 * once


def test_an_episode_ends_where_the_window_does(tiny_base: Path, template: Path) -> None:
    tokenizer = load_tokenizer(tiny_base)
    sampling = Sampling(turns=5, tokens=6, length=60, temperature=1.0)
    text = template.read_text(encoding="utf-8")
    roller = Roller(tokenizer, text, Bell(rings=4), sampling)
    model = AutoModelForCausalLM.from_pretrained(tiny_base)
    (rollout,) = roller.roll(model, [Prompt("What is 3?")])
    assert len(rollout.ids) <= 60
    assert rollout.turns < 5


@pytest.mark.parametrize(
    ("changed", "world", "said"),
    [
        ({"rewards": {"loud": 1.0}}, Bell(), "No reward 'loud' here. Use: liked, short"),
        ({}, None, "acts in a world"),
    ],
)
def test_what_cannot_be_judged_is_refused(
    changed: dict[str, Any], world: Bell | None, said: str, settings: Callable[..., TuneConfig]
) -> None:
    with pytest.raises(ConfigError, match=said):
        list(train(settings(**changed), world=world))
