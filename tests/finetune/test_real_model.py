"""Each method on the 135M model: a few real steps, on a few rows, in the starter's template.

PPO's is with its other tests.
"""

import base64
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from bell import Bell

pytest.importorskip("trl")

from finetune.events import Finished, Progress
from finetune.method_config import load_config
from finetune.rlmf import Round, rounds
from finetune.rlmf_config import load_rlmf_config
from finetune.training import train

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TEMPLATE = Path(__file__).parents[2] / "agentlab" / "chat_template.jinja"
GOOD = "The pump is bled at its upper valve until no bubbles come."
ASKED = "How is the pump bled?"
ROWS: dict[str, dict[str, Any]] = {
    "cpt": {"text": f"{GOOD} Then the valve is closed, and the pressure is read."},
    "sft": {"instruction": ASKED, "context": GOOD, "response": "At its upper valve."},
    "dpo": {"prompt": ASKED, "chosen": GOOD, "rejected": "With a spoon."},
    "orpo": {"prompt": ASKED, "chosen": GOOD, "rejected": "With a spoon."},
    "reward": {"prompt": ASKED, "completions": [GOOD, "At a valve.", "With a spoon."]},
}


def rows_of(method: str) -> list[dict[str, Any]]:
    if method == "kto":
        said = (GOOD, "With a spoon.")
        return [{"prompt": ASKED, "completion": each, "label": each == GOOD} for each in said * 2]
    return [ROWS[method]] * 4


FEW: dict[str, Any] = {
    "chat_template": TEMPLATE,
    "lora_rank": 8,
    "warmup_ratio": 0.0,
    "schedule": "constant_with_warmup",
    "max_length": 128,
    "effects": False,
}


def written(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("method", ["cpt", "sft", "dpo", "kto", "orpo", "reward"])
def test_two_steps_of_a_method_lower_its_loss(
    method: str, starter_base: Path, tmp_path: Path
) -> None:
    given = FEW | {
        "data": written(tmp_path / "rows.jsonl", rows_of(method)),
        "model": str(starter_base),
        "out": tmp_path / "out",
        "batch": 4,
        "micro_batch": 4,
        "learning_rate": 5e-4,
        "max_steps": 2,
    }
    events = list(train(load_config(method, None, given)))
    first, second = [event for event in events if isinstance(event, Progress)]
    assert second.loss < first.loss
    assert isinstance(events[-1], Finished)


def test_retriever_and_generator_lower_their_common_loss(
    starter_base: Path, minilm_folder: Path, minilm: Any, tmp_path: Path
) -> None:
    texts = [GOOD, "The crew eats at noon."]
    vectors = [base64.b64encode(each.astype("<f2").tobytes()) for each in minilm.encode(texts)]
    passages = [
        {"text": text, "vector": vector.decode()}
        for text, vector in zip(texts, vectors, strict=True)
    ]
    row = {"question": ASKED, "answer": "at its upper valve", "passages": passages}
    given = FEW | {
        "data": written(tmp_path / "lookups.jsonl", [row] * 2),
        "model": str(starter_base),
        "encoder": str(minilm_folder),
        "out": tmp_path / "out",
        "passages": 2,
        "batch": 2,
        "micro_batch": 2,
        "learning_rate": 5e-4,
        "max_steps": 2,
    }
    first, second = (e for e in train(load_config("rag", None, given)) if isinstance(e, Progress))
    assert second.loss < first.loss


def test_an_agent_acts_more_as_it_is_rewarded(starter_base: Path, tmp_path: Path) -> None:
    given = FEW | {
        "data": written(tmp_path / "asked.jsonl", [{"prompt": ASKED}]),
        "model": str(starter_base),
        "out": tmp_path / "out",
        "rewards": {"liked": 1.0},
        "batch": 1,
        "generations": 8,
        "micro_batch": 8,
        "turns": 1,
        "turn_tokens": 6,
        "learning_rate": 5e-3,
        "max_steps": 6,
    }
    events = train(load_config("grpo", None, given), world=Bell())
    rewards = [event.measures["reward"] for event in events if isinstance(event, Progress)]
    assert sum(rewards[-2:]) > sum(rewards[:2])


def test_a_round_of_machine_feedback_teaches_the_discriminator_and_the_generator(
    starter_base: Path, tmp_path: Path
) -> None:
    said = {True: GOOD, False: "With a spoon."}
    learn, held = (
        [{"prompt": q, "completion": said[good], "label": good} for q in asked for good in said]
        for asked in ((ASKED, "How is it bled?"), ("Say how the pump is bled.",))
    )
    few = {"batch": 2, "micro_batch": 2, "learning_rate": 5e-4, "warmup_ratio": 0.0, "max_steps": 4}
    config = load_rlmf_config(
        None,
        {
            "data": written(tmp_path / "learn.jsonl", learn),
            "eval_data": written(tmp_path / "held.jsonl", held),
            "model": str(starter_base),
            "out": tmp_path / "out",
            "chat_template": TEMPLATE,
            "rounds": 1,
            "samples": 2,
            "answer_tokens": 8,
            "min_margin": 0.0,
            "min_variety": 0.0,
            "tune_by": "orpo",
            "discriminator": few | {"lora_rank": 8, "max_steps": 10},
            "generator": few | {"lora_rank": 8},
        },
    )
    losses: list[list[float]] = [[]]
    told: list[Round] = []
    for event in rounds(config, base=starter_base):
        match event:
            case Progress():
                losses[-1].append(event.loss)
            case Finished():
                losses.append([])
            case Round():
                told.append(event)
    discriminator, generator, _ = losses
    assert sum(discriminator[5:]) < sum(discriminator[:5])
    assert generator[-1] < generator[0]
    assert told[0].auc_people == 1.0
    assert told[0].gain is not None
