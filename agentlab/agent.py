"""Agent: answers questions from the library and the web, and remembers the conversation."""

import hashlib
import json
import logging
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Any, cast

from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    HumanMessage,
    SystemMessage,
)
from langchain_core.tools import BaseTool

from agentlab.answer import (
    Answer,
    Answered,
    Cited,
    Event,
    EvidenceSeen,
    Thought,
    ToolCalled,
)
from agentlab.citations import check
from agentlab.clock import asks_the_clock, tell_time
from agentlab.errors import AgentlabError, JournalError, MemoryStoreError
from agentlab.guards import ModelGuard, ToolGuard, takes_guidance
from agentlab.journal import Journal, Kind, Setup, Status, whole_characters
from agentlab.local_chat import as_openai
from agentlab.memory import Conversation, Memory
from agentlab.model import OpenModel
from agentlab.parts import Parts
from agentlab.probing import Wording, probe, worded
from agentlab.prompts import CARD_WORDS, parse_answer, system_prompt, without_thinking
from agentlab.relay import Relay
from agentlab.router import first_calls, kinds_of, reply_to
from agentlab.small_talk import replies
from agentlab.speech import Speech
from agentlab.tools.contents import EMPTY_HINT
from agentlab.tools.outlines import call_for, whole_tools
from agentlab.trace import Trace
from agentlab.view import questions
from agentlab.wholes import whole_of
from ingest.collection import Collection

UNSEARCHED = "The model answered without searching: nothing in this answer was checked."
_log = logging.getLogger(__name__)


class Agent(Parts):
    """Answers questions; a context manager that opens what it needs when it is first needed.

    Settings come from `settings`, or else from the environment and agentlab.toml; keywords stand
    above both. `chat`, `collection`, `provider` and `router` put a model, a library, a web search
    or a router of your own in the place of the ones that the settings name; `tools` are langchain
    tools beside the agent's own, whose results can be cited where the artifact of one is a tuple of
    `Source`, whose numbers stand in brackets in its text.
    """

    @cached_property
    def _warned(self) -> set[str]:
        """What was said once and is not said again."""
        return set()

    def ask(self, question: str, *, thread: str | None = None) -> Answer:
        """Answer a question; `thread` of an earlier answer goes on with its conversation."""
        for event in self.stream(question, thread=thread):
            if isinstance(event, Answered):
                return event.answer
        raise AgentlabError("The run ended without an answer: look at the log and ask again.")

    def stream(self, question: str, *, thread: str | None = None) -> Iterator[Event]:
        """Answer a question and tell what happens on the way; closing the iterator ends the run.

        The tokens since the last ToolCalled, Observed or Thought are the answer as it is written.
        """
        if not question.strip():
            raise ValueError("The question is empty: ask something.")
        trace = Trace(
            question=whole_characters(question.strip()),
            thread=thread or new_thread(),
            max_steps=self.settings.max_steps,
            timeout_s=self.settings.timeout_s,
        )
        finished = False
        try:
            with Relay(lambda: self._events(trace), cancel=trace.cancel) as events:
                for event in events:
                    if isinstance(event, Answered):
                        warnings = self._finish(trace, event.answer)
                        finished = True
                        yield from map(Thought, warnings)
                    yield event
        except (KeyboardInterrupt, GeneratorExit):
            if not finished:
                self._cut_short(trace, "interrupted")
            raise
        except Exception as error:
            self._cut_short(trace, "failed", str(error))
            raise

    def feedback(
        self, answer: Answer | str, kind: Kind, *, text: str | None = None, other: str | None = None
    ) -> None:
        """Keep what a person thinks of an answer (or of the run of that id).

        "better" comes with the better answer in `text`, "preference" with the run in `other` that
        this one is preferred to.
        """
        if self.journal is None:
            raise JournalError("Feedback needs the journal, which is off: set journal = true.")
        run = answer.run if isinstance(answer, Answer) else answer
        self.journal.add_feedback(run, kind, text=text, other=other)

    def threads(self, limit: int = 50) -> list[Conversation]:
        """List the conversations, the latest first."""
        return self.memory.conversations(limit)

    def _events(self, trace: Trace) -> Iterator[Event]:
        """Run the agent; called in a thread of its own."""
        collection, model = self.collection, self.model
        trace.begin()
        card = collection.card
        yield from map(Thought, self._begin(trace))
        if card is None:
            yield Thought(EMPTY_HINT)
        memory, warnings = self._usable_memory()
        yield from map(Thought, warnings)
        before = questions(memory.messages(trace.thread)) if memory else []
        trace.asked = asked = worded(trace.question, before)
        prompt = system_prompt(card=card.line(CARD_WORDS) if card else "", today=_today())
        trace.messages = [SystemMessage(prompt)]
        tools = self.tools(asked)
        if self.settings.speaks_as_taught and asks_the_clock(asked):
            trace.reply = tell_time(datetime.now().astimezone())
        else:
            yield from self._look(trace, asked, [tool.name for tool in tools])
        yield from self._run(trace, memory, model, prompt, tools)
        answer = self._answer(trace)
        yield from map(Cited, answer.citations)
        matches = trace.evidence and trace.evidence.strength in ("good", "strong")
        # Such replies say nothing that could be checked.
        claims = trace.reply is None and answer.text not in replies().values()
        if matches and claims and not trace.steps and not trace.fallback:
            yield Thought(UNSEARCHED)
        yield Answered(answer)

    def _run(
        self,
        trace: Trace,
        memory: Memory | None,
        model: OpenModel,
        prompt: str,
        tools: Sequence[BaseTool],
    ) -> Iterator[Event]:
        names = [tool.name for tool in tools]
        if trace.whole:
            tools = [*tools, *whole_tools(self.collection)]
        graph = create_agent(
            model.chat,
            tools,
            system_prompt=prompt,
            middleware=[
                ModelGuard(
                    trace,
                    self.schemas(names),
                    translate=model.translate,
                    only_leaning=self.settings.shows_only_leaning,
                    choice=self.settings.quote_choice,
                    reader_abstains=self.settings.reader_abstains,
                    reader_answers=self.settings.reader_answers,
                    second_quote=self.settings.second_quote,
                    whole_lists=self.settings.whole_lists,
                    guided=self.settings.guided,
                    engine=model.engine,
                ),
                ToolGuard(trace, names),
            ],
            checkpointer=memory,
        )
        speech = Speech(names)
        stream = graph.stream(
            {"messages": [HumanMessage(trace.question)]},
            {
                "configurable": {"thread_id": trace.thread},
                "callbacks": [_Listener(trace)],
                "recursion_limit": 4 * self.settings.max_steps + 20,
            },
            stream_mode=["messages", "custom"],
        )
        for mode, payload in cast("Iterator[tuple[str, Any]]", stream):
            if mode == "messages" and isinstance(payload[0], AIMessageChunk):
                yield from speech.hear(payload[0])
            elif mode == "custom":
                if isinstance(payload, ToolCalled | Thought):
                    yield from speech.take_back()
                yield payload
        yield from speech.finish(trace.raw)

    def _look(self, trace: Trace, asked: Wording, names: Sequence[str]) -> Iterator[Event]:
        """Ask the library how well it matches, and tell what comes first."""
        if self.settings.evidence:
            trace.evidence = probe(self.collection.probe, asked)
            yield EvidenceSeen(trace.evidence)
        whole = whole_of(asked, self.collection) if self.settings.speaks_as_taught else None
        if whole:
            trace.whole = call_for(whole)
        else:
            self._route(trace, asked, names)

    def _route(self, trace: Trace, asked: Wording, names: Sequence[str]) -> None:
        """Tell which tools may be called first, and what is said if none is."""
        leads = self.settings.guided and takes_guidance(self.model.chat, self.model.engine)
        if trace.evidence is None or not leads or self.router is None:
            return
        kinds = kinds_of(self.router, asked)
        first = first_calls(
            kinds,
            trace.evidence.strength,
            answers=partial(self.collection.answers, asked.own),
        )
        if first is not None and set(first) <= set(names):
            trace.first = first
        if trace.first == () and self.settings.speaks_as_taught:
            trace.reply = reply_to(kinds)

    def _answer(self, trace: Trace, *, stopped: str | None = None) -> Answer:
        raw = without_thinking(trace.raw or trace.partial).strip()
        parsed = parse_answer(raw)
        return Answer(
            question=trace.question,
            text=parsed.text,
            raw=raw,
            citations=check(raw, trace.sources),
            sources=trace.sources,
            steps=tuple(trace.steps),
            evidence=trace.evidence,
            usage=trace.usage,
            seconds=round(trace.seconds, 3),
            model=self.model.name,
            abstained=parsed.abstained,
            stopped=stopped or trace.stopped,
            thread=trace.thread,
            run=trace.run,
        )

    def _usable_memory(self) -> tuple[Memory | None, list[str]]:
        try:
            return self.memory, []
        except MemoryStoreError as error:
            return None, self._once(f"{error} This turn will not be remembered.")

    def _begin(self, trace: Trace) -> list[str]:
        setup = Setup(
            model=self.model.name,
            engine=self.model.engine,
            adapter=self.model.adapter,
            index_version=index_version(self.collection),
        )
        return self._write(
            lambda journal: journal.begin(
                trace.run, thread=trace.thread, question=trace.question, setup=setup
            )
        )

    def _finish(self, trace: Trace, answer: Answer) -> list[str]:
        messages = [as_openai(each) for each in (*trace.messages, AIMessage(answer.raw))]
        warnings = self._write(lambda journal: journal.end(answer, messages=messages))
        memory = self.__dict__.get("memory")
        return warnings + (self._once(memory.warning) if memory and memory.warning else [])

    def _cut_short(self, trace: Trace, status: Status, error: str | None = None) -> None:
        """Write what there is of a run that did not come to its end."""
        if "model" not in self.__dict__:
            return
        answer = self._answer(trace, stopped="interrupted" if status == "interrupted" else None)
        messages = [as_openai(each) for each in trace.messages]
        self._write(lambda j: j.end(answer, messages=messages, status=status, error=error))

    def _write(self, write: Callable[[Journal], None]) -> list[str]:
        """Write into the journal; what goes wrong is said once and never costs an answer."""
        try:
            if self.journal:
                write(self.journal)
        except JournalError as error:
            return self._once(f"{error} The answer is not affected.")
        return []

    def _once(self, warning: str) -> list[str]:
        if warning in self._warned:
            return []
        self._warned.add(warning)
        _log.warning(warning)
        return [warning]


class _Listener(BaseCallbackHandler):
    """Hears every token and stops the model when nobody listens or the time is up."""

    raise_error = True
    run_inline = True

    def __init__(self, trace: Trace) -> None:
        self._trace = trace

    def on_llm_new_token(self, token: str | list[Any], **_: Any) -> None:
        self._trace.partial += token if isinstance(token, str) else ""
        self._trace.check()


def index_version(collection: Collection) -> str:
    """Name the state of a library, for the journal."""
    state = [collection.store.note("card"), collection.store.count()]
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()[:12]


def new_thread() -> str:
    """Name a new conversation; names sort by time."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}"


def _today() -> str:
    return datetime.now().astimezone().date().isoformat()
