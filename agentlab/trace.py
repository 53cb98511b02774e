"""Trace: what happens in one run, shared by the guards while it goes on."""

import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from langchain_core.messages import BaseMessage

from agentlab.answer import Source, Step, Usage
from agentlab.probing import Wording
from agentlab.toolcalls import Call
from ingest.evidence import Evidence

# The share of the time budget after which no more searches are offered.
LAST_ANSWER_SHARE = 0.75


class RunCancelledError(BaseException):
    """The person left, or the time ran out, while the model was writing.

    No Exception, like KeyboardInterrupt: langchain logs every one that a callback raises.
    """


@dataclass
class Trace:
    """The question, its budget, and everything that was done for it so far."""

    question: str
    thread: str
    max_steps: int
    timeout_s: float
    run: str = field(default_factory=lambda: uuid.uuid4().hex)
    started: float = field(default_factory=time.monotonic)
    asked: Wording | None = None
    evidence: Evidence | None = None
    first: Sequence[str] | None = None
    """The tools that may be called before any was; None leaves it to the model."""
    whole: Call | None = None
    """The call that is known to bring the answer: it is made first, and told as it comes."""
    reply: str | None = None
    """What is said where no tool is called first; None leaves it to the model."""
    steps: list[Step] = field(default_factory=list)
    stopped: str | None = None
    fallback: bool = False
    usage: Usage = field(default_factory=Usage)
    partial: str = ""
    raw: str = ""
    messages: list[BaseMessage] = field(default_factory=list)
    cancelled: threading.Event = field(default_factory=threading.Event)
    connection: Callable[[], None] | None = None
    """Breaks the connection to the model's server on which the run waits, where there is one."""

    def begin(self) -> None:
        """Start the clock: loading a model is not part of a question's budget."""
        self.started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Tell how long the run has taken."""
        return time.monotonic() - self.started

    @property
    def left(self) -> float:
        """Tell how many seconds of the budget are left; below zero where it is overspent."""
        return self.timeout_s - self.seconds

    @property
    def over(self) -> bool:
        """Tell whether the model should stop: nobody listens, or the time is up."""
        return self.cancelled.is_set() or self.out_of_time

    @property
    def out_of_time(self) -> bool:
        """Tell whether the whole budget is spent."""
        return self.seconds >= self.timeout_s

    @property
    def little_time(self) -> bool:
        """Tell whether what is left should go into the answer."""
        return self.seconds >= LAST_ANSWER_SHARE * self.timeout_s

    @property
    def sources(self) -> tuple[Source, ...]:
        """List the sources found so far by number."""
        found = {source.number: source for step in self.steps for source in step.sources}
        return tuple(found[number] for number in sorted(found))

    def cancel(self) -> None:
        """End the run from another thread, though the model does not answer."""
        self.cancelled.set()
        self.hang_up()

    def hang_up(self) -> None:
        """Break the connection on which the run waits."""
        if self.connection:
            self.connection()

    def check(self) -> None:
        """Raise RunCancelledError where the model should stop writing."""
        if self.over:
            raise RunCancelledError

    def count(self, prompt_tokens: int, completion_tokens: int) -> None:
        """Add one model call."""
        self.usage = replace(
            self.usage,
            prompt_tokens=self.usage.prompt_tokens + prompt_tokens,
            completion_tokens=self.usage.completion_tokens + completion_tokens,
            model_calls=self.usage.model_calls + 1,
        )

    def count_malformed(self) -> None:
        """Add one tool call that could not be read as it was written."""
        self.usage = replace(self.usage, malformed_calls=self.usage.malformed_calls + 1)

    def has_asked(self, tool: str, arguments: Mapping[str, Any]) -> bool:
        """Tell whether this very call was made before in this run."""
        wanted = (tool, canonical(arguments))
        return any((step.tool, canonical(step.arguments)) == wanted for step in self.steps)


def canonical(value: Any) -> Any:
    """Reduce arguments to what makes two calls the same: case, blanks and order do not."""
    if isinstance(value, Mapping):
        return tuple(sorted((str(key), canonical(item)) for key, item in value.items()))
    return " ".join(str(value).lower().rstrip("?!. ").split())
