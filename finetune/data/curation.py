"""Curation: rows that are worth learning from kept, the others dropped, each with its reason."""

import itertools
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from finetune.data.contamination import learn_all
from finetune.data.content import content_of, rewrite
from finetune.data.duplicates import NearDuplicates, exact_key, read_sketch
from finetune.data.files import Fault, Record, count_rows, files_in
from finetune.data.kinds import SHAPES
from finetune.data.privacy import PrivacyFilter
from finetune.data.quality import fault_of
from finetune.data.reading import Known, known_rows
from finetune.data.rows import Row
from finetune.data.unfinished import Unfinished, held
from finetune.data.writing import refuse_own_input, to_jsonl
from finetune.errors import ConfigError, ExampleError

Pii = Literal["mask", "drop", "keep"]
_EVERY = 200
_MARK_EVERY = 2000


@dataclass(frozen=True)
class Rules:
    """By which rules rows are dropped or changed; each of them can be left out.

    `near` is the Jaccard similarity from which rows are near duplicates. `against` are evaluation
    sets, of which no run of `ngram` words may be learned. `region` is of phone numbers without a
    country code. A row is too long with more than `max_tokens` tokens of `tokenizer`, which is the
    name of its model, or `max_words` words.
    """

    exact: bool = True
    near: float | None = 0.8
    quality: bool = True
    pii: Pii = "mask"
    region: str | None = None
    against: tuple[Path, ...] = ()
    ngram: int = 13
    max_tokens: int | None = None
    tokenizer: str | None = None
    max_words: int | None = None


@dataclass(frozen=True)
class Verdict:
    """What became of one row: dropped or masked, why, and what it has to do with."""

    place: str
    action: Literal["dropped", "masked"]
    reason: str
    detail: str = ""
    lineage: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Looked:
    """So many rows have been looked at, of how many where that is known, and so many kept."""

    rows: int
    kept: int
    of: int | None = None


@dataclass(frozen=True)
class Curated:
    """What a curation did: rows read and kept, and how often each reason held.

    The first `resumed` rows had been looked at by a run that was stopped.
    """

    rows: int
    kept: int
    dropped: dict[str, int]
    masked: dict[str, int]
    resumed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)


def curate(
    paths: Iterable[Path],
    out: Path,
    *,
    rules: Rules = Rules(),
    report: Path | None = None,
    count_tokens: Callable[[Any], int] | None = None,
) -> Iterator[Looked | Curated]:
    """Write the rows worth keeping to `out`, and each verdict to `report`, by default beside it.

    Rows are read one at a time, and both files take their places when all is done: a stopped run
    leaves what was there, and the same call goes on with what it had looked at, even after kill -9.
    The first of rows that say the same is kept. `max_tokens` needs `count_tokens`. Raises
    ExampleError where nothing is left, ConfigError where both files are one or are read.
    """
    # A row is known by its file and line, and a file that is named twice holds nothing new.
    files = list({path.resolve(): path for path in files_in(paths)}.values())
    report = report or out.with_suffix(".report.jsonl")
    if report.resolve() == out.resolve():
        raise ConfigError(f"{out} cannot hold both rows and verdicts. Give another --report.")
    for target in (out, report):
        refuse_own_input(target, [*files, *rules.against])
    judge = _Judge(rules, count_tokens)
    about = {"rules": asdict(rules), "files": [_state(path) for path in (*files, *rules.against)]}
    with held(out), Unfinished(out, report, about) as work:
        count, resumed, total = work.count, work.count.rows, count_rows(files)
        rows = known_rows(files)
        if resumed:
            judge.remember(itertools.islice(rows, resumed), work)
            yield Looked(resumed, count.kept, total)
        for each in rows:
            fields, verdicts = judge.look(each)
            count.rows += 1
            for verdict in verdicts:
                work.told.write(to_jsonl(asdict(verdict)).encode())
                counted = count.dropped if verdict.action == "dropped" else count.masked
                counted[verdict.reason] = counted.get(verdict.reason, 0) + 1
            if fields is not None:
                work.kept.write(to_jsonl(fields).encode())
                work.sketches.write(judge.sketch.tobytes())
                count.kept += 1
            if count.rows % _MARK_EVERY == 0:
                work.mark()
            if count.rows % _EVERY == 0:
                yield Looked(count.rows, count.kept, total)
        if not count.kept:
            work.forget()
            most = sorted(count.dropped.items(), key=lambda each: -each[1])
            reasons = ", ".join(f"{why} ({number})" for why, number in most)
            raise ExampleError(
                f"No row of {count.rows} is worth keeping: {reasons or 'no rows at all'}."
            )
        work.finish()
    yield Curated(count.rows, count.kept, count.dropped, count.masked, resumed)


def _state(path: Path) -> tuple[str, int, int]:
    found = path.stat()
    return str(path.resolve()), found.st_size, found.st_mtime_ns


class _Judge:
    """Looks at rows one by one, remembering those before."""

    def __init__(self, rules: Rules, count_tokens: Callable[[Any], int] | None) -> None:
        if rules.max_tokens is not None and count_tokens is None:
            raise ValueError("max_tokens needs count_tokens")
        self._rules = rules
        self._count_tokens = count_tokens
        self._seen: dict[bytes, str] = {}
        self._near = NearDuplicates(rules.near) if rules.near is not None else None
        self._known = learn_all(rules.against, ngram=rules.ngram)
        self.sketch = np.empty(0, np.uint32)
        keeps = rules.pii == "keep"
        self._privacy = None if keeps else PrivacyFilter(region=rules.region)

    def remember(self, rows: Iterable[Known | Fault], work: Unfinished) -> None:
        """Take in the rows that an earlier run has looked at, with what it said of them."""
        work.told.seek(0)
        told = map(json.loads, work.told)
        dropped = {verdict["place"] for verdict in told if verdict["action"] == "dropped"}
        work.sketches.seek(0)
        for each in rows:
            if isinstance(each, Fault):
                continue
            place = f"{each.record.path}:{each.record.line}"
            if self._rules.exact:
                self._seen.setdefault(exact_key(content_of(each.row)), place)
            if self._near and place not in dropped:
                self._near.add(place, read_sketch(work.sketches))
        for file in (work.told, work.sketches):
            file.seek(0, os.SEEK_END)

    def look(self, each: Known | Fault) -> tuple[Mapping[str, Any] | None, Sequence[Verdict]]:
        """Give a row's fields as they are to be kept, or None, and what is to be said of it."""
        if isinstance(each, Fault):
            place = f"{each.path}:{each.line}"
            return None, [Verdict(place, "dropped", "no row of a known kind", each.reason)]
        place = f"{each.record.path}:{each.record.line}"
        lineage = each.row.lineage if isinstance(each.row, Row) else {}
        reason = self._reason(each, place)
        if reason:
            return None, [Verdict(place, "dropped", *reason, lineage=lineage)]
        masked, found = self._masked(each)
        if found and (masked is None or self._rules.pii == "drop"):
            said = ", ".join(f"{count} {kind}" for kind, count in found.items())
            return None, [Verdict(place, "dropped", "personal data", said, lineage)]
        record, row = masked or (each.record, each.row)
        if twin := self._twin(row, place):
            return None, [Verdict(place, "dropped", "near duplicate", twin, lineage)]
        masks = [
            Verdict(place, "masked", kind, f"{count} of them", lineage)
            for kind, count in found.items()
        ]
        return record.fields, masks

    def _reason(self, each: Known, place: str) -> tuple[str, str] | None:
        rules, content = self._rules, content_of(each.row)
        earlier = self._seen.setdefault(exact_key(content), place) if rules.exact else place
        if earlier != place:
            return "duplicate", earlier
        fault = fault_of(each.row, content) if rules.quality else None
        if fault:
            return "quality", fault
        words = len(content.whole.split())
        if rules.max_words is not None and words > rules.max_words:
            return "too long", f"{words} words"
        if rules.max_tokens is not None and self._count_tokens:
            tokens = self._count_tokens(each.row)
            if tokens > rules.max_tokens:
                return "too long", f"{tokens} tokens"
        held = self._known.find(content.whole) if self._known else None
        return ("in an evaluation set", held) if held else None

    def _masked(self, each: Known) -> tuple[tuple[Record, Any] | None, Counter[str]]:
        """Mask what is personal; None where the row would not be one any more.

        Such is a reader's row whose answer would move in its passage.
        """
        found = Counter[str]()
        if self._privacy is None:
            return (each.record, each.row), found

        def mask(text: str) -> str:
            assert self._privacy is not None  # noqa: S101 - for the type checker
            masked, kinds = self._privacy.mask(text)
            found.update(kinds)
            return masked

        record = replace(each.record, fields=rewrite(each.kind, each.record.fields, mask))
        if not found:
            return (each.record, each.row), found
        if each.kind == "question" and record.fields["passage"] != each.record.fields["passage"]:
            return None, found
        try:
            return (record, SHAPES[each.kind].parse(record)), found
        except ValueError:
            return None, found

    def _twin(self, row: Any, place: str) -> str | None:
        if self._near is None:
            return None
        self.sketch = self._near.sketch(content_of(row))
        twin = self._near.twin(self.sketch)
        if twin is None:
            self._near.add(place, self.sketch)
        return twin
