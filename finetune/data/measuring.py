"""Measures: how many rows of which kind there are, how long they are, and what is in them."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from finetune.data.content import content_of
from finetune.data.duplicates import exact_key
from finetune.data.files import Fault
from finetune.data.kinds import SHAPES, Kind
from finetune.data.reading import Known, known_rows
from finetune.data.rows import LINEAGE, Conversation, Row

PERCENTILES = (5, 25, 50, 75, 95, 100)


@dataclass
class Checked:
    """What a look at all rows found."""

    rows: int = 0
    kinds: Counter[Kind] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)

    @property
    def methods(self) -> tuple[str, ...]:
        """Name the methods that learn from these rows together, in their order of fitness."""
        lists = [SHAPES[kind].methods for kind in self.kinds]
        return (
            tuple(name for name in lists[0] if all(name in each for each in lists[1:]))
            if (lists)
            else ()
        )

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        faults = [asdict(fault) for fault in self.faults]
        found = {"rows": self.rows, "kinds": dict(self.kinds), "methods": list(self.methods)}
        return {**found, "faults": faults}


@dataclass(frozen=True)
class Measures:
    """What there is in some rows.

    `lengths` has the percentiles of PERCENTILES, under "asked", "answered", "context" (in words)
    and "tokens" (of whole rows). `duplicates` counts rows that say word for word what an earlier
    one says.
    """

    rows: int
    faults: int
    kinds: dict[str, int]
    lengths: dict[str, tuple[int, ...]]
    totals: dict[str, int]
    roles: dict[str, int]
    tools: dict[str, int]
    labels: dict[str, int]
    lineage: dict[str, int]
    duplicates: int

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return {**asdict(self), "percentiles": list(PERCENTILES)}


def check(paths: Iterable[Path]) -> Checked:
    """Look at every row of the files."""
    found = Checked()
    for each in known_rows(paths):
        if isinstance(each, Fault):
            found.faults.append(each)
        else:
            found.kinds[each.kind] += 1
        found.rows += 1
    return found


def measure(paths: Iterable[Path], *, count_tokens: Callable[[Any], int] | None = None) -> Measures:
    """Measure all rows that hold."""
    taken = _Taken()
    for each in known_rows(paths):
        if isinstance(each, Fault):
            taken.faults += 1
        else:
            taken.add(each)
            if count_tokens:
                taken.lengths.setdefault("tokens", []).append(count_tokens(each.row))
    return taken.measures()


def percentiles(values: Sequence[int]) -> tuple[int, ...]:
    """Give the values below which the shares of PERCENTILES lie, by the nearest rank."""
    ordered = sorted(values)
    last = len(ordered) - 1
    return tuple(ordered[min(last, -(-share * len(ordered) // 100) - 1)] for share in PERCENTILES)


class _Taken:
    """What has been counted so far."""

    def __init__(self) -> None:
        self.faults = 0
        self.kinds: Counter[str] = Counter()
        self.lengths: dict[str, list[int]] = {}
        self.roles: Counter[str] = Counter()
        self.tools: Counter[str] = Counter()
        self.labels: Counter[str] = Counter()
        self.lineage: Counter[str] = Counter()
        self.seen: set[bytes] = set()

    def add(self, known: Known) -> None:
        row, content = known.row, content_of(known.row)
        self.kinds[known.kind] += 1
        for name, text in asdict(content).items():
            if text:
                self.lengths.setdefault(name, []).append(len(text.split()))
        self.seen.add(exact_key(content))
        if isinstance(row, Conversation):
            self.roles.update(message["role"] for message in row.messages)
            self.tools.update(_called(row))
        if isinstance(row, Row):
            self.lineage.update(name for name in LINEAGE if name in row.lineage)
        if hasattr(row, "label"):
            self.labels[str(row.label)] += 1

    def measures(self) -> Measures:
        rows = sum(self.kinds.values())
        return Measures(
            rows=rows,
            faults=self.faults,
            kinds=dict(self.kinds),
            lengths={name: percentiles(values) for name, values in self.lengths.items()},
            totals={name: sum(values) for name, values in self.lengths.items()},
            roles=dict(self.roles),
            tools=dict(self.tools),
            labels=dict(self.labels),
            lineage=dict(self.lineage),
            duplicates=rows - len(self.seen),
        )


def _called(row: Conversation) -> Iterator[str]:
    for message in row.messages:
        for call in message.get("tool_calls") or ():
            function = call.get("function") if isinstance(call, dict) else None
            yield str(function.get("name", "?")) if isinstance(function, dict) else "?"
