"""Rejection sampling: the best of a model's own episodes, and the best beside a worse one."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from bell import Bell

pytest.importorskip("trl")

from finetune.data.rows import Message, Prompt
from finetune.method_config import load_config
from finetune.policy_config import GrpoConfig
from finetune.rejection import Actor, Judged, best_of, pair_of

ASKED: tuple[Message, ...] = ({"role": "user", "content": "How tall?"},)
PROMPT = Prompt("How tall?", extra={"document": "towers.pdf", "answers": ["40 m"]})
FOUND: Message = {"role": "tool", "content": "[1] The tower is 40 m tall."}
TOOLS: Sequence[Mapping[str, str]] = ({"name": "search"},)


def wrote(text: str) -> Message:
    return {"role": "assistant", "content": text}


def episode(total: float, *said: Message) -> Judged:
    return Judged(ASKED, said, {"answer": total}, total)


SEARCH = wrote("search: tower")
RIGHT = episode(1.0, SEARCH, FOUND, wrote("40 m [1]"))
WRONG = episode(0.4, SEARCH, FOUND, wrote("45 m [1]"))
UNSEARCHED = episode(0.1, wrote("I do not know."))


def test_the_best_episode_is_a_conversation_with_its_tools_and_where_it_came_from() -> None:
    row = best_of(PROMPT, [WRONG, RIGHT], TOOLS, least=0.9)
    assert row is not None
    assert row.to_dict() == {
        "messages": [*ASKED, *RIGHT.said],
        "tools": [*TOOLS],
        "lineage": {"document": "towers.pdf"},
    }


def test_a_best_that_earns_too_little_is_no_row() -> None:
    assert best_of(PROMPT, [WRONG, UNSEARCHED], TOOLS, least=0.9) is None


def test_a_pair_is_of_the_first_message_that_differs_so_that_no_tool_is_learned() -> None:
    pair = pair_of(PROMPT, [WRONG, RIGHT], TOOLS, margin=0.2)
    assert pair is not None
    assert pair.prompt == (*ASKED, SEARCH, FOUND)
    assert (pair.chosen, pair.rejected) == ((wrote("40 m [1]"),), (wrote("45 m [1]"),))


def test_the_pair_that_goes_the_same_way_the_longest_is_taken() -> None:
    pair = pair_of(PROMPT, [UNSEARCHED, WRONG, RIGHT], TOOLS, margin=0.2)
    assert pair is not None
    assert pair.rejected == (wrote("45 m [1]"),)


@pytest.mark.parametrize(
    ("others", "why"),
    [
        ([episode(0.9, SEARCH, FOUND, wrote("about 40 m [1]"))], "it earns nearly as much"),
        ([episode(0.2, *RIGHT.said)], "the same was judged otherwise"),
        ([episode(0.2, SEARCH)], "it was cut off"),
        ([episode(0.2, wrote(" "))], "it wrote nothing"),
        ([episode(0.2, SEARCH, {**FOUND, "content": "[1] Nothing."})], "a tool said otherwise"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_no_pair_is_made_where_no_words_of_the_model_were_the_worse_ones(
    others: list[Judged], why: str
) -> None:
    assert pair_of(PROMPT, [RIGHT, *others], TOOLS, margin=0.2) is None, why


def test_a_model_acts_several_times_and_the_same_each_time_it_is_asked(
    tiny_base: Path, template: Path, tmp_path: Path
) -> None:
    config = load_config(
        "grpo",
        None,
        {
            "data": tmp_path / "asked.jsonl",
            "model": str(tiny_base),
            "out": tmp_path,
            "chat_template": template,
            "generations": 3,
            "turns": 2,
            "turn_tokens": 6,
            "rewards": {"liked": 3.0, "short": 1.0},
        },
    )
    assert isinstance(config, GrpoConfig)
    actor = Actor(config, tiny_base, Bell(rings=1))
    first = actor.act(Prompt("What is 3?"), 0)
    assert len(first) == 3
    for each in first:
        assert [message["role"] for message in each.said] == ["assistant", "tool", "assistant"]
        assert each.said[1]["content"] == "ding"
        rewards = each.rewards
        assert each.total == pytest.approx((3 * rewards["liked"] + rewards["short"]) / 4)
    assert len({each.said[0]["content"] for each in first}) > 1
    assert actor.act(Prompt("What is 3?"), 0) == first
    assert actor.act(Prompt("What is 3?"), 1) != first
