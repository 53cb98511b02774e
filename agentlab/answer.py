"""Answers and the typed events on the way to one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ingest.documents import place
from ingest.evidence import Evidence
from ingest.lists import FoundList

_NEAR = 0.03
"""How likely a passage must be to answer, so that a person may want to look at it all the same."""


@dataclass(frozen=True)
class Source:
    """A numbered passage that the model was shown: a page of a document or a web result.

    `text` is the whole passage; `shown` the part the model saw, with its marks, and `sentences` the
    sentences of that part without marks; `best` is the one of them that answers best of all shown,
    else None, and `likely` the words of it in which a reader found the answer; `rival` is a
    sentence that a reader takes for the answer about as well, and `listed` the list that the
    question asks for; `score` is how likely the passage is to answer, 0..1, where a reader told.
    `location` is the file's path or the page's address. `page_label` is what the page calls itself
    where that is not its number. `recorded` is the date of a recorded web result.
    """

    number: int
    kind: Literal["page", "web"]
    title: str
    text: str
    shown: str
    location: str
    heading: str = ""
    page: int | None = None
    start: int | None = None
    end: int | None = None
    recorded: str | None = None
    sentences: tuple[str, ...] = ()
    best: str | None = None
    likely: str | None = None
    rival: str | None = None
    listed: FoundList | None = None
    score: float | None = None
    page_label: str = ""

    @property
    def place(self) -> str:
        """Name the page or part, as it is cited; nothing else has one."""
        return place(self.location, self.page, self.page_label) if self.page else ""

    @property
    def label(self) -> str:
        """Name the source as a person would: title and page or part, or title and site."""
        if self.kind == "page":
            return ", ".join(filter(None, (self.title, self.place)))
        suffix = f" (recorded {self.recorded})" if self.recorded else ""
        return f"{self.title}{suffix}"


@dataclass(frozen=True)
class Citation:
    """A claim, the words quoted for it, the source, and whether the source holds them."""

    source: Source
    quote: str
    claim: str
    supported: bool

    @property
    def words(self) -> str:
        """Give what is compared with the source: the quote, or the claim that stands alone."""
        return self.quote or self.claim


@dataclass(frozen=True)
class Step:
    """One tool call: what was asked, what came back, how long it took in seconds."""

    tool: str
    arguments: Mapping[str, Any]
    observation: str
    sources: tuple[Source, ...] = ()
    error: bool = False
    seconds: float = 0.0


@dataclass(frozen=True)
class Usage:
    """Tokens and calls that an answer cost; `malformed_calls` had to be mended or written again."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    model_calls: int = 0
    malformed_calls: int = 0


@dataclass(frozen=True)
class Answer:
    """What the agent says, what it rests on, and what it took.

    `raw` is the model's own last message; `text` the answer in it. `stopped` names the budget that
    ended the run early ("steps", "time", "repeat", "interrupted"), is "empty" where the model gave
    no answer, else None.
    """

    question: str
    text: str
    raw: str
    citations: tuple[Citation, ...] = ()
    sources: tuple[Source, ...] = ()
    steps: tuple[Step, ...] = ()
    evidence: Evidence | None = None
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    model: str = ""
    abstained: bool = False
    stopped: str | None = None
    thread: str = ""
    run: str = ""

    @property
    def supported(self) -> bool:
        """Tell whether the answer cites something and every citation was found in its source."""
        return bool(self.citations) and all(each.supported for each in self.citations)

    @property
    def confidence(self) -> float | None:
        """Tell how likely the passage that is quoted first is to answer, 0..1, by the reader.

        None where nothing is quoted, or where no reader has read it.
        """
        scores = (each.source.score for each in self.citations if each.quote)
        return next(scores, None)

    @property
    def nearest(self) -> Source | None:
        """Give the source whose `best` sentence came nearest, where none was sure enough to answer.

        None where the agent did answer, and where nothing found comes near.
        """
        if not self.abstained:
            return None
        near = [each for each in self.sources if each.best and (each.score or 0.0) >= _NEAR]
        return max(near, key=lambda each: each.score or 0.0, default=None)


@dataclass(frozen=True)
class EvidenceSeen:
    """The index was probed with the question before the model decided."""

    evidence: Evidence


@dataclass(frozen=True)
class Thought:
    """Words that the model wrote beside a tool call, or a guard's remark."""

    text: str


@dataclass(frozen=True)
class ToolCalled:
    """The model called a tool."""

    tool: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Observed:
    """A tool answered."""

    step: Step


@dataclass(frozen=True)
class Token:
    """A piece of the answer as it is written."""

    text: str


@dataclass(frozen=True)
class Cited:
    """A citation was checked."""

    citation: Citation


@dataclass(frozen=True)
class Answered:
    """The end of a run."""

    answer: Answer


Event = EvidenceSeen | Thought | ToolCalled | Observed | Token | Cited | Answered
