import json
import re
from pathlib import Path
from typing import Any

import pytest

from finetune.errors import ModelError
from finetune.servability import MAX_LORA_RANKS, Adaptation, adaptation_of, check, next_rank


@pytest.mark.parametrize(
    ("settings", "served_as", "reason"),
    [
        ({"tuner": "lora", "lora_rank": 32}, "adapter", ""),
        ({"tuner": "rslora", "lora_rank": 8}, "adapter", ""),
        ({"tuner": "lora", "lora_rank": 48}, "padded", "takes no 48, but 64"),
        ({"tuner": "rslora", "lora_rank": 4}, "padded", "takes no 4, but 8"),
        ({"tuner": "dora", "lora_rank": 32}, "merged", "vLLM refuses DoRA"),
        ({"tuner": "neural", "lora_rank": 32}, "converted", "knows no neural adapters"),
        ({"tuner": "vera", "lora_rank": 32}, "merged", "refuses vera adapters"),
        ({"tuner": "full", "lora_rank": 32}, "model", "every weight"),
        ({"tuner": "lora", "lora_rank": 600}, "merged", "above vLLM's largest, 512"),
        (
            {"tuner": "lora", "lora_rank": 32, "modules_to_save": ("lm_head",)},
            "merged",
            r"modules_to_save \(lm_head\)",
        ),
        ({"tuner": "lora", "lora_rank": 32, "lora_bias": True}, "merged", "biases"),
        (
            {"tuner": "lora", "lora_rank": 8, "target_modules": ("q_proj", "embed_tokens")},
            "merged",
            "on embed_tokens for some models only",
        ),
        ({"tuner": "lora", "lora_rank": 32, "quantize_4bit": True}, "adapter", "4-bit base"),
    ],
)
def test_what_vllm_takes_and_what_is_made_of_the_rest(
    settings: dict[str, Any], served_as: str, reason: str
) -> None:
    told = check(Adaptation(**settings))
    assert told.served_as == served_as
    assert re.search(reason, str(told))
    assert told.refused == (served_as not in ("adapter", "model"))


def test_every_reason_is_told_at_once() -> None:
    told = check(Adaptation("dora", 600, ("lm_head",), modules_to_save=("x",), lora_bias=True))
    assert len(told.reasons) == 5


def test_the_server_is_started_with_a_rank_that_it_takes() -> None:
    assert [next_rank(rank) for rank in (1, 2, 48, 512, 900)] == [1, 8, 64, 512, 512]
    for rank in range(1, 513):
        assert check(Adaptation("lora", rank)).max_lora_rank in MAX_LORA_RANKS
    assert check(Adaptation("dora", 8)).max_lora_rank is None


@pytest.mark.parametrize("tuner", ["lora", "dora", "neural"])
def test_an_engine_for_whole_models_gets_a_merged_one(tuner: str) -> None:
    assert check(Adaptation(tuner, 8), engine="transformers").served_as == "merged"
    assert check(Adaptation("full", 8), engine="transformers").served_as == "model"


def test_an_adapter_of_anybodys_is_read_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(
        json.dumps(
            {
                "peft_type": "LORA",
                "r": 16,
                "rank_pattern": {"q_proj": 48},
                "use_rslora": True,
                "target_modules": ["v_proj", "q_proj"],
                "modules_to_save": ["lm_head"],
                "bias": "lora_only",
            }
        )
    )
    assert adaptation_of(tmp_path) == Adaptation(
        "rslora", 48, ("q_proj", "v_proj"), modules_to_save=("lm_head",), lora_bias=True
    )


@pytest.mark.parametrize(
    ("settings", "tuner"),
    [
        ({"peft_type": "LORA", "use_dora": True}, "dora"),
        ({"peft_type": "LORA"}, "lora"),
        ({"peft_type": "NEURAL"}, "neural"),
        ({"peft_type": "IA3"}, "ia3"),
    ],
)
def test_the_kind_of_an_adapter_is_told(
    settings: dict[str, Any], tuner: str, tmp_path: Path
) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps(settings))
    assert adaptation_of(tmp_path).tuner == tuner


def test_a_folder_that_holds_no_adapter_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no folder of an adapter"):
        adaptation_of(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{")
    with pytest.raises(ModelError, match="no valid JSON"):
        adaptation_of(tmp_path)
