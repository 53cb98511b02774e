from agentlab.cli.evaluate import table
from agentlab.evaluation import Outcome
from agentlab.starter.exam import Case


def outcome(model: str, right: int) -> Outcome:
    marks = {"valid": (right, 1)}
    return Outcome(model, "handbooks", Case("documents", "q"), marks, "", "", (), 2.0, 30)


def test_the_table_shows_a_column_a_model_with_intervals_and_numbers() -> None:
    text = table({"starter": [outcome("starter", 1)] * 4, "base": [outcome("base", 0)] * 2})
    assert text.splitlines()[0] == "| measure | starter | base |"
    assert "| tool calls valid as written | 100% [51%, 100%] of 4 | 0% [0%, 66%] of 2 |" in text
    assert "| seconds a question | 2.0 | 2.0 |" in text
