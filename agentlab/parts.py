"""Parts: what an agent is made of, each opened when it is first needed."""

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cached_property, wraps
from types import TracebackType
from typing import Any, Self, TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from agentlab.journal import Journal
from agentlab.library import open_collection, open_router
from agentlab.memory import Memory
from agentlab.model import OpenModel, open_model
from agentlab.probing import Wording
from agentlab.prompts import LIST_DOCUMENTS, TOOLS
from agentlab.resolving import load_settings, with_changes
from agentlab.router import Kinds
from agentlab.settings import Settings
from agentlab.tools.contents import contents_tool
from agentlab.tools.documents import document_tool
from agentlab.tools.providers import Provider, choose_provider
from agentlab.tools.sources import SourceBook
from agentlab.tools.web import web_tool
from ingest.collection import Collection

Part = TypeVar("Part")


def _opened_once(open_part: Callable[["Parts"], Part]) -> "cached_property[Part]":
    """Make a part that the first thread opens while the others wait for it."""

    @wraps(open_part)
    def opened(owner: "Parts") -> Part:
        parts, name = vars(owner), open_part.__name__
        with owner.opening:
            if name not in parts:
                parts[name] = open_part(owner)
            part: Part = parts[name]
            return part

    return cached_property(opened)


class Parts:
    """Settings, library, model, router, memory, journal and tools; threads may share them."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        chat: BaseChatModel | None = None,
        collection: Collection | None = None,
        provider: Provider | None = None,
        router: Kinds | None = None,
        tools: Sequence[BaseTool] = (),
        progress: Callable[[str], None] | None = None,
        **overrides: Any,
    ) -> None:
        if settings is None:
            settings = load_settings(overrides).settings
        elif overrides:
            settings = with_changes(settings, **overrides)
        self.settings = settings
        self._chat = chat
        self._collection = collection
        self._provider = provider
        self._router = router
        self._own_tools = tuple(tools)
        self._progress = progress
        self.opening = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close whatever was opened: the library, the model's server, the journal, the memory."""
        opened = self.__dict__
        with ExitStack() as closing:  # one that cannot be closed leaves none of the others open
            for name in ("memory", "journal", "model", "collection"):
                part = opened.pop(name, None)
                if part is not None and part is not self._collection:
                    closing.callback(part.close)

    @_opened_once
    def collection(self) -> Collection:
        """The library."""
        return self._collection or open_collection(self.settings, progress=self._progress)

    @_opened_once
    def model(self) -> OpenModel:
        """The language model."""
        if self._chat is not None:
            return OpenModel(self._chat, self._chat.name or type(self._chat).__name__, "own")
        return open_model(self.settings, progress=self._progress)

    @_opened_once
    def router(self) -> Kinds | None:
        """What tells where to look first; None where the settings leave it to the model."""
        if self._router is not None or not self.settings.routed:
            return self._router
        return open_router(self.settings, progress=self._progress)

    @_opened_once
    def memory(self) -> Memory:
        """The conversations."""
        return Memory(self.settings.memory_path)

    @_opened_once
    def journal(self) -> Journal | None:
        """The journal; None where it is switched off."""
        return Journal(self.settings.journal_path) if self.settings.journal else None

    def schemas(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Give the tools as the model is shown them: the starter sees those it was trained with."""
        every = TOOLS if self.settings.model == "starter" else [*TOOLS, LIST_DOCUMENTS]
        own = [convert_to_openai_tool(each) for each in self._own_tools]
        return [each for each in every if each["function"]["name"] in names] + own

    def tools(self, asked: Wording) -> list[BaseTool]:
        """Build the tools of one question; the searches share a numbering."""
        settings, library, book = self.settings, self.collection, SourceBook()
        shown: Any = {"passages": settings.passages, "passage_words": settings.passage_words}
        searches = [document_tool(library, book, asked=asked, **shown)]
        provider = self._provider or choose_provider(settings)
        if provider:
            searches.append(web_tool(provider, library, book, asked=asked, **shown))
        return [*searches, contents_tool(library.card), *self._own_tools]
