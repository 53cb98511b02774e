"""Bell: a world to tune in, whose one tool rings; it likes the letter `e`, and short answers."""

from collections.abc import Mapping, Sequence
from typing import Any

from finetune.data.rows import Message, Prompt, as_messages


class Bell:
    """The world; its tool rings `rings` times in an episode."""

    tools: Sequence[Mapping[str, Any]] = ()
    rewards = ("liked", "short")

    def __init__(self, *, rings: int = 0) -> None:
        self.rings = rings

    def begin(self, prompt: Prompt) -> "BellEpisode":
        return BellEpisode(as_messages(prompt.prompt, "user"), self.rings)


class BellEpisode:
    """One prompt, and what was written to it."""

    def __init__(self, messages: Sequence[Message], rings: int) -> None:
        self.messages, self.left, self.written = messages, rings, ""

    def take(self, written: str) -> Sequence[Message]:
        self.written += written
        self.left -= 1
        return [{"role": "tool", "content": "ding"}] if self.left >= 0 else []

    def rewards(self) -> Mapping[str, float]:
        letters = max(len(self.written), 1)
        return {"liked": self.written.count("e") / letters, "short": float(letters < 20)}
