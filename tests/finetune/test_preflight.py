"""What a run would stumble over is told before its model is fetched."""

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from finetune.errors import ConfigError, ExampleError, FinetuneError, ModelError, TemplateError
from finetune.method_config import METHODS, load_config
from finetune.preflight import Seen, look_at
from finetune.tune_config import TuneConfig

VECTOR = base64.b64encode(np.ones(4, "<f2").tobytes()).decode()
PAIR = {"prompt": "How long?", "chosen": "It is 4 m long.", "rejected": "No idea."}
LOOKUP = {
    "question": "How long?",
    "answer": "4 m",
    "passages": [{"text": "It is 4 m long.", "vector": VECTOR}] * 5,
}
ROWS: dict[str, dict[str, Any]] = {
    "cpt": {"text": "The pump is bled before use."},
    "sft": {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "x"}]},
    "dpo": PAIR,
    "orpo": PAIR,
    "reward": PAIR,
    "kto": {"prompt": "How long?", "completion": "4 m", "label": True},
    "ppo": {"prompt": "How long?"},
    "grpo": {"prompt": "How long?"},
    "rag": LOOKUP,
}
WORLD = ("format", "route", "answer")


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., TuneConfig]:
    def make(method: str, *rows: dict[str, Any], **more: Any) -> TuneConfig:
        data = tmp_path / "rows.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        given: dict[str, Any] = {"data": data, "model": "m", "out": "o"}
        if method == "ppo":
            given["rewards"] = {"reward": "length", "words": 3}
        return load_config(method, None, given | more)

    return make


def test_every_method_counts_its_rows_and_their_tokens(
    settings: Callable[..., TuneConfig],
) -> None:
    for method in METHODS:
        row = ROWS[method]
        rows = [row, {**row, "label": False}] if method == "kto" else [row, row]
        seen = look_at(settings(method, *rows))
        assert seen.rows == 2, method
        assert seen.tokens > 2, method


@pytest.mark.parametrize("method", METHODS)
def test_rows_of_another_kind_are_told_with_what_learns_from_them(
    method: str, settings: Callable[..., TuneConfig]
) -> None:
    other = ROWS["cpt" if method in ("kto", "ppo", "grpo") else "kto"]
    learns = "cpt and sft" if method in ("kto", "ppo", "grpo") else "kto"
    with pytest.raises(ExampleError, match=rf"(?s)rows\.jsonl:1: .*which {learns} can learn from"):
        look_at(settings(method, other))


def test_held_out_rows_are_looked_at_too(
    settings: Callable[..., TuneConfig], tmp_path: Path
) -> None:
    held_out = tmp_path / "held_out.jsonl"
    held_out.write_text("{}\n")
    with pytest.raises(ExampleError, match=r"held_out\.jsonl:1"):
        look_at(settings("dpo", PAIR, eval_data=held_out))


REFUSED: list[tuple[str, dict[str, Any], type[FinetuneError], str]] = [
    ("ppo", {"rewards": None}, ConfigError, "ppo needs rewards.*--set rewards=FOLDER"),
    ("ppo", {"rewards": "nowhere"}, ModelError, "nowhere holds no reward model"),
    (
        "ppo",
        {"rewards": {"reward": "contains", "field": "gold"}},
        ExampleError,
        "jsonl:1: .*`gold`",
    ),
    ("grpo", {"rewards": {"honesty": 1}}, ConfigError, "No reward 'honesty' here"),
    ("grpo", {"rewards": {"format": 0}}, ConfigError, "weighs all by 0"),
    ("grpo", {"rewards": {"answer": 1, "route": 1}}, ExampleError, "names `answers` or `route`"),
    ("kto", {}, ExampleError, "All 1 answers are labelled True"),
    ("reward", {"margins": True}, ExampleError, "jsonl:1: margins is on"),
    ("rag", {"prompt": "nowhere"}, TemplateError, "no template 'nowhere'"),
    ("sft", {"adapter": "nowhere"}, ModelError, "nowhere is no folder of an adapter"),
    ("dpo", {"chat_template": "nowhere"}, TemplateError, "nowhere does not exist"),
]


@pytest.mark.parametrize(("method", "more", "error", "said"), REFUSED)
def test_settings_that_fail_later_are_refused_at_once(
    method: str,
    more: dict[str, Any],
    error: type[FinetuneError],
    said: str,
    settings: Callable[..., TuneConfig],
) -> None:
    with pytest.raises(error, match=said):
        look_at(settings(method, ROWS[method], **more), rewards=WORLD)


def test_a_template_without_marks_is_refused_to_sft_alone(
    settings: Callable[..., TuneConfig], tmp_path: Path
) -> None:
    template = tmp_path / "plain.jinja"
    template.write_text("{{ messages }}")
    look_at(settings("dpo", PAIR, chat_template=template))
    with pytest.raises(TemplateError, match=r"no \{% generation"):
        look_at(settings("sft", ROWS["sft"], chat_template=template))


@pytest.mark.parametrize("method", METHODS)
def test_a_model_that_has_no_chat_template_is_refused_to_all_but_cpt(
    method: str, settings: Callable[..., TuneConfig], tmp_path: Path
) -> None:
    row = ROWS[method]
    rows = [row, {**row, "label": False}] if method == "kto" else [row]
    config = settings(method, *rows)
    base = tmp_path / "base"
    base.mkdir()
    (base / "tokenizer_config.json").write_text('{"eos_token": "x"}')
    if method == "cpt":
        assert look_at(config, base=base).rows == 1
    else:
        with pytest.raises(TemplateError, match=r"base has no chat template.*Set chat_template"):
            look_at(config, base=base)
        template = "{% generation %}x{% endgeneration %}"
        named = [{"name": "tool_use", "template": ""}, {"name": "default", "template": template}]
        for own in (template, named):
            (base / "tokenizer_config.json").write_text(json.dumps({"chat_template": own}))
            assert look_at(config, base=base).rows == len(rows)


def test_a_models_own_template_without_marks_is_refused_to_sft_alone(
    settings: Callable[..., TuneConfig], tiny_base: Path, tmp_path: Path
) -> None:
    pytest.importorskip("trl")
    base = tmp_path / "base"
    shutil.copytree(tiny_base, base)
    (base / "chat_template.jinja").write_text("{{ messages }}")
    look_at(settings("dpo", PAIR), base=base)
    with pytest.raises(TemplateError, match=r"the model's own chat template has no \{% generation"):
        look_at(settings("sft", ROWS["sft"]), base=base)


def test_an_encoder_that_makes_other_vectors_is_refused(
    settings: Callable[..., TuneConfig], tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text('{"hidden_size": 384}')
    with pytest.raises(ConfigError, match=r"vectors of 4 numbers, and .* of 384"):
        look_at(settings("rag", LOOKUP, encoder=str(tmp_path)))


def test_a_reward_that_no_row_feeds_is_told(settings: Callable[..., TuneConfig]) -> None:
    rows = [{"prompt": "How long?", "answers": ["4 m"]}, {"prompt": "How high?"}]
    seen = look_at(settings("grpo", *rows), rewards=WORLD)
    assert seen.notes == (
        "the reward route stays 0: no row names `route`; it can be left out of `rewards`",
    )


def test_a_folder_that_is_to_come_is_not_looked_for(
    settings: Callable[..., TuneConfig], tmp_path: Path
) -> None:
    config = settings("ppo", ROWS["ppo"], rewards=tmp_path / "1-reward", adapter=tmp_path / "0-sft")
    seen = look_at(config, to_come={tmp_path / "1-reward", tmp_path / "0-sft"})
    assert seen == Seen(1, 2)
