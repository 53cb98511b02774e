"""A fake agent that replays events, for tests of what is drawn and typed."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from types import SimpleNamespace

from agentlab.answer import (
    Answer,
    Answered,
    Citation,
    Event,
    EvidenceSeen,
    Observed,
    Source,
    Step,
    Token,
    ToolCalled,
    Usage,
)
from agentlab.errors import BackendDownError, UnknownThreadError
from agentlab.memory import Conversation
from agentlab.model import OpenModel
from agentlab.settings import Settings
from ingest.evidence import Evidence

PAGE = Source(
    number=1,
    kind="page",
    title="Travel Handbook",
    text="Employees may book up to three nights without approval. Longer stays need a form.",
    shown="» Employees may book up to three nights without approval.",
    location="/papers/travel.pdf",
    heading="Hotels",
    page=7,
)
WEB = Source(
    number=2,
    kind="web",
    title="Fares today",
    text="The fare is 40 euros.",
    shown="The fare is 40 euros.",
    location="https://example.org/fares",
    recorded="2026-11-01",
)
GOOD = Citation(PAGE, "Employees may book up to three nights without approval.", "Three", True)
BAD = Citation(WEB, "The fare is 50 euros.", "50 euros", False)
STEP = Step("search_documents", {"query": "hotel nights"}, "Evidence: strong", (PAGE,), seconds=0.2)
FOUND = Evidence("strong", 0.9, ("Travel Handbook > Hotels",))


def answer(question: str = "How many nights?", **changes: object) -> Answer:
    """Make an answer that rests on one good quote."""
    plain = Answer(
        question=question,
        text="Three nights [1]",
        raw='"Employees may book up to three nights without approval." [1]\nAnswer: Three [1]',
        citations=(GOOD,),
        sources=(PAGE,),
        steps=(STEP,),
        evidence=FOUND,
        usage=Usage(1200, 34, 2),
        seconds=4.21,
        model="starter",
        thread="thread-1",
        run="run-1",
    )
    return replace(plain, **changes)


def events(given: Answer) -> list[Event]:
    """Tell how an answer came about."""
    tokens = [Token(each) for each in given.raw.split(" ")]
    call = ToolCalled(STEP.tool, STEP.arguments)
    return [EvidenceSeen(FOUND), call, Observed(STEP), *tokens, Answered(given)]


@dataclass
class FakeAgent:
    """Answers from a queue of events, exceptions among them."""

    settings: Settings
    script: list[Event | BaseException] | None = None
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    said: list[tuple[object, ...]] = field(default_factory=list)
    known: list[Conversation] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    closed: bool = False
    stream_closed: bool = False

    def __enter__(self) -> "FakeAgent":
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True
        if "model" in vars(self):
            self.model.close()

    @property
    def collection(self) -> SimpleNamespace:
        return SimpleNamespace(card=SimpleNamespace(documents=3, pages=36))

    @property
    def memory(self) -> "FakeAgent":
        return self

    @cached_property
    def model(self) -> OpenModel:
        if self.settings.model == "broken":
            raise BackendDownError("broken does not answer: start it.")
        name = self.settings.model
        self.models.append(f"{name} opens")
        close = partial(self.models.append, f"{name} closes")
        return OpenModel(None, name, self.settings.engine, close=close)  # type: ignore[arg-type]

    def threads(self, limit: int = 50) -> list[Conversation]:
        return self.known[:limit]

    def feedback(self, given: Answer, kind: str, *, text: str | None = None) -> None:
        self.said.append((given.run, kind, text))

    def conversation(self, thread: str) -> Conversation:
        for each in self.known:
            if each.thread == thread:
                return each
        raise UnknownThreadError(f"There is no conversation {thread!r}.")

    def stream(self, question: str, *, thread: str | None = None) -> Iterator[Event]:
        self.asked.append((question, thread))
        try:
            for event in self.script or events(answer(question)):
                if isinstance(event, BaseException):
                    raise event
                yield event
        finally:
            self.stream_closed = True
