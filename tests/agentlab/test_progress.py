"""What is drawn of long work, off a terminal."""

from pathlib import Path

import pytest

from agentlab.progress import draw_training
from finetune.events import Finished


def test_the_end_of_a_run_is_told_in_numbers_that_people_read(
    capsys: pytest.CaptureFixture[str],
) -> None:
    metrics = {
        "steps": 2,
        "tokens": 57576,
        "seconds": 9.07,
        "tokens_per_second": 6348.0,
        "last_loss": 0.5004259,
        "memory": 920993792,
    }
    assert draw_training(iter([Finished(Path("runs/a"), metrics)])) == Path("runs/a")
    assert capsys.readouterr().err.splitlines()[-1] == (
        "  done: steps 2, tokens 57,576, seconds 9.07, tokens per second 6,348, "
        "last loss 0.5004, memory 0.9 GB"
    )
