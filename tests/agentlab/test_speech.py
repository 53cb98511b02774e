"""Speech: what of a model's tokens is told as its answer, and what as a thought."""

from collections.abc import Sequence

import pytest
from langchain_core.messages import AIMessageChunk

from agentlab.answer import Event, Thought, Token
from agentlab.speech import Speech


def told(pieces: Sequence[str], answer: str) -> list[Event]:
    speech = Speech(["search_documents"])
    heard = [
        event for piece in pieces for event in speech.hear(AIMessageChunk(content=piece, id="1"))
    ]
    return [*heard, *speech.finish(answer)]


@pytest.mark.parametrize(
    "pieces",
    [
        ["<thi", "nk>Let me", " see.</th", "ink>", "\n\n", "140", " euros"],
        ["<think>Let me see.</think>\n140 euros"],
    ],
)
def test_what_a_model_thinks_is_held_back_and_told_as_a_thought(pieces: list[str]) -> None:
    events = told(pieces, "140 euros")
    assert events[0] == Thought("Let me see.")
    assert "".join(e.text for e in events if isinstance(e, Token)) == "140 euros"
    assert len([e for e in events if isinstance(e, Thought)]) == 1


def test_a_thought_whose_begin_was_not_written_is_taken_back() -> None:
    events = told(["Let me", " see.", "</think>", "\n", "140 euros"], "140 euros")
    assert events[:3] == [Token("Let me"), Token(" see."), Thought("Let me see.")]
    assert events[3:] == [Token("140 euros")]


def test_an_empty_thought_is_not_told() -> None:
    assert told(["<think>\n\n</think>\n\n", "140"], "140") == [Token("140")]


def test_a_thought_without_an_end_is_no_answer() -> None:
    assert told(["<think>Let", " me see"], "None.") == [Token("None.")]
