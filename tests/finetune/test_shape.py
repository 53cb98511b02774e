"""The shape of a model, from its folder or from the table of known ones."""

import csv
import json
from importlib import resources
from pathlib import Path

import pytest

from finetune.errors import ModelError
from finetune.shape import find_model, known_models, read_shape, shape_of

TABLE = (resources.files("finetune") / "known_models.csv").read_text(encoding="utf-8")
PUBLISHED = {row["name"]: int(row["parameters_m"]) for row in csv.DictReader(TABLE.splitlines())}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_sizes_of_a_known_model_give_the_parameters_that_its_card_names(name: str) -> None:
    assert shape_of(name).parameters / 1e6 == pytest.approx(PUBLISHED[name], rel=0.01)


def test_a_known_model_is_found_by_its_short_name() -> None:
    found = find_model("smollm2-135m")
    assert found
    assert found.name == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert (found.licence, found.commercial) == ("Apache-2.0", "yes")


def test_the_table_goes_from_the_smallest_model_to_the_largest() -> None:
    sizes = [model.shape.parameters for model in known_models()]
    assert sizes == sorted(sizes)


def test_a_folder_tells_its_shape_and_the_parameters_that_it_really_holds(tiny_base: Path) -> None:
    from transformers import AutoModelForCausalLM

    shape = read_shape(tiny_base)
    model = AutoModelForCausalLM.from_pretrained(tiny_base)
    assert shape.parameters == sum(each.numel() for each in model.parameters())
    assert (shape.layers, shape.hidden, shape.kv_heads, shape.head_dim) == (2, 32, 2, 8)
    assert shape.linear == sum(
        weight.numel() for name, weight in model.named_parameters() if "_proj" in name
    )


def test_the_sizes_alone_give_the_parameters_of_a_folder_without_weights(tiny_base: Path) -> None:
    whole = read_shape(tiny_base)
    bare = shape_of(tiny_base)
    assert whole == bare
    from dataclasses import replace

    assert replace(whole, counted=None).parameters == whole.parameters


def test_the_starter_model_has_the_shape_of_the_table(starter_base: Path) -> None:
    from dataclasses import replace

    known = shape_of("smollm2-135m")
    assert replace(read_shape(starter_base), name=known.name, context=known.context) == known


def test_an_unknown_name_is_refused_with_what_to_do() -> None:
    with pytest.raises(ModelError, match="give the model's folder"):
        shape_of("nobody/nothing")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"hidden_size": 8}, "has no num_hidden_layers"),
        (
            {
                "num_hidden_layers": 2,
                "hidden_size": 8,
                "intermediate_size": 16,
                "num_attention_heads": 2,
                "vocab_size": 10,
                "num_local_experts": 8,
            },
            "mixture of experts",
        ),
    ],
)
def test_a_folder_that_cannot_be_estimated_says_why(
    config: dict[str, int], said: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ModelError, match=said):
        read_shape(tmp_path)


def test_a_folder_without_a_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        read_shape(tmp_path)
