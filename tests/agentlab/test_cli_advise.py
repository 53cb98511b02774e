"""`agentlab advise`: what it prints, writes and asks."""

import json
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml

from agentlab.cli import advise
from agentlab.cli.main import run
from finetune.hardware import Hardware
from finetune.situation import Goal


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine that is the same everywhere, and a folder of its own."""
    machine = Hardware(2, 24 * 10**9, bf16=True)
    monkeypatch.setattr("finetune.hardware.find_hardware", lambda: machine)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def talks(tmp_path: Path) -> Callable[[int], str]:
    def write(count: int) -> str:
        rows = [
            {
                "messages": [
                    {"role": "user", "content": f"What is limit {number}? " + "Look it up. " * 20},
                    {"role": "assistant", "content": f"Limit {number} is {number} euros."},
                ]
            }
            for number in range(count)
        ]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / "talks.jsonl").write_text(text, encoding="utf-8")
        return "talks.jsonl"

    return write


def test_documents_are_retrieved_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "manual.html").write_text("<p>Bleed the pump.</p>", encoding="utf-8")
    goal = "answer questions from our manuals"
    assert run(["advise", "--data", "manual.html", "--goal", goal]) == 0
    assert capsys.readouterr().out == dedent(
        """\
        Retrieve from the documents; do not tune.

          data     1 document, about 4 tokens
          machine  no GPU, 2 CPU cores, 24 GB of memory
          model    starter (Apache-2.0)

        Why
          - retrieve: a searched passage can be cited and corrected, a trained one cannot (the goal
            is to know what stands in 1 document)
          - starter: the model that comes with agentlab reads, quotes and cites on a CPU (no GPU, 2
            CPU cores, 24 GB of memory)
        """
    )


def test_conversations_become_a_plan(
    talks: Callable[[int], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    goal = ["--goal", "call our tools right", "--out", "plan.yaml"]
    assert run(["advise", "--data", talks(600), *goal]) == 0
    said = capsys.readouterr()
    assert said.err == "plan.yaml: agentlab finetune run plan.yaml\n"
    assert said.out == dedent(
        """\
        Tune: sft.

          data     600 conversations, about 44,000 tokens
          machine  no GPU, 2 CPU cores, 24 GB of memory
          model    Qwen/Qwen3-0.6B (Apache-2.0)
          stage 1  sft: about 2.9 GB, 21 min
                   tuner=lora, lora_rank=32, batch=8, epochs=2, max_length=256

        Why
          - sft: learn what the assistant writes in them (600 conversations)
          - Qwen/Qwen3-0.6B (596M parameters): larger ones write fewer than 5 tokens a second here
            (about 2.9 GB of 24.0 GB, 21 min of 8 h)
          - a LoRA in bf16: on a CPU 4 bits are slower, not faster (no GPU, 2 CPU cores, 24 GB of
            memory)
        """
    )
    plan = yaml.safe_load((tmp_path / "plan.yaml").read_text(encoding="utf-8"))
    assert plan["out"] == "runs/plan"
    assert plan["stages"] == [
        {
            "method": "sft",
            "data": ["talks.jsonl"],
            "tuner": "lora",
            "lora_rank": 32,
            "batch": 8,
            "epochs": 2,
            "max_length": 256,
        }
    ]


def test_a_machine_can_be_planned_for_that_is_not_this_one(
    talks: Callable[[int], str], capsys: pytest.CaptureFixture[str]
) -> None:
    gpus = ["--gpu", "80", "--gpu", "80", "--gpu-name", "A100"]
    command = ["advise", "--data", talks(600), "--goal", "use tools, the best", *gpus, "--json"]
    assert run(command) == 0
    advice = json.loads(capsys.readouterr().out)
    assert advice["headline"] == "Tune: sft."
    assert advice["methods"] == ["sft"]
    assert advice["hardware"]["gpus"] == [{"name": "A100", "memory": 80 * 10**9}] * 2
    assert "several-gpus" in [reason["rule"] for reason in advice["reasons"]]
    assert advice["found"][0]["rows"] == 600
    assert 0 < advice["memory"] < 80e9


def test_a_given_model_is_kept_and_its_template_stands_in_the_plan(
    talks: Callable[[int], str], tmp_path: Path
) -> None:
    command = ["advise", "--data", talks(600), "--model", "smollm2-135m", "--out", "plan.yaml"]
    assert run(command) == 0
    plan = yaml.safe_load((tmp_path / "plan.yaml").read_text(encoding="utf-8"))
    assert plan["model"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert Path(plan["stages"][0]["chat_template"]).is_file()


def test_nothing_to_tune_writes_no_plan(
    talks: Callable[[int], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["advise", "--data", talks(5), "--goal", "classify", "--out", "plan.yaml"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("Show examples in the prompt; do not tune.\n")
    assert said.err == "agentlab: plan.yaml is not written: there is nothing to tune.\n"
    assert not (tmp_path / "plan.yaml").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--data", "nowhere"], "nowhere does not exist"),
        (["--model", "nobody/nothing"], "Nothing is known of the size of 'nobody/nothing'"),
    ],
)
def test_what_cannot_be_looked_at_is_an_error_that_says_so(
    more: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["advise", "--goal", "classify", *more]) != 0
    assert said in capsys.readouterr().err


def test_three_questions_make_a_goal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers: list[Any] = ["9", "4", "3"]
    monkeypatch.setattr("typer.prompt", lambda *_, **__: answers.pop(0))
    monkeypatch.setattr("typer.confirm", lambda *_, **__: True)
    assert advise.ask_goal() == Goal("tools", "best", may_forget=True)
    assert capsys.readouterr().out == (
        "What shall be better?\n"
        "  1 know what documents say\n"
        "  2 speak the language of a field\n"
        "  3 do one kind of task, in one form\n"
        "  4 use tools\n"
        "  5 write what people like more\n"
        "  6 get right what a program can check\n"
        "One of 1, 2, 3, 4, 5, 6.\n"
        "How much?\n"
        "  1 a little\n"
        "  2 clearly\n"
        "  3 as good as can be\n"
    )


def test_the_probe_replaces_the_table_of_speeds(
    talks: Callable[[int], str], capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    from finetune.duration import Speed

    slow = Speed(1e9, 1e9, "measured")
    monkeypatch.setattr("finetune.probing.probe_cpu", lambda: slow)
    command = ["advise", "--data", talks(600), "--goal", "use tools", "--probe", "--json"]
    assert run(command) == 0
    advice = json.loads(capsys.readouterr().out)
    assert advice["model"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert "too-long" in [each["rule"] for each in advice["cautions"]]
