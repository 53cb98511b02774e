"""LocalChatModel: a model in this process as a LangChain chat model that calls tools."""

import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.base import LanguageModelInput
from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ConfigDict

from agentlab.toolcalls import OPEN, Written, read


class Generator(Protocol):
    """What writes text: `serve.local.LocalModel`."""

    @property
    def usage(self) -> tuple[int, int]:
        """Tell the tokens of the prompt and of the answer of the last call."""

    def stream(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        *,
        max_tokens: int,
        temperature: float,
        stop: Sequence[str] | None,
        guided: bool,
        quotes: Sequence[tuple[str, int]],
        others: Sequence[str] | None,
        calls: Sequence[str] | None,
    ) -> Iterator[str]:
        """Yield the answer piece by piece, tool calls as their text."""


class LocalChatModel(BaseChatModel):
    """Streams prose as it is written and holds tool calls back until they are whole.

    `guided` keeps calls and quotes to their form; a call may bind it anew, and `quotes`, which are
    sentences with the numbers of their sources, `others`, all else that may be said, and `calls`,
    the names of the tools that may be called.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    generator: Any
    name: str | None = None
    max_tokens: int = 256
    temperature: float = 0.0
    guided: bool = True

    @property
    def _llm_type(self) -> str:
        return "agentlab-local"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.name, "temperature": self.temperature}

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer tools; the model itself chooses among them."""
        if tool_choice not in (None, "auto"):
            raise ValueError(f"a local model cannot be made to call {tool_choice!r}")
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop, run_manager, **kwargs))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002 - the base class tells it
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        pieces = self.generator.stream(
            [as_openai(message) for message in messages],
            kwargs.get("tools") or None,
            max_tokens=kwargs.get("max_tokens", self.max_tokens),
            temperature=kwargs.get("temperature", self.temperature),
            stop=stop,
            guided=kwargs.get("guided", self.guided),
            quotes=kwargs.get("quotes", ()),
            others=kwargs.get("others"),
            calls=kwargs.get("calls"),
        )
        written, shown = "", 0
        try:
            for piece in pieces:
                written += piece
                safe = _speakable(written)
                # An empty chunk lets whoever listens stop a model that writes a long tool call.
                yield _chunk(AIMessageChunk(content=written[shown:safe]))
                shown = max(shown, safe)
        finally:
            pieces.close()
        if OPEN not in written:
            yield _chunk(AIMessageChunk(content=written[shown:], usage_metadata=self._usage()))
            return
        yield _chunk(_calls(read(written), self._usage()))

    def _usage(self) -> UsageMetadata:
        prompt, completion = self.generator.usage
        return UsageMetadata(
            input_tokens=prompt, output_tokens=completion, total_tokens=prompt + completion
        )


def as_openai(message: BaseMessage) -> dict[str, Any]:
    """Write a LangChain message in OpenAI's shape."""
    if isinstance(message, SystemMessage):
        return {"role": "system", "content": str(message.text)}
    if isinstance(message, HumanMessage):
        return {"role": "user", "content": str(message.text)}
    if isinstance(message, ToolMessage):
        answered = {"tool_call_id": message.tool_call_id, "name": message.name or ""}
        return {"role": "tool", "content": str(message.text), **answered}
    if not isinstance(message, AIMessage):
        raise TypeError(f"a {type(message).__name__} has no place in a conversation with a model")
    spoken: dict[str, Any] = {"role": "assistant", "content": str(message.text)}
    if message.tool_calls:
        spoken["tool_calls"] = [
            {
                "id": call["id"],
                "type": "function",
                "function": {
                    "name": call["name"],
                    "arguments": json.dumps(call["args"], ensure_ascii=False),
                },
            }
            for call in message.tool_calls
        ]
    return spoken


def _speakable(written: str) -> int:
    """Tell how much of a text can be shown: up to a tool call, or what may become one."""
    end = written.find(OPEN)
    if end < 0:
        lengths = range(min(len(OPEN) - 1, len(written)), 0, -1)
        end = len(written) - next((n for n in lengths if written.endswith(OPEN[:n])), 0)
    return len(written[:end].rstrip())


def _calls(written: Written, usage: UsageMetadata) -> AIMessageChunk:
    # A broken call keeps its tag: no JSON begins with it, so it stays an invalid call.
    chunks = [
        tool_call_chunk(
            name=call.name, args=json.dumps(call.arguments, ensure_ascii=False), id=_id(), index=i
        )
        for i, call in enumerate(written.calls)
    ]
    first = len(chunks)
    chunks += [
        tool_call_chunk(name=None, args=text, id=_id(), index=first + i)
        for i, text in enumerate(written.broken)
    ]
    return AIMessageChunk(content="", tool_call_chunks=chunks, usage_metadata=usage)


def _chunk(message: AIMessageChunk) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=message)


def _id() -> str:
    return f"call_{uuid.uuid4().hex[:12]}"
