"""Guards: middleware around the model and the tools, so that every run ends with an answer.

`ModelGuard` shows the model its view of the conversation, mends malformed calls, refuses repeated
ones, keeps to the budget, puts quotes right, and never passes on an empty message. `ToolGuard`
turns whatever goes wrong in a tool into an observation. Both write what happens into the run's
trace.
"""

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from langchain.agents.middleware.types import AgentMiddleware, ModelRequest, ModelResponse
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolCall, ToolMessage
from langchain_core.tools import BaseTool
from langgraph.errors import GraphBubbleUp
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.types import Command

from agentlab import quotes, toolcalls
from agentlab.answer import Observed, Step, Thought, ToolCalled
from agentlab.errors import AgentlabError
from agentlab.local_chat import LocalChatModel
from agentlab.pattern import message_pattern
from agentlab.prompts import NOT_FOUND, SEARCHES, says_weak, without_chat_markup, without_thinking
from agentlab.router import LISTS
from agentlab.run_client import within
from agentlab.tools.sources import numbered_apart
from agentlab.trace import RunCancelledError, Trace
from agentlab.view import visible

Handler = Callable[[ModelRequest[Any]], ModelResponse[Any]]


class Translate(Protocol):
    """What turns a failure of the model into one line; None for what it does not know."""

    def __call__(self, error: Exception, *, writing: bool) -> AgentlabError | None:
        """Translate an error; `writing` tells that the answer had begun."""


class _Form(NamedTuple):
    """What a message may be: quotes, other texts (None: anything), and calls of some tools."""

    quotes: "Sequence[quotes.Quote]"
    others: Sequence[str] | None
    calls: Sequence[str]


EMPTY_ANSWER = "The model gave no answer. Ask again, or in other words."
TOO_LONG = "The model ran out of tokens before it gave an answer. Raise max_tokens."
NO_TIME = "The time budget of {limit:g} s ran out before there was an answer. Raise timeout_s."
REWRITE = (
    "Your tool call could not be read. Write it again as one line of JSON: "
    '{"name": "...", "arguments": {"query": "..."}}'
)


class ModelGuard(AgentMiddleware[Any, Any, Any]):
    """Stands between the agent and its model."""

    def __init__(
        self,
        trace: Trace,
        schemas: Sequence[Mapping[str, Any]],
        *,
        translate: Translate,
        only_leaning: bool = False,
        choice: quotes.Choice = "shown",
        reader_abstains: bool = False,
        reader_answers: bool = False,
        second_quote: bool = True,
        whole_lists: bool = True,
        guided: bool = True,
        engine: str = "own",
    ) -> None:
        super().__init__()
        self.tools = []
        self._trace = trace
        self._choice = choice
        self._reader_abstains = reader_abstains
        self._reader_answers = reader_answers
        self._second_quote = second_quote
        self._whole_lists = whole_lists
        self._guided = guided
        self._engine = engine
        self._schemas = [dict(schema) for schema in schemas]
        self._names = [schema["function"]["name"] for schema in schemas]
        self._translate = translate
        self._only_leaning = only_leaning

    def wrap_model_call(self, request: ModelRequest[Any], handler: Handler) -> AIMessage:
        """Get a message that either calls tools rightly or answers."""
        trace = self._trace
        asked = self._request(request)
        if known := self._known(request.model):  # which costs neither a step more nor time
            return known
        if len(trace.steps) >= trace.max_steps:
            return self._last_answer(request, handler, "steps")
        if trace.little_time:
            return self._last_answer(request, handler, "time")
        return self._written(asked, request, handler)

    def _written(
        self, asked: ModelRequest[Any], request: ModelRequest[Any], handler: Handler
    ) -> AIMessage:
        """Get a message from the model."""
        trace = self._trace
        message = self._mended(self._call(asked, handler))
        if message.invalid_tool_calls or self._meant_a_call(message):
            message = self._asked_again(asked, message, handler)
        if message.invalid_tool_calls or self._meant_a_call(message):
            return self._last_answer(request, handler, None)
        if message.tool_calls:
            return self._admitted(message, request, handler)
        if not message.text.strip() and not trace.out_of_time:
            return self._last_answer(request, handler, None, retries=0)
        return self._spoken(message)

    def _known(self, model: BaseChatModel) -> AIMessage | None:
        """Give the message that needs no model: a call or reply that is known, or a result's words.

        What is asked of a whole document is told as it comes. A list is for a model of whom the
        reader decides what is told; others put it in words of their own. Where the reader answers,
        too, what it found is the answer.
        """
        trace = self._trace
        if not trace.steps:
            call = trace.whole or (toolcalls.Call(LISTS, {}) if trace.first == (LISTS,) else None)
            if call:
                return AIMessage("", tool_calls=[_tool_call(call)])
            return self._spoken(AIMessage(trace.reply)) if trace.reply else None
        last = trace.steps[-1]
        told = [trace.whole.name] if trace.whole else []
        told += [LISTS] if self._reader_abstains else []
        if last.tool in told and not last.error:
            return self._spoken(AIMessage(last.observation))
        if self._reader_answers and self._guided and takes_guidance(model, self._engine):
            found = quotes.read_answer(last, both=self._second_quote, lists=self._whole_lists)
            return self._spoken(AIMessage(found)) if found else None
        return None

    def _request(self, request: ModelRequest[Any], *, last: bool = False) -> ModelRequest[Any]:
        messages = visible(
            request.messages, self._trace.evidence, only_leaning=self._only_leaning, last=last
        )
        self._trace.messages[1:] = messages
        tools: list[BaseTool | dict[str, Any]] = [] if last else [*self._schemas]
        guidance = self._guidance(request.model, [] if last else self._schemas)
        return request.override(
            messages=messages, tools=tools, model_settings={**request.model_settings, **guidance}
        )

    def _guidance(self, model: BaseChatModel, tools: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Tell our own engines the form of calls and what may be quoted.

        An endpoint of somebody else would refuse what it does not know.
        """
        local = isinstance(model, LocalChatModel)
        if not self._guided:
            return {"guided": False} if local else {}
        if not takes_guidance(model, self._engine):
            return {}
        form = self._form([tool["function"]["name"] for tool in tools])
        if local:
            return {"guided": True, **form._asdict()}
        callable_tools = [tool for tool in tools if tool["function"]["name"] in form.calls]
        pattern = message_pattern(callable_tools, form.quotes, form.others)
        # vLLM lets a pattern stand beside tool_choice "auto", and reads the calls from the text.
        given = getattr(model, "extra_body", None) or {}
        return {"extra_body": {**given, "structured_outputs": {"regex": pattern}}}

    def _form(self, offered: Sequence[str]) -> _Form:
        """Tell what the next message may be, by what the searches found so far."""
        first = self._trace.first
        if first is not None and not self._trace.steps:
            return _Form((), () if first else None, first)
        found = [step for step in self._trace.steps if not step.error]
        if not (self._reader_abstains and self._trace.steps):
            return _Form(quotes.allowed(found, self._choice), None, offered)
        answering = [step for step in found if not says_weak(step.observation)]
        if answering:
            usable = quotes.allowed(answering, self._choice)
            return _Form(usable, () if usable else None, offered)
        tried = {step.tool for step in self._trace.steps}
        untried = [name for name in SEARCHES if name in offered and name not in tried]
        return _Form((), () if untried else (NOT_FOUND,), untried or offered)

    def _call(self, request: ModelRequest[Any], handler: Handler) -> AIMessage:
        trace = self._trace
        trace.partial = ""
        try:
            with within(trace):
                message = handler(request).result[0]
        except RunCancelledError:
            return self._cut_off()
        except AgentlabError:
            raise
        except Exception as error:
            if trace.over:
                return self._cut_off()
            known = self._translate(error, writing=bool(trace.partial))
            if known is None:
                raise
            raise known from error
        if not isinstance(message, AIMessage):
            raise TypeError(f"the model answered with {type(message).__name__}, not an AIMessage")
        usage = message.usage_metadata
        trace.count(usage["input_tokens"] if usage else 0, usage["output_tokens"] if usage else 0)
        said = without_thinking(str(message.text))
        if said != message.text:
            message = message.model_copy(update={"content": said})
        return message

    def _cut_off(self) -> AIMessage:
        """Take what the model had written when its time was up."""
        trace = self._trace
        if trace.cancelled.is_set():
            raise RunCancelledError
        trace.stopped = "time"
        trace.count(0, 0)
        return AIMessage(without_thinking(trace.partial))

    def _mended(self, message: AIMessage) -> AIMessage:
        """Read the calls that are nearly right; leave the message as it is if one is not."""
        if message.invalid_tool_calls:
            found = [
                toolcalls.mend(each.get("args") or "", self._names, name=each.get("name"))
                for each in message.invalid_tool_calls
            ]
            text = str(message.text)
        elif self._meant_a_call(message):
            found, text = [toolcalls.mend(message.text, self._names)], ""
        else:
            return message
        self._trace.count_malformed()
        calls = [call for call in found if call]
        if not calls or len(calls) < len(found):
            return message
        mended = [*message.tool_calls, *(_tool_call(call) for call in calls)]
        update = {"content": text, "tool_calls": mended, "invalid_tool_calls": []}
        return message.model_copy(update=update)

    def _meant_a_call(self, message: AIMessage) -> bool:
        return not message.tool_calls and toolcalls.looks_like_call(message.text, self._names)

    def _asked_again(
        self, asked: ModelRequest[Any], message: AIMessage, handler: Handler
    ) -> AIMessage:
        self._say(asked, "The tool call could not be read; the model is asked to write it again.")
        written = "\n".join(
            [message.text, *(c.get("args") or "" for c in message.invalid_tool_calls)]
        )
        again = [*asked.messages, AIMessage(written.strip()), HumanMessage(REWRITE)]
        return self._mended(self._call(asked.override(messages=again), handler))

    def _admitted(
        self, message: AIMessage, request: ModelRequest[Any], handler: Handler
    ) -> AIMessage:
        """Let new calls through, as many as the budget has left."""
        trace = self._trace
        new: list[ToolCall] = []
        for call in message.tool_calls:
            seen = [(each["name"], each["args"]) for each in new]
            if not trace.has_asked(call["name"], call["args"]) and (
                (call["name"], call["args"]) not in seen
            ):
                new.append(self._reworded(call if call["id"] else {**call, "id": _call_id()}))
        if not new and self._found_nothing:
            return self._last_answer(request, handler, None)
        if not new:
            self._say(request, "The same call came twice; the answer comes from what was found.")
            return self._last_answer(request, handler, "repeat")
        left = trace.max_steps - len(trace.steps)
        return message.model_copy(update={"tool_calls": new[:left]})

    @property
    def _found_nothing(self) -> bool:
        """Tell whether the reader has said no to all that there is to search: nothing is odd."""
        return self._reader_abstains and all(
            step.error or says_weak(step.observation) for step in self._trace.steps
        )

    def _reworded(self, call: ToolCall) -> ToolCall:
        """Put the person's own words for the query of a first search that repeats others."""
        asked, query = self._trace.asked, call["args"].get("query")
        if asked is None or self._trace.steps or not isinstance(query, str):
            return call
        return {**call, "args": {**call["args"], "query": asked.mended(query)}}

    def _last_answer(
        self, request: ModelRequest[Any], handler: Handler, stopped: str | None, *, retries: int = 1
    ) -> AIMessage:
        """Ask without tools; what comes back is the answer."""
        trace = self._trace
        trace.stopped = trace.stopped or stopped
        asked = self._request(request, last=True)
        message = AIMessage("")
        for _ in range(1 + retries):
            if not trace.out_of_time and not self._spoke(message):
                message = self._call(asked, handler)
        return self._spoken(message)

    def _spoke(self, message: AIMessage) -> bool:
        calls = message.tool_calls or message.invalid_tool_calls or self._meant_a_call(message)
        return not calls and bool(message.text.strip())

    def _spoken(self, message: AIMessage) -> AIMessage:
        """Pass an answer on, or say honestly that there is none."""
        trace = self._trace
        if not self._spoke(message):
            trace.fallback = True
            trace.stopped = "time" if trace.out_of_time else "empty"
            cut = message.response_metadata.get("finish_reason") == "length"
            message = AIMessage(TOO_LONG if cut else EMPTY_ANSWER)
            if trace.out_of_time:
                message = AIMessage(NO_TIME.format(limit=trace.timeout_s))
        written = str(message.text)
        trace.raw = quotes.settle(written, trace.sources, choice=self._choice)
        if trace.raw != written:
            message = message.model_copy(update={"content": trace.raw})
        return message

    @staticmethod
    def _say(request: ModelRequest[Any], text: str) -> None:
        request.runtime.stream_writer(Thought(text))


class ToolGuard(AgentMiddleware[Any, Any, Any]):
    """Stands between the agent and its tools."""

    def __init__(self, trace: Trace, names: Sequence[str]) -> None:
        super().__init__()
        self.tools = []
        self._trace = trace
        self._names = names

    def wrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]],
    ) -> ToolMessage:
        """Run a tool; what it raises becomes what the model reads."""
        call = request.tool_call
        write = request.runtime.stream_writer
        write(ToolCalled(call["name"], call["args"]))
        started = time.monotonic()
        message = self._run(request, handler)
        found = message.artifact if isinstance(message.artifact, tuple) else ()
        sources, text = numbered_apart(found, message.text, self._trace.sources)
        if text != message.text:
            message = message.model_copy(update={"content": text})
        step = Step(
            tool=call["name"],
            arguments=call["args"],
            observation=message.text,
            sources=sources,
            error=message.status == "error",
            seconds=time.monotonic() - started,
        )
        self._trace.steps.append(step)
        write(Observed(step))
        # What is kept between turns is what the model read; the sources belong to this run.
        return message.model_copy(update={"artifact": None})

    def _run(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]],
    ) -> ToolMessage:
        call = request.tool_call
        if request.tool is None:
            known = ", ".join(self._names)
            return _failed(call, f"There is no tool {call['name']!r}. Tools: {known}.")
        try:
            result = handler(request)
        except GraphBubbleUp:
            raise
        except Exception as error:  # noqa: BLE001 - a tool's failure is for the model to read
            return _harmless(
                _failed(call, f"Error: {error}" if str(error) else f"Error: {type(error).__name__}")
            )
        if isinstance(result, ToolMessage):
            return _harmless(result)
        raise TypeError(f"the tool {call['name']} answered with {type(result).__name__}")


def takes_guidance(model: BaseChatModel, engine: str) -> bool:
    """Tell whether a model's engine can be told the form of a message: ours and vLLM can."""
    return isinstance(model, LocalChatModel) or engine == "vllm"


def _tool_call(call: toolcalls.Call) -> ToolCall:
    return ToolCall(name=call.name, args=call.arguments, id=_call_id(), type="tool_call")


def _call_id() -> str:
    return f"call_{uuid.uuid4().hex[:12]}"


def _harmless(message: ToolMessage) -> ToolMessage:
    """Break up chat markup in what a tool answered: titles, pages of others, what a server says."""
    text = without_chat_markup(message.text)
    return message if text == message.text else message.model_copy(update={"content": text})


def _failed(call: ToolCall, reason: str) -> ToolMessage:
    return ToolMessage(reason, name=call["name"], tool_call_id=call["id"], status="error")
