import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import fmean as mean
from typing import Any

import pytest

pytest.importorskip("trl")

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from finetune.base_model import load_tokenizer
from finetune.data.rows import Prompt
from finetune.errors import CollapsedError, ConfigError, ExampleError
from finetune.events import Evaluated, Event, Finished, Progress, Saved, Started
from finetune.method_config import load_config
from finetune.methods.ppo import Ppo
from finetune.methods.ppo_trainer import PpoTrainer, places
from finetune.methods.rollout import write_answers
from finetune.policy_config import PpoConfig
from finetune.training import train

ROOT = Path(__file__).parents[2]
E = {"reward": "contains", "text": "e"}
QUICK: dict[str, Any] = {
    "rollout": 128,
    "batch": 64,
    "micro_batch": 64,
    "completion_length": 2,
    "lora_rank": 16,
    "learning_rate": 2e-2,
    "schedule": "constant_with_warmup",
    "kl": 0.0,
}
"""The toy task: to write an "e" within two tokens, which one answer in five does at first."""


@pytest.fixture
def settings(tiny_base: Path, template: Path, tmp_path: Path) -> Callable[..., PpoConfig]:
    data = tmp_path / "prompts.jsonl"
    rows = [{"prompt": f"What follows {number}?"} for number in range(24)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    def make(**changed: Any) -> PpoConfig:
        config = load_config(
            "ppo",
            None,
            {
                "data": data,
                "model": str(tiny_base),
                "out": tmp_path / "policy",
                "chat_template": template,
                "rewards": E,
                "lora_rank": 4,
                "rollout": 8,
                "batch": 4,
                "micro_batch": 4,
                "completion_length": 6,
                "unended_penalty": 0.0,
                "kl_limit": 100.0,
                "learning_rate": 1e-2,
                "max_steps": 6,
                "save_every": 2,
                "effects": False,
                "bf16": False,
            }
            | changed,
        )
        assert isinstance(config, PpoConfig)
        return config

    return make


def trainer_of(config: PpoConfig, base: Path) -> PpoTrainer:
    torch.manual_seed(config.seed)
    method = Ppo(config, load_tokenizer(base))
    rows = method.read(config.data)
    trainer = method.make_trainer(method.load(base, None), rows, config.out)
    assert isinstance(trainer, PpoTrainer)
    return trainer


def measures(events: list[Event]) -> dict[int, dict[str, float]]:
    return {e.step: {"loss": e.loss, **e.measures} for e in events if isinstance(e, Progress)}


def test_the_reward_of_a_toy_task_rises_clearly(
    settings: Callable[..., PpoConfig], tmp_path: Path
) -> None:
    config = settings(**QUICK, eval_data=tmp_path / "prompts.jsonl", eval_every=40, max_steps=80)
    events = list(train(config))
    started, finished = events[0], events[-1]
    assert isinstance(started, Started)
    assert isinstance(finished, Finished)
    assert (started.rows, started.kind) == (24, "prompts")
    told = measures(events)
    assert {"reward", "kl", "length", "ended", "kl_coefficient", "entropy"} <= told[1].keys()
    assert {"value_loss", "clipped", "step_kl"} <= told[1].keys()
    early, late = (mean(told[at]["reward"] for at in some) for some in (range(1, 9), range(73, 81)))
    assert early < 0.35 < 0.7 < late
    assert told[80]["kl"] > 0
    held_out = [event.measures["reward"] for event in events if isinstance(event, Evaluated)]
    assert len(held_out) == 2
    assert finished.metrics["held_out_reward"] == held_out[-1] > 0.6
    assert finished.metrics["last_measures"]["reward"] == pytest.approx(late, abs=0.05)
    assert {path.name for path in config.out.iterdir()} >= {"adapter_model.safetensors"}
    assert not (config.out / "value_head.safetensors").exists()


def test_the_adapter_switched_off_is_the_reference_itself(
    settings: Callable[..., PpoConfig], tiny_base: Path
) -> None:
    config = settings()
    trainer = trainer_of(config, tiny_base)
    judged = trainer.answerer.answer(trainer.asked[:5], seed=3)
    assert torch.equal(judged.log_probs, judged.reference)
    assert judged.measures["kl"] == 0
    base = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    length = judged.written.mask.shape[1]
    for row in range(5):
        kept = judged.written.attention_mask[row].bool()
        ids = judged.written.input_ids[row][kept].unsqueeze(0)
        logits = base(input_ids=ids).logits[0, :-1].log_softmax(-1)
        chosen = logits.gather(-1, ids[0, 1:, None]).squeeze(-1)
        tokens = int(judged.written.mask[row].sum())
        found = judged.reference[row, :tokens]
        torch.testing.assert_close(found, chosen[-tokens:], rtol=1e-4, atol=1e-4)
    assert length <= config.completion_length
    told = measures(list(train(settings(bf16=True))))
    assert told[1]["kl"] == told[2]["kl"] == 0 != told[5]["kl"]
    assert told[1]["step_kl"] == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("tuner", ["rslora", "dora", "neural"])
def test_every_kind_of_adapter_begins_at_its_reference(
    settings: Callable[..., PpoConfig], tiny_base: Path, tuner: str
) -> None:
    trainer = trainer_of(settings(tuner=tuner), tiny_base)
    seen = trainer.answerer.answer(trainer.asked[:4], seed=0).measures
    assert seen["kl"] == pytest.approx(0, abs=1e-4)


def test_the_first_inner_step_is_the_plain_policy_gradient(
    settings: Callable[..., PpoConfig], tiny_base: Path
) -> None:
    trainer = trainer_of(settings(value_weight=0.0, lam=1.0), tiny_base)
    rows = {"rollout": torch.zeros(4, dtype=torch.long), "row": torch.arange(4)}
    batch = trainer._prepare_inputs(rows)
    rollout = trainer.rollout
    assert rollout is not None
    trainer.current_gradient_accumulation_steps = 1
    batch["share"] = torch.tensor(1.0)
    trainer.compute_loss(trainer.actor, batch).backward()
    weights = {n: p for n, p in trainer.actor.named_parameters() if "lora_B" in n}
    found = {name: weight.grad.clone() for name, weight in weights.items()}
    trainer.actor.zero_grad()
    log_probs, _, _ = trainer.actor(
        batch["input_ids"], batch["attention_mask"], batch["mask"].shape[1]
    )
    tokens = batch["mask"].sum()
    (-(log_probs * batch["advantages"] * batch["mask"]).sum() / tokens).backward()
    for name, weight in weights.items():
        torch.testing.assert_close(found[name], weight.grad, rtol=1e-3, atol=1e-6)
    # with gamma = lam = 1, values of 0 and no KL yet, what a token earns is the score to come
    scores = batch["returns"][:, 0]
    assert set(scores.tolist()) <= {0.0, 1.0}


def test_micro_batches_make_no_difference(
    settings: Callable[..., PpoConfig], tmp_path: Path
) -> None:
    told = [
        measures(list(train(settings(micro_batch=size, out=tmp_path / str(size)))))
        for size in (1, 4)
    ]
    for step, seen in told[0].items():
        assert seen["loss"] == pytest.approx(told[1][step]["loss"], abs=1e-3)
        assert seen["reward"] == told[1][step]["reward"]


def test_each_rollout_is_gone_through_in_passes_of_orders_of_their_own(
    settings: Callable[..., PpoConfig],
) -> None:
    config = settings(passes=3)
    laid = places(config, config.model_copy(update={"max_steps": None}).steps(24))
    assert len(laid) == 24 * 3
    for number in range(3):
        passes = [
            [each["row"] for each in laid[at : at + 8]]
            for at in range(number * 24, number * 24 + 24, 8)
        ]
        assert all(sorted(rows) == list(range(8)) for rows in passes)
        assert len({tuple(rows) for rows in passes}) == 3
    assert {each["rollout"] for each in laid[24:48]} == {1}


def test_an_answer_ends_at_its_first_end_mark_and_comes_again_with_its_seed(
    settings: Callable[..., PpoConfig], tiny_base: Path
) -> None:
    trainer = trainer_of(settings(completion_length=40, temperature=1.5), tiny_base)
    prompts = [each.ids for each in trainer.asked]
    written = write_answers(trainer.actor.policy, prompts, trainer.answerer.how, seed=1, width=40)
    again = write_answers(trainer.actor.policy, prompts, trainer.answerer.how, seed=1, width=40)
    other = write_answers(trainer.actor.policy, prompts, trainer.answerer.how, seed=2, width=40)
    assert written.answers() == again.answers() != other.answers()
    (end,) = trainer.answerer.how.eos_token_id
    assert 0 < int(written.ended.sum()) < len(prompts)
    for answer, ended in zip(written.answers(), written.ended.tolist(), strict=True):
        assert (answer[-1] == end) == ended
        assert end not in answer[:-1]
        assert ended or len(answer) == 40


def test_a_run_stopped_within_a_rollout_goes_on_with_the_same_numbers(
    settings: Callable[..., PpoConfig], tmp_path: Path
) -> None:
    # steps 9 to 16 learn from the second rollout
    more: dict[str, Any] = {"max_steps": 18, "save_every": 100, "kl_target": 0.5, "passes": 4}
    config = settings(**more)
    events = train(config)
    for event in events:
        if isinstance(event, Progress) and event.step == 10:
            break
    events.close()
    resumed = measures(list(train(config, resume=True)))
    assert 10 < min(resumed) < 17
    whole = settings(**more, out=tmp_path / "whole")
    expected = measures(list(train(whole)))
    for step, seen in resumed.items():
        assert seen == pytest.approx(expected[step], abs=1e-5)
    found = load_file(config.out / "adapter_model.safetensors")
    for name, weight in load_file(whole.out / "adapter_model.safetensors").items():
        torch.testing.assert_close(found[name], weight)


RUN = """
import json, sys
from pathlib import Path
from finetune.method_config import load_config
from finetune.training import train
for event in train(load_config("ppo", None, json.loads(Path(sys.argv[1]).read_text()))):
    print(type(event).__name__, getattr(event, "step", ""), flush=True)
"""


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_with_the_same_numbers(
    settings: Callable[..., PpoConfig], tmp_path: Path
) -> None:
    config = settings(max_steps=14, save_every=3)
    recipe = tmp_path / "settings.json"
    recipe.write_text(json.dumps(config.resolved()), encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(recipe)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == "Saved 6":
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    list(train(config, resume=True))
    whole = settings(max_steps=14, save_every=3, out=tmp_path / "whole")
    list(train(whole))
    lines = [
        [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        for out in (config.out, whole.out)
    ]
    for mine, theirs in zip(*lines, strict=True):
        assert mine["measures"] == pytest.approx(theirs["measures"], abs=1e-5)
        assert mine["loss"] == pytest.approx(theirs["loss"], abs=1e-5)


def test_an_earlier_adapter_is_the_reference_of_what_it_becomes(
    settings: Callable[..., PpoConfig], tmp_path: Path
) -> None:
    begun = settings(keep_value_head=True)
    list(train(begun))
    before = load_file(begun.out / "adapter_model.safetensors")
    assert load_file(begun.out / "value_head.safetensors")["weight"].abs().sum() > 0
    config = settings(adapter=begun.out, lora_rank=None, out=tmp_path / "further", save_every=3)
    events = train(config)
    told: list[Event] = []
    for event in events:
        told.append(event)
        if isinstance(event, Saved):
            break
    events.close()
    told += train(config, resume=True)
    found = measures(told)
    assert found[1]["kl"] == pytest.approx(0, abs=1e-6)
    assert found[6]["kl"] != pytest.approx(0, abs=1e-6)
    after = load_file(config.out / "adapter_model.safetensors")
    assert after.keys() == before.keys()
    assert any(not torch.equal(after[name], before[name]) for name in before)


@pytest.mark.slow
def test_four_bits_learn_too(settings: Callable[..., PpoConfig]) -> None:
    pytest.importorskip("bitsandbytes")
    config = settings(**QUICK, quantize_4bit=True, bf16=True, max_steps=60)
    told = measures(list(train(config)))
    early, late = (mean(told[at]["reward"] for at in some) for some in (range(1, 9), range(53, 61)))
    assert late > early + 0.2


def test_the_coefficient_follows_its_target(settings: Callable[..., PpoConfig]) -> None:
    told = measures(list(train(settings(kl=0.1, kl_target=1000.0, max_steps=9))))
    assert told[1]["kl_coefficient"] == told[4]["kl_coefficient"] == 0.1
    assert told[5]["kl_coefficient"] == pytest.approx(0.098)
    assert told[9]["kl_coefficient"] == pytest.approx(0.098 * 0.98)


def test_a_policy_that_leaves_its_reference_stops_the_run_with_advice(
    settings: Callable[..., PpoConfig],
) -> None:
    config = settings(kl_limit=1e-4, max_steps=30)
    told: list[Event] = []
    with pytest.raises(CollapsedError, match=r"After step 4 .* kl_limit=0.0001.* learning_rate"):
        told.extend(train(config))


def test_a_reward_that_is_no_number_stops_the_run_and_names_the_prompt(
    settings: Callable[..., PpoConfig], tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = trainer_of(settings(), tiny_base)
    reward = trainer.answerer.scorer.rewards[0]
    monkeypatch.setattr(type(reward), "of", lambda *_: math.nan)
    with pytest.raises(CollapsedError, match=r"an answer to .*prompts.jsonl:\d+ is nan"):
        trainer.answerer.answer(trainer.asked[:2], seed=0)


def test_a_row_without_what_its_reward_looks_for_is_named(
    settings: Callable[..., PpoConfig], tiny_base: Path
) -> None:
    config = settings(rewards={"reward": "contains", "field": "gold"})
    with pytest.raises(ExampleError, match=r"prompts.jsonl:1: .*`gold`"):
        trainer_of(config, tiny_base).answerer.scorer.score(
            [Prompt("a", path="prompts.jsonl", line=1)], ["b"]
        )


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"tuner": "full"}, "the base with its adapter switched off: tuner=full has none"),
        ({"lora_dropout": 0.1}, "leave lora_dropout out"),
        ({"rollout": 6}, "batch=4 does not divide rollout=6"),
        ({"max_length": 8, "completion_length": 8}, "leaves no room"),
        ({"kl": 0.0, "kl_target": 1.0}, "set kl to where it begins"),
    ],
)
def test_settings_that_ppo_cannot_hold_to_are_refused_with_the_reason(
    settings: Callable[..., PpoConfig], wrong: dict[str, Any], why: str
) -> None:
    with pytest.raises(ConfigError, match=why):
        settings(**wrong)


def test_prompts_without_room_for_an_answer_are_left_out(
    settings: Callable[..., PpoConfig], tiny_base: Path
) -> None:
    config = settings(max_length=10)
    with pytest.raises(ExampleError, match="All 24 prompts are longer than 4 tokens"):
        Ppo(config, load_tokenizer(tiny_base)).read(config.data)


@pytest.mark.slow
def test_the_real_starter_base_raises_its_reward(
    settings: Callable[..., PpoConfig], starter_base: Path, template: Path
) -> None:
    few = {"rollout": 32, "batch": 16, "micro_batch": 16, "lora_rank": 8, "learning_rate": 1e-3}
    config = settings(
        **QUICK | few,
        model="starter",
        chat_template=template,
        warmup_ratio=0.0,
        passes=2,
        max_steps=12,  # of three rollouts
        bf16=True,
    )
    told = measures(list(train(config, base=starter_base)))
    assert told[9]["reward"] > told[1]["reward"] + 0.1


@pytest.mark.slow
def test_the_real_starter_base_learns_from_a_reward_model_of_its_own(
    settings: Callable[..., PpoConfig], starter_base: Path, template: Path, tmp_path: Path
) -> None:
    pairs = tmp_path / "pairs.jsonl"
    rows = [
        {"prompt": f"Name {n} things.", "chosen": "Yes, gladly.", "rejected": "No, I will not."}
        for n in range(8)
    ]
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    common = {"model": "starter", "chat_template": template, "save_every": 100}
    judge = {"data": pairs, "out": tmp_path / "reward", "max_steps": 3, "batch": 4}
    list(train(load_config("reward", None, common | judge), base=starter_base))
    config = settings(
        **common, rewards=tmp_path / "reward", bf16=True, passes=1, max_steps=3, learning_rate=1e-3
    )
    told = measures(list(train(config, base=starter_base)))
    assert told[1]["kl"] == 0
    assert all(math.isfinite(value) for seen in told.values() for value in seen.values())
    assert 0 < abs(told[3]["kl"]) < 20  # of the second rollout
