"""Record: the outcomes of an evaluation so far, a line each, so that a stopped one goes on."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from os import SEEK_END
from pathlib import Path
from typing import Any

from agentlab.evaluation import Asked, Outcome
from agentlab.starter.exam import Case, case_of

SHAPE = 2
"""Raised whenever lines written before cannot stand beside new ones."""


class Record:
    """Outcomes in a JSONL file; what cannot be read or has another shape is left out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def outcomes(self) -> list[Outcome]:
        """Read the outcomes."""
        return [each for each in map(_outcome, self._lines()) if each is not None]

    def left_out(self) -> int:
        """Count the lines that are cut short or of another shape."""
        return sum(_outcome(line) is None for line in self._lines())

    def add(self, outcome: Outcome) -> None:
        """Append an outcome, in one write, so that several processes may."""
        line = json.dumps({"shape": SHAPE, **asdict(outcome)}, ensure_ascii=False)
        with self.path.open("ab+", buffering=0) as file:
            # A line that a kill cut off must not take this one with it.
            file.seek(max(0, file.seek(0, SEEK_END) - 1))
            start = "\n" if file.read(1) not in (b"", b"\n") else ""
            rest = f"{start}{line}\n".encode()
            while rest:  # a write may take a part only, as on a disk that is nearly full
                rest = rest[file.write(rest) :]

    def missing(self, cases: Sequence[Case], *, model: str, build: str, part: str) -> list[Case]:
        """Give the cases that have no outcome yet."""
        wanted = (model, build, part)
        done = {
            each.case for each in self.outcomes() if (each.model, each.build, each.part) == wanted
        }
        return [case for case in cases if case not in done]

    def _lines(self) -> list[bytes]:
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:  # splitlines() would cut within a text
            return list(file)


def _outcome(line: bytes) -> Outcome | None:
    try:
        return _read(json.loads(line))
    except (ValueError, KeyError, TypeError):
        return None


def _read(row: dict[str, Any]) -> Outcome:
    if row.pop("shape") != SHAPE:
        raise ValueError("the line has another shape")
    marks = {name: (right, of) for name, (right, of) in row["marks"].items()}
    steps = tuple(Asked(**step) for step in row["steps"])
    return Outcome(**{**row, "case": case_of(row["case"]), "marks": marks, "steps": steps})
