"""Several tunings in a row: each goes on from the one before, and a stopped plan from its place."""

import base64
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("trl")

from finetune.errors import ConfigError, ExampleError, RunChangedError, TemplateError
from finetune.events import Saved
from finetune.stages import Plan, look_through, read_plan, stages_to_run
from finetune.training import train
from ingest.embedding.pytorch import TorchEmbedder

ADAPTER = {"method": "sft", "data": "a"}
SMALL = {"lora_rank": 4, "batch": 4, "max_steps": 2, "effects": False}


@pytest.fixture
def plan_file(
    tiny_base: Path, template: Path, conversations: Callable[..., Path], tmp_path: Path
) -> Callable[..., Path]:
    pairs = tmp_path / "pairs.jsonl"
    rows = [{"prompt": f"{n}?", "chosen": f"{n} it is.", "rejected": "no"} for n in range(4)]
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    data = conversations(4)

    def write(*, between: str = "continue", first: dict[str, Any] | None = None) -> Path:
        template_of = {"chat_template": str(template)}
        stages = [
            {"method": "sft", "data": str(data), **template_of, **SMALL, **(first or {})},
            {"method": "dpo", "data": str(pairs), **template_of, **SMALL},
        ]
        path = tmp_path / "plan.yaml"
        plan = {"model": str(tiny_base), "out": str(tmp_path / "out"), "between": between}
        path.write_text(yaml.safe_dump(plan | {"stages": stages}), encoding="utf-8")
        return path

    return write


@pytest.fixture
def lookups(tiny_bert: Path, tmp_path: Path) -> Path:
    """Six questions with two passages each, and their vectors by the tiny encoder."""
    texts = ["the mill is of paper", "the tower is of iron"]
    vectors = [
        base64.b64encode(vector.astype("<f2").tobytes()).decode()
        for vector in TorchEmbedder(tiny_bert, name="tiny").encode(texts)
    ]
    passages = [{"text": t, "vector": v} for t, v in zip(texts, vectors, strict=True)]
    row = {"question": "the mill is of what ?", "answer": "paper", "passages": passages}
    path = tmp_path / "lookups.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for _ in range(6)), encoding="utf-8")
    return path


def run(plan: Plan, base: Path) -> list[str]:
    ran = []
    for stage, folder in stages_to_run(plan, base):
        list(train(stage.config, base=folder, resume=True))
        ran.append(stage.config.out.name)
    return ran


def test_each_stage_trains_the_adapter_of_the_one_before_further(
    plan_file: Callable[..., Path], tiny_base: Path, tmp_path: Path
) -> None:
    plan = read_plan(plan_file())
    assert run(plan, tiny_base) == ["1-sft", "2-dpo"]
    metrics = json.loads((tmp_path / "out" / "2-dpo" / "metrics.json").read_text())
    first = json.loads((tmp_path / "out" / "1-sft" / "metrics.json").read_text())
    assert metrics["continued"]["adapter"] == first["adapter_sha256"][:12]


def test_what_is_finished_is_not_done_again(
    plan_file: Callable[..., Path], tiny_base: Path
) -> None:
    plan = read_plan(plan_file())
    stages = stages_to_run(plan, tiny_base)
    stage, folder = next(stages)
    list(train(stage.config, base=folder, resume=True))
    stages.close()  # stopped between the stages
    assert run(read_plan(plan_file()), tiny_base) == ["2-dpo"]
    assert run(read_plan(plan_file()), tiny_base) == []


def test_a_merged_stage_becomes_the_base_of_the_next(
    plan_file: Callable[..., Path], tiny_base: Path, tmp_path: Path
) -> None:
    plan = read_plan(plan_file(between="merge"))
    assert run(plan, tiny_base) == ["1-sft", "2-dpo"]
    settings = json.loads((tmp_path / "out" / "2-dpo" / "adapter_config.json").read_text())
    merged = Path(settings["base_model_name_or_path"])
    assert merged.parent == tmp_path / "out" / "merged"
    assert (merged / "model.safetensors").is_file()


def test_a_tuned_model_becomes_the_base_of_the_next(
    plan_file: Callable[..., Path], tiny_base: Path, tmp_path: Path
) -> None:
    plan = read_plan(plan_file(first={"tuner": "full"}))
    assert run(plan, tiny_base) == ["1-sft", "2-dpo"]
    settings = json.loads((tmp_path / "out" / "2-dpo" / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == str(tmp_path / "out" / "1-sft")


def test_a_stage_of_rag_trains_the_adapter_further_and_a_killed_plan_goes_on(
    plan_file: Callable[..., Path], lookups: Path, tiny_base: Path, tiny_bert: Path, tmp_path: Path
) -> None:
    path = plan_file()
    plan = yaml.safe_load(path.read_text(encoding="utf-8"))
    both = plan["stages"][0] | {
        "method": "rag",
        "data": str(lookups),
        "encoder": str(tiny_bert),
        "passages": 2,
        "max_length": 128,
        "max_steps": 4,
        "save_every": 1,
    }
    plan["stages"].insert(1, both)
    path.write_text(yaml.safe_dump(plan), encoding="utf-8")
    assert [found.rows if found else 0 for found in look_through(read_plan(path))] == [4, 6, 4]

    stages = stages_to_run(read_plan(path), tiny_base)
    first, folder = next(stages)
    list(train(first.config, base=folder, resume=True))
    second, folder = next(stages)
    events = train(second.config, base=folder, resume=True)
    next(event for event in events if isinstance(event, Saved) and event.step == 2)
    events.close()
    stages.close()
    assert not second.finished

    assert run(read_plan(path), tiny_base) == ["2-rag", "3-dpo"]
    out = tmp_path / "out"
    told = [
        json.loads((out / name / "metrics.json").read_text())
        for name in ("1-sft", "2-rag", "3-dpo")
    ]
    for before, after in itertools.pairwise(told):
        assert after["continued"]["adapter"] == before["adapter_sha256"][:12]
    lines = (out / "2-rag" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4]
    assert (out / "2-rag" / "query_encoder" / "model.safetensors").is_file()
    assert run(read_plan(path), tiny_base) == []


def test_ppo_asks_the_reward_model_of_the_stage_before(
    plan_file: Callable[..., Path], template: Path, tiny_base: Path, tmp_path: Path
) -> None:
    path = plan_file()
    asked = tmp_path / "asked.jsonl"
    asked.write_text('{"prompt": "1?"}\n', encoding="utf-8")
    plan = yaml.safe_load(path.read_text(encoding="utf-8"))
    judge = plan["stages"][1] | {"method": "reward"}
    learner = judge | {"method": "ppo", "data": str(asked), "micro_batch": 2}
    plan["stages"][1:] = [judge, learner | {"completion_length": 4, "kl_limit": 9}]
    path.write_text(yaml.safe_dump(plan), encoding="utf-8")
    assert [found.rows for found in look_through(read_plan(path)) if found] == [4, 4, 1]
    assert run(read_plan(path), tiny_base) == ["1-sft", "2-reward", "3-ppo"]
    metrics = json.loads((tmp_path / "out" / "3-ppo" / "metrics.json").read_text())
    assert str(tmp_path / "out" / "2-reward" / "adapter_model.safetensors") in metrics["lineage"]
    assert metrics["continued"]["adapter"]


@pytest.mark.parametrize(("between", "tuner"), [("merge", "lora"), ("continue", "full")])
def test_ppo_on_what_a_stage_left_asks_a_reward_model_on_the_plans_own_model(
    between: str,
    tuner: str,
    plan_file: Callable[..., Path],
    template: Path,
    tiny_base: Path,
    tmp_path: Path,
) -> None:
    path = plan_file(between=between, first={"tuner": tuner})
    asked = tmp_path / "asked.jsonl"
    asked.write_text('{"prompt": "1?"}\n', encoding="utf-8")
    plan = yaml.safe_load(path.read_text(encoding="utf-8"))
    learner, judge = plan["stages"]
    judge |= {"method": "reward"}
    more = {"method": "ppo", "data": str(asked), "micro_batch": 2, "completion_length": 4}
    plan["stages"] = [judge, learner, judge | more | {"kl_limit": 9}]
    path.write_text(yaml.safe_dump(plan | {"model": "a-name"}), encoding="utf-8")
    assert run(read_plan(path), tiny_base) == ["1-reward", "2-sft", "3-ppo"]
    assert run(read_plan(path), tiny_base) == []
    told = yaml.safe_load((tmp_path / "out" / "3-ppo" / "resolved.yaml").read_text())
    assert told["rewards"][0]["base"] == str(tiny_base)
    assert told["model"] != "a-name"


def test_what_a_later_stage_lacks_is_told_before_the_first_one_runs(
    plan_file: Callable[..., Path], tmp_path: Path
) -> None:
    path = plan_file()
    (tmp_path / "pairs.jsonl").unlink()
    with pytest.raises(ExampleError, match=r"Stage 2, dpo: .*pairs\.jsonl does not exist"):
        look_through(read_plan(path))


def test_a_template_that_a_later_stage_lacks_is_told_unless_one_before_leaves_it(
    plan_file: Callable[..., Path], tiny_base: Path
) -> None:
    path = plan_file()
    plan = yaml.safe_load(path.read_text(encoding="utf-8"))
    del plan["stages"][1]["chat_template"]
    path.write_text(yaml.safe_dump(plan), encoding="utf-8")
    with pytest.raises(TemplateError, match=r"Stage 2, dpo: .*tiny-llama has no chat template"):
        look_through(read_plan(path), base=tiny_base)
    path.write_text(yaml.safe_dump(plan | {"between": "merge"}), encoding="utf-8")
    assert run(read_plan(path), tiny_base) == ["1-sft", "2-dpo"]
    look_through(read_plan(path, {"out": path.with_name("again")}), base=tiny_base)


def test_a_finished_stage_with_other_settings_is_refused(
    plan_file: Callable[..., Path], tiny_base: Path
) -> None:
    run(read_plan(plan_file()), tiny_base)
    with pytest.raises(RunChangedError, match=r"Stage 1 .* other learning_rate"):
        run(read_plan(plan_file(first={"learning_rate": 0.5})), tiny_base)


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ([], "stages"),
        ([{"data": "a"}], "Stage 1 of .* names no `method`"),
        ([{"method": "magic", "data": "a"}], "Stage 1 .*No method 'magic'"),
        ([{"method": "sft", "data": "a", "betta": 1}], "Stage 1 .*betta"),
        ([{"method": "mine"}], "Stage 1 .*mine is a command of its own and no stage"),
        ([{"method": "retriever"}], "Stage 1 .*agentlab store reembed"),
        ([ADAPTER, ADAPTER | {"tuner": "full"}], "Stage 2 trains the whole model.* between: merge"),
        ([ADAPTER, ADAPTER | {"lora_rank": 8}], "Stage 2.* lora_rank is 8, the adapter's 32"),
        ([ADAPTER, ADAPTER | {"target_modules": "attention"}], "Stage 2.* target_modules"),
    ],
)
def test_a_plan_that_cannot_run_is_refused_before_anything_does(
    stages: list[dict[str, Any]], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump({"model": "m", "out": "o", "stages": stages}))
    with pytest.raises(ConfigError, match=f"(?s){said}"):
        read_plan(path)
