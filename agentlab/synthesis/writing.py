"""Writing: drafts that a chat model writes of a passage, and what it takes."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agentlab.synthesis.items import Draft, Refused, read_draft
from ingest.documents import Chunk

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from agentlab.model import OpenModel

_TASK = (
    "You write questions that a person could ask who has not seen the passage. For each question "
    "copy the words of the passage that answer it, letter by letter, as the quote, and give the "
    "shortest answer that stands in the quote. Name things in full; never speak of a passage, "
    "text or document. Write only a JSON list of objects with the keys question, answer and quote."
)
_LONGEST_PASSAGE = 12_000


@dataclass(frozen=True)
class Usage:
    """What the model calls took, in calls and tokens."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.calls + other.calls,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
        )

    def cost(self, price_in: float, price_out: float) -> float:
        """Give the cost by the prices of a million tokens."""
        return (self.input_tokens * price_in + self.output_tokens * price_out) / 1e6


@dataclass(frozen=True)
class Drafted:
    """The drafts of one passage, what was refused before, and what they took."""

    drafts: tuple[Draft, ...]
    refused: Counter[str] = field(default_factory=Counter)
    usage: Usage = field(default_factory=Usage)


Maker = Callable[[Chunk], Drafted]


def model_maker(model: "OpenModel", most: int) -> Maker:
    """Let a chat model write at most `most` drafts of a passage; safe to use from threads."""
    from langchain_core.messages import HumanMessage, SystemMessage

    chat: BaseChatModel = model.chat
    # Our own engine would else hold the model to calls and quotes of shown passages.
    extra: dict[str, Any] = {"guided": False} if model.engine == "transformers" else {}

    def make(chunk: Chunk) -> Drafted:
        passage = chunk.text[:_LONGEST_PASSAGE]
        asked = f"{chunk.header}\n\n{passage}\n\nWrite {most} question(s) on it."
        try:
            reply = chat.invoke([SystemMessage(_TASK), HumanMessage(asked)], **extra)
        except Exception as error:
            translated = model.translate(error, writing=False)
            if translated is None:
                raise
            raise translated from error
        used = reply.usage_metadata
        tokens = (used["input_tokens"], used["output_tokens"]) if used else (0, 0)
        drafts, refused = _read(str(reply.text), most)
        return Drafted(tuple(drafts), refused, Usage(1, *tokens))

    return make


def _read(text: str, most: int) -> tuple[list[Draft], Counter[str]]:
    drafts: list[Draft] = []
    refused: Counter[str] = Counter()
    values = list(_objects(text))
    if not values:
        refused["no JSON"] += 1
    for value in values[:most]:
        try:
            drafts.append(read_draft(value))
        except Refused as why:
            refused[str(why)] += 1
    return drafts, refused


def _objects(text: str) -> Iterator[object]:
    """Read the objects that stand in a text, one by one, whatever stands around them."""
    decoder = json.JSONDecoder(strict=False)
    at = text.find("{")
    while at >= 0:
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            yield value
        at = text.find("{", end)
