from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from finetune.answer_rewards import Contains, Form, Length, Model, Rewards
from finetune.errors import ExampleError


class Settings(BaseModel):
    rewards: Rewards


def read(rewards: Any) -> tuple[Any, ...]:
    return Settings(rewards=rewards).rewards


def test_a_bare_folder_is_a_reward_model_and_one_reward_needs_no_list() -> None:
    assert read("rewards/mine") == (Model(folder=Path("rewards/mine")),)
    assert read({"reward": "length", "words": 4}) == (Length(reward="length", words=4),)
    several = read(["rewards/mine", {"reward": "form", "pattern": ".*", "weight": 0.5}])
    assert [each.weight for each in several] == [1.0, 0.5]


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ([], "at least 1 item"),
        ({"reward": "charm"}, "does not match any of the expected tags"),
        ({"reward": "length"}, "words"),
        ({"reward": "contains"}, "`text` or `field`, one of them"),
        ({"reward": "contains", "text": "a", "field": "b"}, "one of them"),
        ({"reward": "form", "pattern": "("}, "is no regular expression"),
    ],
)
def test_a_reward_that_cannot_be_is_refused_with_why(wrong: Any, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        read(wrong)


def test_the_length_loses_by_the_share_that_it_is_off() -> None:
    length = Length(reward="length", words=4)
    answers = ("a b c d", "a b", "a b c d e f", "", "a " * 20)
    assert [length.of(answer, {}) for answer in answers] == [1, 0.5, 0.5, 0, 0]


def test_a_text_or_any_of_a_rows_texts_is_looked_for_in_whatever_case() -> None:
    please = Contains(reward="contains", text="Please")
    assert [please.of(answer, {}) for answer in ("yes, please", "no")] == [1, 0]
    gold = Contains(reward="contains", field="gold")
    assert gold.of("It is 46 euros.", {"gold": "46 Euros"}) == 1
    assert gold.of("It is 46 euros.", {"gold": ["58", "46"]}) == 1
    assert gold.of("It is 46 euros.", {"gold": ["58"]}) == 0
    for row in ({}, {"gold": ""}, {"gold": []}, {"gold": [7]}):
        with pytest.raises(ExampleError, match="looks for the row's `gold`"):
            gold.of("It is 46 euros.", row)


def test_a_form_is_matched_from_start_to_end_over_lines() -> None:
    cited = Form(reward="form", pattern=r".+ \[\d+\]")
    assert [cited.of(answer, {}) for answer in ("a\nb [1]", "[1]", "a [1] b")] == [1, 0, 0]
