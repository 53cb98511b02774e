"""DPO, KTO and ORPO on a tiny model: the preferred answers become likelier than the others."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stopped_runs import stop_after

pytest.importorskip("trl")

from torch.utils.data import SequentialSampler

from finetune.base_model import load_tokenizer
from finetune.data.rows import as_messages
from finetune.errors import ExampleError
from finetune.events import Evaluated, Event, Finished, Progress, Started
from finetune.method_config import DpoConfig, load_config
from finetune.methods.dpo import Dpo
from finetune.methods.kto import paired
from finetune.methods.orpo import Orpo
from finetune.training import train
from finetune.tune_config import TuneConfig


def pair(number: int) -> dict[str, Any]:
    return {
        "prompt": f"What follows {number}?",
        "chosen": f"The number {number + 1} follows {number}.",
        "rejected": f"Nothing follows {number} at all.",
    }


def thumbs(number: int) -> dict[str, Any]:
    row = pair(number)
    good = number % 3 > 0
    return {
        "prompt": row["prompt"],
        "completion": row["chosen" if good else "rejected"],
        "label": good,
    }


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def settings(tiny_base: Path, template: Path, tmp_path: Path) -> Callable[..., TuneConfig]:
    def make(method: str, **changed: Any) -> TuneConfig:
        row = thumbs if method == "kto" else pair
        given = {
            "data": written(tmp_path / "rows.jsonl", [row(number) for number in range(24)]),
            "eval_data": written(tmp_path / "held.jsonl", [row(100 + n) for n in range(6)]),
            "model": str(tiny_base),
            "out": tmp_path / method,
            "chat_template": template,
            "lora_rank": 4,
            "batch": 4,
            "learning_rate": 1e-2,
            "max_steps": 30,
            "effects": False,
        }
        return load_config(method, None, given | changed)

    return make


def steps(events: list[Event]) -> list[Progress]:
    return [event for event in events if isinstance(event, Progress)]


@pytest.mark.parametrize("method", ["dpo", "kto", "orpo"])
def test_the_preferred_answer_gains_on_the_other(
    method: str, settings: Callable[..., TuneConfig]
) -> None:
    config = settings(method)
    events = list(train(config))
    started, finished = events[0], events[-1]
    assert isinstance(started, Started)
    assert isinstance(finished, Finished)
    assert started.rows == 24
    assert 0 < started.learned_tokens < started.tokens
    told = steps(events)
    assert told[-1].loss < told[0].loss
    chosen, rejected = (
        finished.metrics[f"held_out_rewards/{kind}"] for kind in ("chosen", "rejected")
    )
    assert chosen > rejected
    assert finished.metrics["tokens"] > 0
    assert (config.out / "measures.png").read_bytes().startswith(b"\x89PNG")
    assert "rewards/chosen" in told[-1].measures
    assert (config.out / "adapter_model.safetensors").is_file()


@pytest.mark.parametrize("method", ["dpo", "kto", "orpo"])
def test_a_stopped_run_goes_on_with_the_losses_of_one_that_was_not(
    method: str, settings: Callable[..., TuneConfig], tmp_path: Path
) -> None:
    config = settings(method, max_steps=6, save_every=2)
    stop_after(2, train(config))
    resumed = list(train(config, resume=True))
    assert isinstance(resumed[0], Started)
    assert resumed[0].first_step >= 2
    whole = list(train(settings(method, max_steps=6, out=tmp_path / "whole")))

    def lines(folder: Path) -> dict[int, tuple[float, int]]:
        rows = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        return {row["step"]: (row["loss"], row["tokens"]) for row in map(json.loads, rows)}

    first, second = lines(config.out), lines(tmp_path / "whole")
    assert first.keys() == second.keys()
    for step, (loss, tokens) in second.items():
        assert first[step] == (pytest.approx(loss, abs=1e-5), tokens)
    assert any(isinstance(event, Evaluated) for event in whole)


def test_dpo_begins_without_a_preference_and_measures_against_where_it_began(
    settings: Callable[..., TuneConfig],
) -> None:
    first = steps(list(train(settings("dpo", max_steps=1))))[0]
    assert first.loss == pytest.approx(0.6931, abs=1e-3)  # log 2: no margin yet
    assert first.measures["rewards/margins"] == pytest.approx(0, abs=1e-4)


def test_a_completion_ends_with_the_models_end_mark_and_joins_its_prompt(
    tiny_base: Path, template: Path, tmp_path: Path
) -> None:
    tokenizer = load_tokenizer(tiny_base)
    config = DpoConfig(data=("a",), model="b", out=tmp_path, chat_template=template)
    completed = Dpo(config, tokenizer).complete("What follows 3?", "The number 4.", None)
    asked = tokenizer.decode(completed.prompt_ids)
    assert asked == "<|im_start|>user\nWhat follows 3?<|im_end|>\n<|im_start|>assistant\n"
    assert tokenizer.decode(completed.completion_ids) == "The number 4.<|im_end|>"
    messages = as_messages("What follows 3?", "user")
    again = Dpo(config, tokenizer).complete(messages, "The number 4.", None)
    assert again == completed


def test_pairs_that_are_too_long_are_left_out_and_named(
    settings: Callable[..., TuneConfig], tmp_path: Path
) -> None:
    rows = [pair(1), pair(2) | {"chosen": "word " * 300}]
    config = settings("dpo", data=written(tmp_path / "long.jsonl", rows), max_length=128)
    started = next(iter(train(config)))
    assert isinstance(started, Started)
    assert (started.rows, started.left_out) == (1, (f"{tmp_path / 'long.jsonl'}:2",))


def test_kto_refuses_labels_of_one_kind(
    settings: Callable[..., TuneConfig], tmp_path: Path
) -> None:
    rows = [thumbs(number) | {"label": True} for number in range(4)]
    config = settings("kto", data=written(tmp_path / "good.jsonl", rows))
    with pytest.raises(ExampleError, match="All 4 answers are labelled True"):
        list(train(config))


def test_each_row_gets_another_completion_of_its_micro_batch() -> None:
    rows = [{"completion_ids": [number]} for number in range(5)]
    assert [row["KL_completion_ids"] for row in paired(rows, 2)] == [[1], [0], [3], [2], [4]]


@pytest.mark.parametrize(("kind", "column"), [(Dpo, "chosen_ids"), (Orpo, "chosen_input_ids")])
def test_each_epoch_takes_every_pair_once_in_whole_batches(
    kind: Any, column: str, settings: Callable[..., TuneConfig], tiny_base: Path
) -> None:
    method = "dpo" if kind is Dpo else "orpo"
    config: Any = settings(method, batch=9, micro_batch=1, epochs=3, max_steps=None)
    told = kind(config, load_tokenizer(tiny_base))
    rows = told.read(config.data)
    trainer = told.make_trainer(told.load(tiny_base, None), rows, config.out)
    taken = Counter(tuple(row[column]) for row in trainer.train_dataset)
    assert set(taken.values()) == {config.epochs}
    assert trainer.args.max_steps * config.batch == len(trainer.train_dataset)
    assert isinstance(trainer._get_train_sampler(), SequentialSampler)


def test_answers_that_begin_with_line_breaks_share_the_whole_prompt(
    settings: Callable[..., TuneConfig], tiny_base: Path, tmp_path: Path
) -> None:
    tokenizer = load_tokenizer(tiny_base)
    tokenizer.add_tokens(["\n\n"])
    template = tmp_path / "plain.jinja"
    template.write_text("{% for m in messages %}{{ m.content }}\n{% endfor %}", encoding="utf-8")
    row = pair(1) | {"chosen": "\nYes."}
    config = settings("dpo", data=written(tmp_path / "r.jsonl", [row]), chat_template=template)
    found = Dpo(config, tokenizer).read(config.data).items[0]  # type: ignore[arg-type]
    prompt, chosen, rejected = (
        tokenizer.decode(found[f"{name}_ids"]) for name in ("prompt", "chosen", "rejected")
    )
    assert prompt + chosen == f"{row['prompt']}\n{row['chosen']}\n"
    assert prompt + rejected == f"{row['prompt']}\n{row['rejected']}\n"
    assert prompt == row["prompt"]
