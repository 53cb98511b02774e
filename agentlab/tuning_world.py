"""AgentWorld: the agent's own prompts, tools and citation check, as what a model is tuned in.

A row's prompt is a question; its further fields are what is known of it: `answers`, a list of right
answers (empty where the sources hold none), and `route`, the tool that ought to be called first.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from langchain_core.tools import BaseTool

from agentlab.answer import Source
from agentlab.citations import check, holds_claim, holds_quote
from agentlab.library import open_collection
from agentlab.probing import Wording, probe
from agentlab.prompts import (
    CARD_WORDS,
    NOT_FOUND,
    TOOLS,
    ParsedAnswer,
    parse_answer,
    system_prompt,
    with_evidence,
)
from agentlab.settings import Settings
from agentlab.toolcalls import Call, read
from agentlab.tools.documents import document_tool
from agentlab.tools.errors import ToolError, ToolInputError
from agentlab.tools.providers import Provider, choose_provider
from agentlab.tools.sources import SourceBook
from agentlab.tools.web import web_tool
from finetune.data.rows import Message, Prompt, as_text
from ingest.collection import Collection

FREE_CALLS = 1
CALL_PRICE = 0.25
REMEMBERED = 256
"""Searches whose results are kept, the latest ones."""


class AgentWorld:
    """Questions asked of a library and, where there is a provider, of the web."""

    rewards = ("format", "route", "citation", "answer", "brevity")

    @classmethod
    def open(
        cls, settings: Settings, *, progress: Callable[[str], None] | None = None
    ) -> "AgentWorld":
        """Open the library and the web search that the settings name; who opens it closes it."""
        collection = open_collection(settings, progress=progress)
        return cls(collection, choose_provider(settings), settings)

    def close(self) -> None:
        """Close the library."""
        self.collection.close()

    def __reduce__(self) -> tuple[Callable[[Settings], "AgentWorld"], tuple[Settings]]:
        """Let another process open the same for itself."""
        return AgentWorld.open, (self.settings,)

    def __init__(
        self, collection: Collection, provider: Provider | None, settings: Settings
    ) -> None:
        self.collection, self.provider, self.settings = collection, provider, settings
        self._library = _Library(collection)
        self._web = _Web(provider) if provider else None
        card = collection.card
        self._system = system_prompt(
            card=card.line(CARD_WORDS) if card else "", today=f"{datetime.now(UTC):%Y-%m-%d}"
        )

    @property
    def tools(self) -> Sequence[Mapping[str, Any]]:
        """Return the tools that there are."""
        return TOOLS if self.provider else TOOLS[:1]

    def begin(self, prompt: Prompt) -> "AgentEpisode":
        """Ask a row's question, with how well the library matches it."""
        asked = Wording(as_text(prompt.prompt))
        evidence = probe(self._library.probe, asked) if self.settings.evidence else None
        messages = [
            {"role": "system", "content": self._system},
            {"role": "user", "content": with_evidence(asked.question, evidence)},
        ]
        return AgentEpisode(prompt, messages, self._tools(asked))

    def _tools(self, asked: Wording) -> Mapping[str, BaseTool]:
        book, settings = SourceBook(), self.settings
        sizes = {"passages": settings.passages, "passage_words": settings.passage_words}
        tools = [document_tool(self._library, book, asked=asked, **sizes)]
        if self._web:
            tools.append(web_tool(self._web, self._library, book, asked=asked, **sizes))
        return {tool.name: tool for tool in tools}


class _Library:
    """A library that remembers: the tries on one question mostly search and read the same."""

    def __init__(self, collection: Collection) -> None:
        self.search = lru_cache(REMEMBERED)(collection.search)
        self.read = lru_cache(REMEMBERED)(collection.read)
        self.probe = lru_cache(REMEMBERED)(collection.probe)


class _Web:
    """A web search that remembers, so that what many tries look up is paid for once."""

    def __init__(self, provider: Provider) -> None:
        self.name = provider.name
        self.search = lru_cache(REMEMBERED)(provider.search)


class AgentEpisode:
    """One question from its first search to its answer."""

    def __init__(
        self, prompt: Prompt, messages: Sequence[Message], tools: Mapping[str, BaseTool]
    ) -> None:
        self.prompt, self.messages, self._tools = prompt, messages, tools
        self.calls: list[Call] = []
        self.sources: list[Source] = []
        self.broken = 0
        self.answer: str | None = None

    def take(self, written: str) -> Sequence[Message]:
        """Make the calls that the model wrote; a message without one is its answer."""
        said = read(written)
        self.broken += len(said.broken)
        if not said.calls:
            self.answer = None if said.broken else said.text.strip()
            return ()
        return [self._observe(call) for call in said.calls]

    def _observe(self, call: Call) -> Message:
        repeated = call in self.calls
        self.calls.append(call)
        if repeated or call.name not in self._tools:
            self.broken += not repeated
            what = "was made before" if repeated else "names no tool"
            return {"role": "tool", "content": f"This call {what}. Answer, or search otherwise."}
        tool_call = {"name": call.name, "args": call.arguments, "id": "call", "type": "tool_call"}
        try:
            seen = self._tools[call.name].invoke(tool_call)
        except ToolError as error:
            # A search that fails is told as to the agent, and is none of the model's faults.
            self.broken += isinstance(error, ToolInputError)
            return {"role": "tool", "content": str(error)}
        self.sources += seen.artifact or ()
        return {"role": "tool", "content": str(seen.content)}

    def rewards(self) -> Mapping[str, float]:
        """Judge by each reward, 0 to 1.

        `format`: calls that can be read, and an answer that quotes and cites or says that nothing
        was found. `route`: the first call is the one that the row names. `citation`: the share of
        citations that their sources hold, of none 0, unless there is nothing to cite and it says
        so. `answer`: a right answer is named, or that there is none where there is none. `brevity`:
        a quarter less for each call after the first. A route and answers that the row leaves out
        count as right.
        """
        parsed = parse_answer(self.answer or "")
        return {
            "format": self._format(parsed),
            "route": self._route(),
            "citation": self._citation(parsed),
            "answer": self._right(parsed),
            "brevity": max(0.0, 1 - CALL_PRICE * max(0, len(self.calls) - FREE_CALLS)),
        }

    def _format(self, parsed: ParsedAnswer) -> float:
        if self.broken or not self.answer:
            return 0.0
        if parsed.abstained:
            return float(self.answer == NOT_FOUND)
        return float(bool(parsed.quotes) and bool(parsed.claims))

    def _route(self) -> float:
        first = self.calls[0].name if self.calls else "none"
        return float(self.prompt.extra.get("route", first) == first)

    def _citation(self, parsed: ParsedAnswer) -> float:
        if parsed.abstained:
            return float(self.prompt.extra.get("answers") == [])
        cited = check(self.answer or "", self.sources)
        return sum(each.supported for each in cited) / len(cited) if cited else 0.0

    def _right(self, parsed: ParsedAnswer) -> float:
        if not self.answer:
            return 0.0
        answers = self.prompt.extra.get("answers")
        if answers is None:
            return 1.0
        if not answers or parsed.abstained:
            return float(not answers and parsed.abstained)
        said = [parsed.text, *(quote.text for quote in parsed.quotes)]
        return float(
            any(
                holds_quote(text, str(answer)) or holds_claim(text, str(answer))
                for text in said
                for answer in answers
            )
        )
