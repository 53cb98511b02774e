import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")

import torch

from finetune.base_model import load_tokenizer
from finetune.errors import ExampleError, ModelError
from finetune.events import Evaluated, Finished, Progress, Started
from finetune.method_config import RewardConfig, load_config
from finetune.methods.reward import Reward, auc
from finetune.reward_model import Scale, load_reward
from finetune.training import train

GOOD, BAD = "It is kind of you.", "Go away at once."


def pair(number: int, **more: Any) -> dict[str, Any]:
    """A question with a friendly answer and a rude one."""
    return {
        "prompt": f"What follows {number}?",
        "chosen": f"{number + 1}. {GOOD}",
        "rejected": f"{number + 1}. {BAD}",
    } | more


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def settings(tiny_base: Path, template: Path, tmp_path: Path) -> Callable[..., RewardConfig]:
    def make(**changed: Any) -> RewardConfig:
        config = load_config(
            "reward",
            None,
            {
                "data": write(tmp_path / "pairs.jsonl", [pair(number) for number in range(32)]),
                "model": str(tiny_base),
                "out": tmp_path / "reward",
                "chat_template": template,
                "lora_rank": 4,
                "batch": 8,
                "learning_rate": 5e-3,
                "max_steps": 25,
                "save_every": 10,
            }
            | changed,
        )
        assert isinstance(config, RewardConfig)
        return config

    return make


def test_the_auc_is_the_share_of_pairs_in_order() -> None:
    assert auc([3.0, 2.0], [1.0, 2.0]) == (1 + 1 + 1 + 0.5) / 4
    assert auc([0.0], [1.0]) == 0


def test_a_toy_preference_is_learned_and_loads_again_by_one_function(
    settings: Callable[..., RewardConfig], tmp_path: Path
) -> None:
    held_out = write(tmp_path / "eval.jsonl", [pair(number) for number in range(40, 56)])
    config = settings(eval_data=held_out, eval_every=10)
    events = list(train(config))
    started, finished = events[0], events[-1]
    assert isinstance(started, Started)
    assert isinstance(finished, Finished)
    assert (started.rows, started.kind) == (32, "pairs")
    steps = [event for event in events if isinstance(event, Progress)]
    assert steps[-1].loss < 0.2 < 0.5 < steps[0].loss
    assert {"accuracy", "margin", "mean_reward"} <= steps[-1].measures.keys()
    measured = [event for event in events if isinstance(event, Evaluated)]
    assert [event.step for event in measured] == [10, 20, 25]
    assert finished.metrics["held_out_accuracy"] == 1
    assert finished.metrics["held_out_auc"] == 1

    model = load_reward(config.out)
    asked = ["What follows 40?", [{"role": "user", "content": "What follows 41?"}]] * 2
    better = model.score(asked, [f"41. {GOOD}", f"42. {GOOD}"] * 2)
    worse = model.score(asked, [f"41. {BAD}", f"42. {BAD}"] * 2)
    assert min(better) > 0 > max(worse)
    learned = model.score(["What follows 3?"] * 2, [f"4. {GOOD}", f"4. {BAD}"])
    assert learned == pytest.approx([1, -1], abs=0.3)


def test_the_scores_of_a_loaded_model_are_those_that_were_measured(
    settings: Callable[..., RewardConfig], tiny_base: Path
) -> None:
    config = settings(max_steps=3, bf16=False)
    list(train(config))
    loaded = load_reward(config.out)
    tokenizer = load_tokenizer(tiny_base)
    method = Reward(config, tokenizer)
    rows = method.read(config.data)
    ids = [row["chosen_ids"] for row in rows.items[:3]]
    single = [float(loaded.model(input_ids=torch.tensor([row])).logits) for row in ids]
    expected = [(each - loaded.scale.mean) / loaded.scale.deviation for each in single]
    asked = [f"What follows {number}?" for number in range(3)]
    found = loaded.score(asked, [f"{number + 1}. {GOOD}" for number in range(3)])
    assert found == pytest.approx(expected, abs=1e-4)


def test_rankings_give_all_their_pairs_and_margins_are_the_rows_own(
    settings: Callable[..., RewardConfig], tmp_path: Path
) -> None:
    ranking = {"prompt": "Hello?", "completions": ["Yes, hello.", "Hello.", "What?"], "margin": 2}
    data = write(tmp_path / "rankings.jsonl", [ranking] * 4)
    config = settings(data=data, margins=True, centering=0.01, max_steps=1, batch=4)
    told = [event for event in train(config) if isinstance(event, Started)]
    assert told[0].rows == 12
    with pytest.raises(ExampleError, match=r"pairs.jsonl:1: margins is on, but `margin` is None"):
        list(train(settings(margins=True, out=tmp_path / "other")))


def test_an_adapter_of_supervised_tuning_is_trained_further_with_a_new_head(
    settings: Callable[..., RewardConfig], conversations: Callable[..., Path], tmp_path: Path
) -> None:
    begun = load_config(
        "sft",
        None,
        settings().resolved()
        | {"data": conversations(), "out": tmp_path / "sft", "max_steps": 2, "effects": False}
        | {"centering": None, "margins": None},
    )
    list(train(begun))
    config = settings(adapter=begun.out, lora_rank=None, max_steps=15)
    steps = [event for event in train(config) if isinstance(event, Progress)]
    assert steps[-1].loss < steps[0].loss
    further = settings(adapter=config.out, lora_rank=None, max_steps=2, out=tmp_path / "further")
    again = [event for event in train(further) if isinstance(event, Progress)]
    assert again[0].loss < 0.5 * steps[0].loss


def test_a_stopped_run_goes_on_with_the_losses_of_one_that_was_not(
    settings: Callable[..., RewardConfig], tmp_path: Path
) -> None:
    config = settings(max_steps=8, save_every=3)
    events = train(config)
    for event in events:
        if isinstance(event, Progress) and event.step == 4:
            break
    events.close()
    resumed = {e.step: e.loss for e in train(config, resume=True) if isinstance(e, Progress)}
    whole = settings(max_steps=8, out=tmp_path / "whole")
    expected = {e.step: e.loss for e in train(whole) if isinstance(e, Progress)}
    assert min(resumed) > 1
    assert resumed == pytest.approx({step: expected[step] for step in resumed}, abs=1e-6)
    given = load_reward(config.out).score(["What follows 1?"], [GOOD])
    assert given == pytest.approx(load_reward(whole.out).score(["What follows 1?"], [GOOD]))


def test_what_is_no_reward_model_is_refused_with_the_remedy(
    settings: Callable[..., RewardConfig], tiny_base: Path
) -> None:
    with pytest.raises(ModelError, match="holds no reward model"):
        load_reward(tiny_base)
    config = settings(model="someone/some-model", max_steps=1)
    list(train(config, base=tiny_base))
    with pytest.raises(ModelError, match="trained on someone/some-model, which is no model folder"):
        load_reward(config.out)
    assert load_reward(config.out, base=tiny_base).score(["a"], ["b"])


@pytest.mark.slow
@pytest.mark.parametrize("tuner", [{"quantize_4bit": True}, {"tuner": "full"}])
def test_four_bits_and_full_tuning_learn_and_load_too(
    settings: Callable[..., RewardConfig], tuner: dict[str, Any]
) -> None:
    config = settings(**tuner, learning_rate=3e-3)
    steps = [event for event in train(config) if isinstance(event, Progress)]
    assert steps[-1].loss < 0.5 * steps[0].loss
    model = load_reward(config.out)
    better, worse = model.score(["What follows 3?"] * 2, [f"4. {GOOD}", f"4. {BAD}"])
    assert better > worse


def test_rewards_that_are_all_the_same_keep_their_size() -> None:
    assert Scale.of([2.0, 2.0]) == Scale(2.0, 1.0)
