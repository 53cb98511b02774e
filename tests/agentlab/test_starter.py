"""The starter model in this process: what a machine without a GPU runs."""

from pathlib import Path

import pytest
from demo_conversation import demo_agent, hold_the_demo_conversation

from agentlab.model import starter_adapter

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_the_adapter_is_small_and_says_how_it_was_made() -> None:
    adapter = starter_adapter()
    assert adapter is not None
    files = {path.name: path.stat().st_size for path in adapter.iterdir()}
    assert files["adapter_model.safetensors"] <= 25_000_000
    assert {"adapter_config.json", "resolved.yaml", "metrics.json"} <= set(files)


@pytest.mark.parametrize("short_answer", ["model", "reader"])
def test_a_conversation_is_streamed_and_its_answers_are_cited(
    short_answer: str, starter_base: Path, tmp_path: Path
) -> None:
    with demo_agent(tmp_path, engine="transformers", short_answer=short_answer) as agent:
        hold_the_demo_conversation(agent)
