import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from finetune.config import (
    load_reader_config,
    load_retriever_config,
    load_router_config,
    read_recipe,
    recipes,
)
from finetune.errors import ConfigError
from finetune.method_config import load_config

NEEDED = {"data": "a.jsonl", "model": "base", "out": "adapter"}


def test_the_starter_recipe_needs_only_data_model_and_place() -> None:
    config = load_config("sft", "starter", NEEDED)
    assert config.data == (Path("a.jsonl"),)
    assert (config.lora_rank, config.learning_rate, config.batch) == (32, 8e-4, 8)


def test_every_shipped_recipe_is_valid() -> None:
    assert {"agent", "ppo", "reader", "retriever", "reward", "router", "starter"} <= {*recipes()}
    for method in ("reward", "ppo"):
        assert load_config(method, method, NEEDED).method == method
    load_config("sft", "starter", NEEDED)
    assert load_reader_config("reader", NEEDED).crop_words == (40, 105)
    assert load_router_config("router", NEEDED).layers == 2
    assert load_retriever_config("retriever", NEEDED).temperature == 0.05
    assert load_config("rag", "rag", NEEDED).alpha == 64


def test_an_override_wins_over_the_recipe_and_none_overrides_nothing() -> None:
    config = load_config("sft", "starter", NEEDED | {"lora_rank": 8, "batch": None})
    assert (config.lora_rank, config.batch) == (8, 8)


def test_a_recipe_may_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(NEEDED | {"data": ["a.jsonl", "b.jsonl"]}), encoding="utf-8")
    assert len(load_config("sft", path).data) == 2


def test_alpha_is_twice_the_rank_unless_set() -> None:
    assert load_config("sft", None, NEEDED | {"lora_rank": 4}).resolved()["lora_alpha"] == 8
    assert load_config("sft", None, NEEDED | {"lora_rank": 4, "lora_alpha": 4}).alpha == 4


def test_the_resolved_settings_make_the_same_config_again() -> None:
    config = load_config("sft", "starter", NEEDED)
    again = load_config("sft", None, json.loads(json.dumps(config.resolved())))
    assert again.resolved() == config.resolved()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"lora_rnak": 8}, "lora_rnak"),
        ({"lora_rank": 0}, "got 0"),
        ({"max_steps": 3, "max_tokens": 100}, "keep one of them"),
        ({"eval_every": 5}, "needs eval_data"),
        ({"target_modules": []}, "names no module"),
        ({"learning_rate": "fast"}, "'fast'"),
        ({"data": []}, "data"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_config("sft", None, NEEDED | wrong)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"lora_rank": 8}, "lora_rank"),
        ({"crop_words": [90, 40]}, r"crop_words=\[90, 40\]: give the smaller"),
        ({"dropout": 1.0}, "got 1.0"),
        ({"eval_every": 5}, "needs eval_data"),
    ],
)
def test_a_wrong_setting_of_a_reader_is_named_too(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_reader_config("reader", NEEDED | wrong)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"crop_words": [40, 90]}, "crop_words"),
        ({"lower_share": 1.5}, "got 1.5"),
        ({"label_smoothing": 1.0}, "got 1.0"),
        ({"layers": -1}, "got -1"),
    ],
)
def test_a_wrong_setting_of_a_router_is_named_too(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_router_config("router", NEEDED | wrong)


def test_the_routers_recipe_says_what_its_settings_are_by_themselves() -> None:
    by_recipe = load_router_config("router", NEEDED)
    assert by_recipe == load_router_config(None, NEEDED)


def test_a_readers_resolved_settings_make_the_same_config_again() -> None:
    config = load_reader_config("reader", NEEDED)
    again = load_reader_config(None, json.loads(json.dumps(config.resolved())))
    assert again == config


def test_an_unknown_recipe_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="starter"):
        read_recipe("strater")


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [1\n"])
def test_a_recipe_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        read_recipe(path)


def test_the_light_modules_import_no_torch() -> None:
    code = (
        "import sys, finetune, finetune.config, finetune.errors, finetune.events, finetune.export,"
        " finetune.data.reading, finetune.encoding, finetune.run_folder, finetune.continuing,"
        " finetune.reader_rows, finetune.router_rows\n"
        "assert not {'torch', 'transformers', 'peft', 'trl'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
