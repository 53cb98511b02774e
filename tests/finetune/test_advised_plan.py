"""The plan that an advice writes: it loads, says why, and is never written over another."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune.advised_plan import plan_of, plan_text, write_plan
from finetune.advisor import advise
from finetune.errors import ConfigError
from finetune.hardware import Gpu, Hardware
from finetune.method_config import load_config
from finetune.situation import Advice, Found, Goal, Situation
from finetune.stages import read_plan

KINDS = ("conversation", "instruction", "text", "pair", "label", "ranking", "prompt", "document")
BEHAVIOURS = ("facts", "language", "task", "tools", "preference", "reward", "unclear")


@st.composite
def situations(draw: Any) -> Situation:
    """Draw anything that may lie on a disk, be wanted, and be there to run on."""
    found = []
    for kind in draw(st.lists(st.sampled_from(KINDS), unique=True)):
        rows = draw(st.integers(1, 100_000))
        tokens = rows * draw(st.integers(1, 5000))
        found.append(
            Found(
                kind,
                rows,
                tokens,
                longest=draw(st.integers(1, 50_000)),
                duplicates=draw(st.integers(0, rows - 1)),
                learned=draw(st.floats(0, 1)),
                good=draw(st.integers(0, rows)),
                paths=(f"{kind}.jsonl",),
            )
        )
    sizes = draw(st.lists(st.integers(4, 200), max_size=3))
    return Situation(
        tuple(found),
        Goal(
            draw(st.sampled_from(BEHAVIOURS)),
            draw(st.sampled_from(("some", "clear", "best"))),
            draw(st.booleans()),
        ),
        Hardware(
            draw(st.integers(1, 64)),
            draw(st.integers(4, 512)) * 10**9,
            tuple(Gpu("A100", size * 10**9) for size in sizes),
            draw(st.booleans()),
        ),
        licence=draw(st.sampled_from(("open", "terms", "any"))),
        hours=draw(st.floats(0.1, 1000)),
    )


@given(situations())
@settings(max_examples=150, deadline=None)
def test_whatever_is_advised_can_be_loaded(situation: Situation) -> None:
    advice = advise(situation)
    assert advice.headline
    if not advice.stages:
        return
    text = plan_text(advice, file=Path("plan.yaml"), out=Path("runs/plan"))
    plan = yaml.safe_load(text)
    assert plan == plan_of(advice, out=Path("runs/plan"))
    assert list(plan) == ["model", "out", "between", "stages"]
    for stage in plan["stages"]:
        given = {key: value for key, value in stage.items() if key != "method"}
        placed = {"model": plan["model"], "out": "runs/a"}
        assert load_config(stage["method"], None, given | placed).method == stage["method"]


@given(situations())
@settings(max_examples=60, deadline=None)
def test_a_plan_continues_one_adapter_through_all_of_its_stages(situation: Situation) -> None:
    stages = advise(situation).stages
    names = ("tuner", "lora_rank", "target_modules", "quantize_4bit")
    adapters = {tuple(str(each.settings.get(name)) for name in names) for each in stages}
    assert len(adapters) <= 1


def advised(*found: Found) -> Advice:
    return advise(Situation(found, Goal("tools"), Hardware(8, 10**11, (Gpu("A100", 80 * 10**9),))))


TALKS = Found("conversation", 900, 400_000, longest=800, learned=0.3, paths=("talks.jsonl",))
DOCUMENTS = Found("document", 9, 400_000, paths=("manuals",))


def test_the_plan_says_why_and_at_what_cost(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    write_plan(advised(TALKS), file, out=Path("runs/plan"))
    text = file.read_text(encoding="utf-8")
    assert text.startswith(
        f"# Tune: sft.\n# Run it, or go on with it: agentlab finetune run {file}"
    )
    assert "# - sft: learn what the assistant writes in them (900 conversations)\n" in text
    assert "  # sft: about 19.8 GB, " in text
    assert max(map(len, text.splitlines()[2:])) <= 100


def test_the_template_goes_to_the_stages_that_render_rows() -> None:
    texts = Found("text", 900, 4_000_000, longest=800, paths=("texts.jsonl",))
    situation = Situation((texts, TALKS), Goal("language"), Hardware(8, 10**11))
    plan = plan_of(advise(situation), out=Path("o"), chat_template=Path("chat.jinja"))
    assert [stage.get("chat_template") for stage in plan["stages"]] == [None, "chat.jinja"]


def test_a_plan_is_read_as_the_stages_that_a_run_takes(tmp_path: Path) -> None:
    pairs = Found("pair", 900, 400_000, longest=800, learned=0.3, paths=("pairs.jsonl",))
    write_plan(advised(TALKS, pairs), tmp_path / "plan.yaml", out=tmp_path / "out")
    plan = read_plan(tmp_path / "plan.yaml")
    assert [stage.config.method for stage in plan.stages] == ["sft", "dpo"]
    assert plan.stages[1].config.data == (Path("pairs.jsonl"),)
    assert plan.between == "continue"


def test_the_second_stage_of_ppo_asks_the_reward_model_of_the_first() -> None:
    pairs = Found("pair", 900, 400_000, longest=800, learned=0.3, paths=("pairs.jsonl",))
    prompts = Found("prompt", 900, 40_000, longest=80, paths=("prompts.jsonl",))
    machine = Hardware(8, 10**11, (Gpu("A100", 80 * 10**9),))
    advice = advise(Situation((pairs, prompts), Goal("preference", "best"), machine))
    plan = plan_of(advice, out=Path("runs/plan"))
    assert [stage["method"] for stage in plan["stages"]] == ["reward", "ppo"]
    assert plan["stages"][1]["rewards"] == [{"reward": "model", "folder": "runs/plan/1-reward"}]


def test_an_advice_not_to_tune_has_no_plan() -> None:
    advice = advise(Situation((DOCUMENTS,), Goal("facts"), Hardware(8, 10**11)))
    with pytest.raises(ConfigError, match="no plan to write: Retrieve from the documents"):
        plan_of(advice, out=Path("runs/plan"))


def test_a_plan_is_not_written_over_another_file(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="exists"):
        write_plan(advised(TALKS), file, out=Path("runs/plan"))
    assert file.read_text(encoding="utf-8") == "mine"
