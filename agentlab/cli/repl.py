"""The REPL: a conversation in the terminal, one line at a time."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import TYPE_CHECKING, Any, Self

from rich.text import Text

from agentlab.answer import Answer, Source
from agentlab.cli.failures import explain
from agentlab.cli.lines import Lines
from agentlab.cli.slash import COMMANDS
from agentlab.console import RunScreen, clean, print_line
from agentlab.errors import INTERRUPTED, OK
from agentlab.resolving import with_changes
from agentlab.settings import Settings
from ingest.amounts import count

if TYPE_CHECKING:
    from rich.console import Console

    from agentlab.agent import Agent
    from agentlab.model import OpenModel

LEAVE_WITHIN_S = 2.0
LEAVING_WORDS = ("exit", "quit")


class Repl:
    """One conversation: the agent, its thread, and what was said since the start."""

    def __init__(
        self,
        settings: Settings,
        *,
        screen: "Console",
        open_agent: Callable[[Settings], "Agent"],
        thread: str | None = None,
    ) -> None:
        self.settings = settings
        self.screen = screen
        self.thread = thread
        self.answers: list[Answer] = []
        self.sources: dict[int, Source] = {}
        self.last_question = ""
        self._open_agent = open_agent
        self._stack = ExitStack()
        self.agent = self._stack.enter_context(open_agent(settings))
        self._interrupted_at = float("-inf")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def last(self) -> Answer | None:
        """The latest answer of this session."""
        return self.answers[-1] if self.answers else None

    def run(self, lines: Lines) -> int:
        """Read and answer until the person leaves; return the exit code."""
        while True:
            try:
                if not self.handle(lines.read()):
                    return OK
            except EOFError:
                return OK
            except KeyboardInterrupt:
                if self._interrupted_again():
                    return INTERRUPTED
                self.say("Ctrl-C again to leave.")

    def handle(self, line: str) -> bool:
        """Answer one line; False ends the conversation."""
        line = line.strip()
        if line.lower() in LEAVING_WORDS:
            return False
        if not line:
            return True
        try:
            if line.startswith("/"):
                return self._command(line)
            self.ask(line)
        except Exception as error:  # noqa: BLE001 - a failed turn must not end the conversation
            self.screen.print(explain(error), style="bad", markup=False)
        return True

    def ask(self, question: str) -> None:
        """Ask the agent and draw what happens; Ctrl-C keeps what was written so far."""
        self.last_question = question
        events = self.agent.stream(question, thread=self.thread)
        drawn = RunScreen(self.screen, self.screen).draw(events)
        if drawn.interrupted:
            self._interrupted_at = time.monotonic()
            self.screen.print(drawn.partial or "", markup=False)
            self.say("Stopped. Ctrl-C again to leave.")
        if drawn.answer is not None:
            self.answers.append(drawn.answer)
            self.thread = drawn.answer.thread
            self.sources = {source.number: source for source in drawn.answer.sources}

    def say(self, text: str) -> None:
        """Print a remark of the program itself."""
        print_line(self.screen, Text(f"  {text}", style="step"))

    def waiting(self, what: str) -> AbstractContextManager[object]:
        """Show that something takes its time, on a terminal."""
        return self.screen.status(what) if self.screen.is_terminal else nullcontext()

    def change(self, **values: Any) -> None:
        """Go on with other settings; the old agent stays where the new one cannot start.

        The open model is handed over where it stays the same. One on vLLM ends before another
        starts, since a GPU holds one; where that fails, the next question starts it again.
        """
        settings = with_changes(self.settings, **values)
        opened: OpenModel | None = vars(self.agent).get("model")
        with ExitStack() as opening:
            agent = opening.enter_context(self._open_agent(settings))
            if values.keys() == {"web"}:
                if opened:
                    del self.agent.model  # so that the old agent does not close it
                    agent.model = opened
            else:
                with self.waiting("opening the model"):
                    if opened and opened.engine == "vllm":
                        _see_that_it_is_there(settings)
                        del self.agent.model
                        opened.close()
                    _ = agent.model
            self._stack.close()
            self._stack = opening.pop_all()
        self.agent, self.settings = agent, settings

    def resume(self, thread: str | None) -> None:
        """Go on with a conversation, the latest one unless it is named.

        Raises UnknownThreadError.
        """
        latest = self.agent.threads(limit=1)
        if thread is None and not latest:
            self.say("There is no conversation yet; this one is new.")
            return
        found = self.agent.memory.conversation(thread) if thread else latest[0]
        self.start_thread(found.thread)
        self.say(
            f"Going on with {found.thread} ({count(found.turns, 'turn')}): {clean(found.title)}"
        )

    def greet(self, hints: Sequence[str] = ()) -> None:
        """Say what can be asked, and what to ask first."""
        web = "web off" if self.settings.web == "off" else f"web {self.settings.web}"
        with self.waiting("opening the library"):
            library = self._library_line()
        self.say(f"{library} · {self.settings.model} · {web}")
        self.say("Ask a question, or /help.")
        for hint in hints:
            self.say(f"  try: {hint}")

    def start_thread(self, thread: str | None) -> None:
        """Go on with another conversation, or a new one."""
        self.thread = thread
        self.answers.clear()
        self.sources.clear()

    def _library_line(self) -> str:
        card = self.agent.collection.card
        if card is None or not card.documents:
            return "the library is empty: leave and run agentlab ingest PATH"
        return f"{card.documents} documents, {card.pages} pages"

    def _command(self, line: str) -> bool:
        name, _, argument = line.partition(" ")
        if name in ("/quit", "/exit"):
            return False
        matches = [each for each in COMMANDS if name in (each.name, each.alias)]
        if not matches:
            self.say(f"There is no {name}; /help lists the commands.")
            return True
        matches[0].run(self, argument.strip())
        return True

    def _interrupted_again(self) -> bool:
        before, self._interrupted_at = self._interrupted_at, time.monotonic()
        return self._interrupted_at - before < LEAVE_WITHIN_S


def _see_that_it_is_there(settings: Settings) -> None:
    """Raise what opening a model here would, before another one has to end for it."""
    from agentlab.model import choose_engine, model_folder

    if choose_engine(settings) != "openai":
        model_folder(settings.model, settings)
