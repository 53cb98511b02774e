"""Speech: a model's tokens as events, held back or taken back where they are no answer."""

import re
from collections.abc import Iterator, Sequence

from langchain_core.messages import AIMessageChunk

from agentlab.answer import Event, Thought, Token
from agentlab.prompts import without_thinking
from agentlab.quotes import differ_in_quotes_only

_HELD_STARTS = ("{", "[{", "```", "<tool", "<think>", "Action:")
_THINKING = re.compile(r"</?think>")


class Speech:
    """Turns the chunks of one run's messages into tokens.

    What begins like a tool call is held until the message is over, and what a reasoning model
    thinks until it speaks. What was said before another message or a tool call, and what was
    thought, is repeated as a Thought: it was not the answer.
    """

    def __init__(self, tools: Sequence[str]) -> None:
        self._starts = (*_HELD_STARTS, *(f"{name}(" for name in tools))
        self._message: str | None = None
        self._thought = False
        self._held = ""
        self._spoken = ""

    def hear(self, chunk: AIMessageChunk) -> Iterator[Event]:
        """Take the next chunk in."""
        if chunk.id != self._message:
            yield from self.take_back()
            self._message, self._thought = chunk.id, False
        self._held += str(chunk.text)
        if ">" in str(chunk.text):
            yield from self._end_thinking()
        if self._thought and not self._spoken:
            self._held = self._held.lstrip()
        if self._held and (self._spoken or not self._may_be_other()):
            yield Token(self._held)
            self._spoken += self._held
            self._held = ""

    def take_back(self) -> Iterator[Event]:
        """Declare what was said to be a thought."""
        if self._spoken.strip():
            yield Thought(self._spoken.strip())
        self._held = self._spoken = ""

    def finish(self, answer: str) -> Iterator[Event]:
        """Say what is left of the answer."""
        if not answer.startswith(self._spoken):
            if differ_in_quotes_only(self._spoken, answer):
                # An empty thought takes the tokens back without a word: they held a wrong quote.
                yield Thought("")
                self._held = self._spoken = ""
            yield from self.take_back()
        rest = answer[len(self._spoken) :]
        if rest:
            yield Token(rest)

    def _end_thinking(self) -> Iterator[Event]:
        written = self._spoken + self._held
        said = without_thinking(written)
        if "</think>" not in written or said == written:
            return
        thought = _THINKING.sub("", written[: len(written) - len(said)]).strip()
        if thought or self._spoken:
            yield Thought(thought)
        self._thought, self._spoken, self._held = True, "", said

    def _may_be_other(self) -> bool:
        text = self._held.lstrip()
        return not text or any(text.startswith(s) or s.startswith(text) for s in self._starts)
