"""Run: passage after passage drafted, verified and written, so that a stopped run goes on."""

import hashlib
import json
import os
import random
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from agentlab.errors import SettingsError, UserError
from agentlab.synthesis.items import Refused, verify
from agentlab.synthesis.rows import Builder, Row
from agentlab.synthesis.writing import Drafted, Maker, Usage
from finetune.data.writing import to_jsonl, write_rows
from ingest.documents import Chunk

_LEAST_WORDS = 8
REMEDY = (
    "Ask a larger model (--model, --base-url), or make them by rules from the sentences "
    "(--questions sentences)."
)
"""What helps where a model's questions do not hold."""


@dataclass(frozen=True)
class Plan:
    """What is made: `settings` names everything that decides it, for a run that goes on.

    The run gives up where `patience` passages in a row give no row.
    """

    out: Path
    count: int
    seed: int
    parallel: int
    settings: Mapping[str, Any]
    patience: int | None = None

    @property
    def progress(self) -> Path:
        """Name the file that holds what is done until all is."""
        return self.out.with_name(f"{self.out.name}.progress")


@dataclass(frozen=True)
class Wrote:
    """So many rows of those wanted are made, of so many passages."""

    rows: int
    wanted: int
    passages: int
    refused: int


@dataclass(frozen=True)
class Synthesised:
    """What a run made, what it refused for which reason, and what it took.

    `gave_up` says that so many passages in a row gave nothing, and that the rest was not asked of.
    """

    rows: int
    passages: int
    refused: dict[str, int]
    usage: Usage
    resumed: int = 0
    gave_up: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)


@dataclass
class _Done:
    rows: list[Row] = field(default_factory=list)
    passages: set[str] = field(default_factory=set)
    questions: set[str] = field(default_factory=set)
    refused: Counter[str] = field(default_factory=Counter)
    usage: Usage = field(default_factory=Usage)
    barren: int = 0

    def take(self, line: Mapping[str, Any]) -> None:
        self.barren = 0 if line["rows"] else self.barren + 1
        self.rows += line["rows"]
        self.passages.add(line["passage"])
        self.questions.update(line["questions"])
        self.refused.update(line["refused"])
        self.usage += Usage(**line["usage"])


def synthesise(
    chunks: Iterable[Chunk], *, make: Maker, build: Builder, plan: Plan
) -> Iterator[Wrote | Synthesised]:
    """Make rows of passages, drawn by the seed, until there are `plan.count` or none is left.

    What is done of each passage is kept in `plan.progress` at once; a run that was stopped, even by
    kill -9, goes on there and asks nothing twice, and its rows are those of a run that was not.
    Raises SettingsError where a run is to go on with other settings, UserError where nothing could
    be made, or not enough for the run's patience.
    """
    drawn = draw(chunks, plan.seed)
    if not drawn:
        raise UserError("The library has no passages: run agentlab ingest PATH first.")
    done = _resume(plan)
    resumed = len(done.passages)
    left = [chunk for chunk in drawn if chunk.id not in done.passages]
    with _opened(plan) as file, closing(_drafted(left, make, plan.parallel)) as drafted:
        if len(done.rows) < plan.count:
            for chunk, made in drafted:
                line = _line(chunk, made, build, done.questions, plan)
                file.write(to_jsonl(line))
                file.flush()
                os.fsync(file.fileno())
                done.take(line)
                yield Wrote(len(done.rows), plan.count, len(done.passages), done.refused.total())
                if len(done.rows) >= plan.count or done.barren == plan.patience:
                    break
    if not done.rows:
        plan.progress.unlink()
        reasons = ", ".join(f"{why} ({count})" for why, count in done.refused.most_common(5))
        raise UserError(
            f"Nothing could be verified in {len(done.passages)} passages: {reasons or 'no drafts'}."
            f" {REMEDY}"
        )
    rows = done.rows[: plan.count]
    write_rows(plan.out, rows)
    plan.progress.unlink()
    barren = done.barren if len(rows) < plan.count and done.barren == plan.patience else 0
    yield Synthesised(
        len(rows), len(done.passages), dict(done.refused), done.usage, resumed, barren
    )


def draw(chunks: Iterable[Chunk], seed: int) -> list[Chunk]:
    """Put the passages that say something in an order that the seed alone decides."""
    worth = (chunk for chunk in chunks if len(chunk.text.split()) >= _LEAST_WORDS)
    return sorted(worth, key=lambda chunk: hashlib.sha256(f"{seed}\0{chunk.id}".encode()).digest())


def _drafted(
    chunks: Sequence[Chunk], make: Maker, parallel: int
) -> Generator[tuple[Chunk, Drafted], None, None]:
    """Draft passages, some ahead in threads, and give them in order."""
    if parallel == 1:
        yield from ((chunk, make(chunk)) for chunk in chunks)
        return
    waiting: list[tuple[Chunk, Future[Drafted]]] = []
    rest = iter(chunks)
    pool = ThreadPoolExecutor(parallel)
    try:
        waiting = [(chunk, pool.submit(make, chunk)) for chunk in islice(rest, parallel)]
        while waiting:
            chunk, future = waiting.pop(0)
            made = future.result()
            waiting += [(each, pool.submit(make, each)) for each in islice(rest, 1)]
            yield chunk, made
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _line(
    chunk: Chunk, made: Drafted, build: Builder, asked: set[str], plan: Plan
) -> dict[str, Any]:
    """Verify the drafts of a passage and build their rows."""
    rows: list[Row] = []
    questions: list[str] = []
    refused = Counter(made.refused)
    rng = random.Random(f"{plan.seed} {chunk.id}")
    for draft in made.drafts:
        question = " ".join(draft.question.casefold().split())
        if question in asked or question in questions:
            refused["asked before"] += 1
            continue
        try:
            row = build(verify(draft, chunk), rng)
        except Refused as why:
            refused[str(why)] += 1
            continue
        questions.append(question)
        rows.append({**row, "made": plan.settings["made"]})
    return {
        "passage": chunk.id,
        "rows": rows,
        "questions": questions,
        "refused": dict(refused),
        "usage": asdict(made.usage),
    }


def _resume(plan: Plan) -> _Done:
    """Read what an earlier run has done; a line that kill -9 cut off is left out."""
    done = _Done()
    if not plan.progress.exists():
        return done
    with plan.progress.open(encoding="utf-8") as file:  # splitlines() would cut within a text
        head, *lines = list(file) or [""]
    whole = [head] if head.endswith("\n") else []
    if whole and json.loads(head) != _head(plan):
        raise SettingsError(
            f"{plan.progress} holds a run with other settings. Run the command as it was to go on, "
            "delete that file to begin anew, or give another --out."
        )
    for line in lines:
        if line.endswith("\n"):
            done.take(json.loads(line))
            whole.append(line)
    write_text(plan.progress, "".join(whole))
    return done


def write_text(path: Path, text: str) -> None:
    """Write a small file, whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def _opened(plan: Plan) -> TextIO:
    plan.progress.parent.mkdir(parents=True, exist_ok=True)
    file = plan.progress.open("a", encoding="utf-8")
    if file.tell() == 0:
        file.write(to_jsonl(_head(plan)))
    return file


def _head(plan: Plan) -> dict[str, Any]:
    head: dict[str, Any] = json.loads(to_jsonl({**plan.settings, "seed": plan.seed}))
    return head
