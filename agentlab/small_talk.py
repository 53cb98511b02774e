"""Small talk: what people say that needs no search, by intent, with the reply to each intent.

The starter is trained on it. At run time the router tells the intent, and the reply is given as it
stands: a model of this size mixes what it was taught.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

UNSURE = "I'm not sure what you mean. Ask me about your documents, or about anything on the web."
"""The reply where no intent is clear."""


class Said(NamedTuple):
    """What a person says, the reply to it, and the intent that both belong to."""

    text: str
    reply: str
    intent: str


@cache
def all_said(*, held_out: bool = False) -> tuple[Said, ...]:
    """List what people say: lines that are trained on, or the ones kept for exams."""
    return tuple(
        Said(text, about["reply"], intent)
        for intent, about in _intents(held_out=held_out).items()
        for text in about["says"].splitlines()
    )


@cache
def replies() -> Mapping[str, str]:
    """Give the reply to each intent."""
    return {intent: about["reply"] for intent, about in _intents(held_out=False).items()}


def _intents(*, held_out: bool) -> Mapping[str, Any]:
    name = "small_talk_exam.toml" if held_out else "small_talk.toml"
    file = resources.files("agentlab.starter").joinpath(name)
    return tomllib.loads(file.read_text(encoding="utf-8"))
