"""Situation: what an adviser must know before it can advise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from finetune.amounts import counted
from finetune.data.kinds import Kind
from finetune.duration import Speed, speed_of
from finetune.hardware import Hardware
from finetune.shape import ModelShape

Behaviour = Literal["facts", "language", "task", "tools", "preference", "reward", "unclear"]
"""What shall be better: knowing what documents say, the language of a field, one kind of task, the
use of tools, answers that people like more, or what a function can check."""

Uplift = Literal["some", "clear", "best"]
Licence = Literal["open", "terms", "any"]
FoundKind = Kind | Literal["document"]

NOUNS: Mapping[FoundKind, str] = {
    "conversation": "conversations",
    "instruction": "instructions",
    "text": "texts",
    "pair": "pairs",
    "label": "labels",
    "ranking": "rankings",
    "prompt": "prompts",
    "document": "documents",
    "question": "questions",
    "route": "labelled texts",
}


@dataclass(frozen=True)
class Found:
    """The rows of one kind that lie on the disk, or documents; lengths are in tokens, about.

    `learned` is the share of the tokens that a model learns to write; `good` counts the labels that
    are true.
    """

    kind: FoundKind
    rows: int
    tokens: int
    longest: int = 0
    duplicates: int = 0
    faults: int = 0
    learned: float = 1.0
    good: int = 0
    tool_calls: int = 0
    paths: tuple[str, ...] = ()

    @property
    def unique(self) -> int:
        """Return the rows that are not the same as an earlier one."""
        return self.rows - self.duplicates


@dataclass(frozen=True)
class Goal:
    """What is wanted: which behaviour, how much better, and whether other skills may be lost."""

    behaviour: Behaviour = "unclear"
    uplift: Uplift = "clear"
    may_forget: bool = False
    words: str = ""


@dataclass(frozen=True)
class Start:
    """The model that the person wants to begin with; `base` where it was not tuned to chat."""

    name: str
    shape: ModelShape
    base: bool = False


@dataclass(frozen=True)
class Situation:
    """What lies on the disk, what is wanted, on which machine, and within which limits.

    `speed` is the machine's where it was measured; else it is looked up.
    """

    found: tuple[Found, ...]
    goal: Goal
    hardware: Hardware
    start: Start | None = None
    licence: Licence = "open"
    hours: float = 8.0
    speed: Speed | None = None

    @property
    def pace(self) -> Speed:
        """Return the speed, measured or looked up."""
        return self.speed or speed_of(self.hardware)

    def pace_of(self, gpus: int) -> Speed:
        """Return the speed of so many of the GPUs, or of the CPU where there is none."""
        if gpus >= len(self.hardware.gpus):
            return self.pace
        return speed_of(replace(self.hardware, gpus=self.hardware.gpus[:gpus]))

    def of(self, *kinds: FoundKind) -> tuple[Found, ...]:
        """Return what was found of some kinds."""
        return tuple(each for each in self.found if each.kind in kinds)

    def rows(self, *kinds: FoundKind) -> int:
        """Count the different rows of some kinds."""
        return sum(each.unique for each in self.of(*kinds))

    def tokens(self, *kinds: FoundKind) -> int:
        """Count the tokens of some kinds, about."""
        return sum(each.tokens for each in self.of(*kinds))

    def count(self, *kinds: FoundKind) -> str:
        """Say how many different rows there are of some kinds, or of all."""
        parts = [
            counted(each.unique, NOUNS[each.kind])
            for each in self.found
            if not kinds or each.kind in kinds
        ]
        return " and ".join(parts) or f"no {' or '.join(NOUNS[kind] for kind in kinds)}"


@dataclass(frozen=True)
class Reason:
    """Why: the rule that spoke, what it says, and the fact that made it speak."""

    rule: str
    says: str
    fact: str


@dataclass(frozen=True)
class Stage:
    """One tuning of a plan: its method, rows and settings, and what it is expected to take.

    `memory` is in bytes.
    """

    method: str
    data: tuple[str, ...]
    settings: Mapping[str, object] = field(default_factory=dict)
    tokens: int = 0
    memory: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Advice:
    """What to do: retrieve, show examples in the prompt, tune in stages; with which model, and why.

    `cautions` say what would make the advice better, or what it leaves open.
    """

    retrieve: bool
    few_shot: bool
    model: str
    licence: str
    stages: tuple[Stage, ...]
    between: Literal["continue", "merge"]
    reasons: tuple[Reason, ...]
    cautions: tuple[Reason, ...]
    device_memory: int

    @property
    def methods(self) -> tuple[str, ...]:
        """Return the stages' methods in their order."""
        return tuple(stage.method for stage in self.stages)

    @property
    def memory(self) -> int:
        """Return the bytes of the largest stage."""
        return max((stage.memory for stage in self.stages), default=0)

    @property
    def seconds(self) -> float:
        """Return the time of all stages."""
        return sum(stage.seconds for stage in self.stages)

    @property
    def headline(self) -> str:
        """Say it in one line."""
        parts: list[str] = []
        if self.retrieve:
            parts.append("retrieve from the documents")
        if self.few_shot:
            parts.append("show examples in the prompt")
        if self.stages:
            parts.append(f"tune: {' -> '.join(self.methods)}")
        said = ", and ".join(parts) or "use the model as it is"
        return said[0].upper() + said[1:] + ("." if self.stages else "; do not tune.")

    def rules(self) -> Sequence[str]:
        """Return the names of the rules that spoke, cautions last."""
        return [each.rule for each in (*self.reasons, *self.cautions)]
