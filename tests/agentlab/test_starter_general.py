import pytest

from agentlab.starter.general import Forgotten


def test_what_was_forgotten_is_how_much_the_loss_rose() -> None:
    forgotten = Forgotten(base=2.0, tuned=2.05)
    assert forgotten.share == pytest.approx(0.025)
    assert "+2.5%" in str(forgotten)
