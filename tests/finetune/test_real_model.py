"""Each method on the 135M model: two real steps, on a few rows, in the starter's template."""

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")

from finetune.events import Finished, Progress
from finetune.method_config import load_config
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


@pytest.mark.parametrize("method", ["cpt", "sft", "dpo", "kto", "orpo", "reward"])
def test_two_steps_of_a_method_lower_its_loss(
    method: str, starter_base: Path, tmp_path: Path
) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows_of(method)), encoding="utf-8")
    given = {
        "data": data,
        "model": str(starter_base),
        "out": tmp_path / "out",
        "chat_template": TEMPLATE,
        "lora_rank": 8,
        "batch": 4,
        "micro_batch": 4,
        "learning_rate": 5e-4,
        "warmup_ratio": 0.0,
        "schedule": "constant_with_warmup",
        "max_length": 128,
        "max_steps": 2,
        "effects": False,
    }
    events = list(train(load_config(method, None, given)))
    first, second = [event for event in events if isinstance(event, Progress)]
    assert second.loss < first.loss
    assert isinstance(events[-1], Finished)
