"""What is told of a run, or of several in a row, before hours are spent on it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentlab.cli.main import run
from agentlab.cli.training import whole_name
from agentlab.model import STARTER_BASE, starter_adapter
from finetune import events
from finetune.method_config import METHODS

PAIR = {"prompt": "How long?", "chosen": "It is 4 m long.", "rejected": "No idea."}
THUMBS = {"prompt": "How long?", "completion": "4 m"}
LOOKUP = {"question": "?", "answer": "x", "passages": [{"text": "x", "vector": "AAAAAA=="}]}
ROWS: dict[str, list[dict[str, Any]]] = {
    "cpt": [{"text": "The pump is bled before use."}],
    "sft": [{"prompt": "How long?", "completion": "4 m"}],
    "kto": [THUMBS | {"label": True}, THUMBS | {"label": False}],
    "ppo": [{"prompt": "How long?"}],
    "grpo": [{"prompt": "How long?"}],
    "rag": [LOOKUP],
}


@pytest.fixture
def rows(tmp_path: Path) -> Callable[[str], Path]:
    def write(method: str) -> Path:
        path = tmp_path / f"{method}.jsonl"
        lines = [json.dumps(row) + "\n" for row in ROWS.get(method, [PAIR])]
        path.write_text("".join(lines), encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize("method", METHODS)
def test_a_dry_run_of_every_method_prints_memory_and_time(
    method: str,
    rows: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("agentlab.cli.tuning.require_library", lambda *_: None)
    given = ["--data", str(rows(method)), "--model", "Qwen/Qwen3-4B", "--out", str(tmp_path / "o")]
    more = ["--set", "rewards={reward: length, words: 9}"] if method == "ppo" else []
    code = run(["finetune", method, *given, *more, "--dry-run"])
    said = capsys.readouterr()
    assert code == 0, said.err
    told = [line for line in said.out.splitlines() if line.startswith("# ")]
    assert told[0].startswith("# memory: about ")
    assert any(line.startswith("# time: about ") for line in told)
    assert yaml.safe_load(said.out)["method"] == method
    assert any("answers that the model writes" in line for line in told) == (
        method in ("ppo", "grpo")
    )
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("method", ["sft", "rlmf"])
def test_the_starters_name_stands_for_its_base_and_its_adapter(
    method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "rows.jsonl"
    labels = [{"prompt": f"{n}?", "completion": "4 m", "label": n % 2 == 0} for n in range(12)]
    rows = labels if method == "rlmf" else ROWS["sft"]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    given = ["--data", str(data), "--model", "starter", "--out", str(tmp_path / "o"), "--dry-run"]
    assert run(["finetune", method, *given]) == 0
    plan = yaml.safe_load(capsys.readouterr().out)
    assert plan["model"] == STARTER_BASE
    assert plan["adapter"] == str(starter_adapter())
    run(["finetune", method, *given, "--set", "adapter=mine"])
    said = capsys.readouterr()
    assert "mine" in said.out + said.err, "an adapter of one's own stays"


def test_in_a_plan_the_first_stage_that_is_tuned_goes_on_from_the_starters_adapter(
    rows: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stages = [{"method": method, "data": str(rows(method))} for method in ("reward", "sft", "dpo")]
    given = {"model": "starter", "out": str(tmp_path / "o"), "stages": stages}
    file = tmp_path / "plan.yaml"
    file.write_text(yaml.safe_dump(given), encoding="utf-8")
    assert run(["finetune", "run", str(file), "--dry-run"]) == 0
    told = [yaml.safe_load(f"#{x}") for x in capsys.readouterr().out.split("# stage")[1:]]
    assert [stage["model"] for stage in told] == [STARTER_BASE] * 3
    assert [stage["adapter"] for stage in told] == [None, str(starter_adapter()), None]
    file.write_text(yaml.safe_dump(given | {"adapter": "mine"}), encoding="utf-8")
    run(["finetune", "run", str(file), "--dry-run"])
    said = capsys.readouterr()
    assert "mine" in said.out + said.err, "an adapter of one's own stays"


def test_a_dry_run_refuses_rows_that_the_method_cannot_learn_from(
    rows: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--data", str(rows("kto")), "--model", "Qwen/Qwen3-4B", "--out", "o"]
    assert run(["finetune", "dpo", *given, "--dry-run"]) == 1
    assert "which kto can learn from" in capsys.readouterr().err


def test_ppo_without_rewards_says_which_settings_give_some(
    rows: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--data", str(rows("ppo")), "--model", "Qwen/Qwen3-4B", "--out", "o"]
    for more in (["--dry-run"], []):
        assert run(["finetune", "ppo", *given, *more]) == 2
        assert "--set rewards=FOLDER" in capsys.readouterr().err


def test_a_reward_model_is_known_to_be_on_the_same_model_by_its_short_name(
    rows: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judge, whole = tmp_path / "judge", whole_name("smollm2-135m")
    judge.mkdir()
    (judge / "reward.json").write_text("{}")
    (judge / "resolved.yaml").write_text(f"{{data: rows, model: {whole}, out: out}}")
    given = ["--data", str(rows("ppo")), "--out", "o", "--set", f"rewards={judge}", "--dry-run"]
    for name in ("smollm2-135m", whole):
        assert run(["finetune", "ppo", "--model", name, *given]) == 0, capsys.readouterr().err
        assert yaml.safe_load(capsys.readouterr().out)["model"] == whole


def test_a_dry_run_of_rlmf_tells_what_a_round_takes_and_refuses_what_fails_later(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "thumbs.jsonl"
    labels = [{"prompt": f"{n}?", "completion": "4 m", "label": n % 2 == 0} for n in range(12)]
    data.write_text("".join(json.dumps(row) + "\n" for row in labels), encoding="utf-8")
    out = tmp_path / "o"
    given = ["--data", str(data), "--model", "Qwen/Qwen3-4B", "--out", str(out), "--dry-run"]
    assert run(["finetune", "rlmf", *given]) == 0
    said = capsys.readouterr().out
    assert "# labels: 8 on 8 prompts to learn from, 4 held out" in said
    # four good answers above four samples each; the held-out prompts before and after
    assert "#   40 answers: about " in said
    assert "#   discriminator, 16 pairs\n#     memory: about " in said
    assert "#   generator, by dpo\n#     memory: about " in said
    assert run(["finetune", "rlmf", *given, "--set", "generator={betta: 1}"]) == 2
    assert "generator: These settings do not hold:\n  betta" in capsys.readouterr().err
    assert run(["finetune", "rlmf", *given, "--set", "discriminator={out: x}"]) == 2
    assert "discriminator sets out, which the rounds set" in capsys.readouterr().err
    data.write_text(json.dumps(PAIR) + "\n")
    assert run(["finetune", "rlmf", *given]) == 1
    assert "`completion` is missing" in capsys.readouterr().err
    assert not out.exists()


def test_grpo_is_refused_where_the_agent_would_search_an_empty_library(
    rows: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AGENTLAB_HOME", str(tmp_path / "home"))
    given = ["--data", str(rows("grpo")), "--model", "Qwen/Qwen3-4B", "--out", "o"]
    assert run(["finetune", "grpo", *given, "--dry-run"]) == 1
    assert "the library, which is empty: run agentlab ingest PATH" in capsys.readouterr().err


@pytest.fixture
def plan(rows: Callable[[str], Path], tmp_path: Path) -> Path:
    """A plan of sft and rag, on a folder that passes for a model."""
    model = tmp_path / "model"
    model.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (model / name).write_text("{}")
    (model / "chat_template.jinja").write_text("{% generation %}{% endgeneration %}")
    stages = [
        {"method": method, "data": str(rows(method)), "chat_template": None}
        for method in ("sft", "rag")
    ]
    path = tmp_path / "plan.yaml"
    described = {"model": str(model), "out": str(tmp_path / "out"), "stages": stages}
    path.write_text(yaml.safe_dump(described), encoding="utf-8")
    return path


def test_a_finished_stage_of_rag_is_known_again_by_the_name_of_its_encoder(
    plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[str] = []

    def trained(config: Any, **_: Any) -> Iterator[events.Event]:
        ran.append(config.method)
        config.out.mkdir(parents=True)
        (config.out / "metrics.json").write_text("{}")
        (config.out / "resolved.yaml").write_text(yaml.safe_dump(config.resolved()))
        yield events.Finished(config.out, {})

    def resolved(name: str, **_: Any) -> Path:
        return Path(name) if Path(name).is_dir() else tmp_path / name.rsplit("/", 1)[-1]

    monkeypatch.setattr("finetune.training.train", trained)
    monkeypatch.setattr("serve.models.resolve", resolved)
    for _ in range(2):
        assert run(["finetune", "run", str(plan)]) == 0, capsys.readouterr().err
    assert ran == ["sft", "rag"]
    assert "all 2 stages are finished" in capsys.readouterr().err


def test_a_plan_whose_last_stage_lacks_its_rows_is_refused_before_the_first_runs(
    plan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rag.jsonl").unlink()
    for more in (["--dry-run"], []):
        assert run(["finetune", "run", str(plan), *more]) == 1
        assert "Stage 2, rag: " in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
