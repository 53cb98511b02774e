"""Event: what a training run tells while it goes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Started:
    """The run begins on rows of a kind; `left_out` names those longer than the model is to see.

    `continued` names the adapter that is trained further, if one is.
    """

    rows: int
    kind: str
    tokens: int
    learned_tokens: int
    left_out: tuple[str, ...]
    steps: int
    first_step: int
    trainable: int
    parameters: int
    continued: str | None = None


@dataclass(frozen=True)
class ReaderStarted:
    """The run of a reader begins; `left_out` names the rows whose answer would be cut off."""

    rows: int
    answered: int
    tokens: int
    left_out: tuple[str, ...]
    steps: int
    first_step: int
    trainable: int
    parameters: int


@dataclass(frozen=True)
class RouterStarted:
    """The run of a router begins; `labels` says how many rows each label has."""

    rows: int
    labels: Mapping[str, int]
    tokens: int
    steps: int
    first_step: int
    trainable: int
    parameters: int


@dataclass(frozen=True)
class RetrieverStarted:
    """The run of a retriever begins on queries and `texts`, of which `negatives` are named."""

    rows: int
    texts: int
    negatives: int
    tokens: int
    steps: int
    first_step: int
    trainable: int
    parameters: int


@dataclass(frozen=True)
class Progress:
    """One step is done; `seconds_left` is an estimate, `memory` the peak so far in bytes.

    `measures` are what the method tells beside its loss, such as rewards.
    """

    step: int
    steps: int
    loss: float
    learning_rate: float
    tokens: int
    tokens_per_second: float
    seconds_left: float
    memory: int
    measures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluated:
    """The mean loss over the held-out rows' learned tokens, or over the held-out rows.

    `measures` are what else was measured on them, such as rewards; a method that is judged by
    these alone has no loss.
    """

    step: int
    loss: float | None
    measures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Saved:
    """A checkpoint that the run can be continued from is whole on the disk."""

    step: int
    folder: Path


@dataclass(frozen=True)
class Comparing:
    """The run is done and safe; another kind of adapter is trained the same way beside it."""

    tuner: str
    progress: Progress


@dataclass(frozen=True)
class Compared:
    """The numbers of each kind of adapter, the run's own first, by the name of the tuner."""

    table: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Finished:
    """The adapter, the reader, the router or the embedder lies in `folder`."""

    folder: Path
    metrics: Mapping[str, Any]


Begun = Started | ReaderStarted | RouterStarted | RetrieverStarted
"""A run of any kind begins."""

Event = Begun | Progress | Evaluated | Saved | Comparing | Compared | Finished
