"""The plan: what an ingest would do to each file, and what it would remove."""

import hashlib
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ingest.config import IngestConfig
from ingest.documents import kind_of
from ingest.errors import DocumentError, EncryptedError, UnsupportedError
from ingest.events import Skipped
from ingest.folders import below, cannot_read, file_digest, find_files, is_gone, place_of
from ingest.manifest import Record, State
from ingest.ocr import is_installed

Kind = Literal["new", "changed", "moved", "unchanged", "duplicate", "quarantined", "unreadable"]

MOST_REMOVED = 0.2
RACY_NS = 2_000_000_000  # the coarsest clock of a file system: a later change may not show
_NOT_READING = {"embed_batch", "chunk_tokens", "workers", "passwords"}


@dataclass(frozen=True)
class Step:
    """What is done with one file, `path` as it was given and `record` as it is now.

    `before` is the record of the file that a moved one was; `original` is the source whose chunks
    serve for a duplicate; `folder` is where it lies below the folder that was given; `name_taken`
    tells that a stored document whose file is not known goes by its name.
    """

    kind: Kind
    path: Path
    record: Record
    before: Record | None = None
    original: str = ""
    error: DocumentError | None = None
    folder: str = ""
    name_taken: bool = False

    @property
    def source(self) -> str:
        """Give the path as it was given."""
        return str(self.path)

    @property
    def reads(self) -> bool:
        """Tell whether the file is read."""
        return self.kind in {"new", "changed", "moved"}


@dataclass(frozen=True)
class Plan:
    """What an ingest would do.

    `removals` are the records of files that are gone; `held_back` says why so many are not removed
    unless that is allowed.
    """

    steps: tuple[Step, ...]
    removals: tuple[Record, ...] = ()
    left_out: tuple[Skipped, ...] = ()
    held_back: str = ""

    @property
    def todo(self) -> list[Step]:
        """Give the files that are read."""
        return [step for step in self.steps if step.reads]

    def of(self, *kinds: Kind) -> list[Step]:
        """Give the steps of some kinds."""
        return [step for step in self.steps if step.kind in kinds]

    def to_dict(self) -> dict[str, Any]:
        """Give the plan as JSON values."""
        sources = {
            kind: [step.source for step in self.of(kind)]
            for kind in ("new", "changed", "unchanged")
        }
        return {
            **sources,
            "moved": [
                {"from": step.before.source, "to": step.source}
                for step in self.steps
                if step.before
            ],
            "duplicates": [
                {"source": step.source, "original": step.original} for step in self.of("duplicate")
            ],
            "quarantined": [
                {
                    "source": step.source,
                    "reason": step.record.reason,
                    "detail": step.record.detail,
                    "attempts": step.record.attempts,
                }
                for step in self.of("quarantined")
            ],
            "left_out": [
                *({"source": each.source, "detail": each.detail} for each in self.left_out),
                *(
                    {"source": step.source, "detail": step.error.detail}
                    for step in self.steps
                    if step.error
                ),
            ],
            "remove": [record.source for record in self.removals],
            "held_back": self.held_back,
        }


def make_plan(
    paths: Sequence[Path],
    *,
    records: Mapping[str, Record],
    stored: Mapping[str, int],
    config: IngestConfig,
    embedder: str,
    sync: bool = False,
    retry_failed: bool = False,
) -> Plan:
    """Compare files with what is known of them; `stored` counts the chunks of each source.

    Raises what `find_files` raises.
    """
    files, left_out = find_files(paths, none_is_fine=sync)
    looks = {place_of(path): _look(path, records) for path in files}
    gone = [
        each
        for each in records.values()
        if each.is_placed and each.path not in looks and is_gone(each.path)
    ]
    decision = _Decision(
        looks=looks,
        records=records,
        stored=stored,
        config=config,
        embedder=embedder,
        gone={each.path for each in gone},
        retry_failed=retry_failed,
    )
    roots = [path.resolve() for path in paths if path.is_dir()]
    leaving = [each for each in gone if sync and _below(each, roots)]
    decided = list(decision.steps(looks))
    decided += decision.steps(_look_at_twins(decided, leaving, looks, records))
    steps = tuple(replace(each, folder=below(each.path, paths)) for each in decided)
    moved = {step.before.path for step in steps if step.before}
    removals = [each for each in leaving if each.path not in moved]
    held_back = ""
    if sync:
        there = [each for each in records.values() if _below(each, roots)]
        held_back = _held_back(
            [each.source for each in removals if each.source in stored],
            of=sum(each.source in stored for each in there),
        )
        emptied = {each for each in map(str, paths) if _holds(Path(each).resolve(), records)}
        left_out = [
            each for each in left_out if each.reason != "empty" or each.source not in emptied
        ]
    return Plan(steps, tuple(removals), tuple(left_out), held_back)


def tried(pipeline: str, config: IngestConfig) -> str:
    """Name all that a failure depends on beside the bytes and the passwords."""
    settings = sorted(config.model_dump(exclude=_NOT_READING).items())
    return f"{pipeline} {_mark((settings, config.ocr != 'never' and is_installed()))}"


def failed(record: Record, skipped: Skipped, state: State, config: IngestConfig) -> Record:
    """Note in a file's record why it was left out."""
    return replace(
        record,
        state=state,
        pipeline=tried(record.pipeline, config),
        reason=skipped.reason,
        detail=skipped.detail,
        remedy=skipped.remedy,
        attempts=record.attempts + 1,
        at=time.time(),
    )


@dataclass(frozen=True)
class _Look:
    """A file as it is now."""

    path: Path
    size: int = -1
    mtime_ns: int = -1
    at_ns: int = 0
    sha256: str = ""
    error: DocumentError | None = None


def _look(path: Path, records: Mapping[str, Record]) -> _Look:
    """Look at a file; it is opened only where its size or time has changed, or just now."""
    at_ns = time.time_ns()
    try:
        status = path.stat()
    except OSError as error:
        return _Look(path, error=cannot_read(path, error))
    if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for without end
        return _Look(path, error=UnsupportedError(str(path), "not a file", "leave it out"))
    record = records.get(place_of(path))
    same = record and (record.size, record.mtime_ns) == (status.st_size, status.st_mtime_ns)
    if record and same and record.sha256 and record.looked_ns - record.mtime_ns > RACY_NS:
        return _Look(path, record.size, record.mtime_ns, record.looked_ns, record.sha256)
    try:
        digest = file_digest(path)
    except DocumentError as error:
        return _Look(path, error=error)
    return _Look(path, status.st_size, status.st_mtime_ns, at_ns, digest)


def _look_at_twins(
    steps: Sequence[Step],
    leaving: Sequence[Record],
    looks: Mapping[str, _Look],
    records: Mapping[str, Record],
) -> dict[str, _Look]:
    """Look at the files, beside those that were given, for which chunks serve that are to go."""
    moved = [step.before for step in steps if step.before]
    renewed = [step.record for step in steps if step.reads]
    emptied = [step.record for step in steps if step.kind == "duplicate"]
    touched = {each.source for each in (*leaving, *moved, *renewed, *emptied)}
    kept = {(each.source, each.sha256) for each in renewed}
    twins = {
        each.path: _look(Path(each.path), records)
        for each in records.values()
        if each.path not in looks and _loses_chunks(each, touched, kept)
    }
    return {path: look for path, look in twins.items() if look.sha256 == records[path].sha256}


def _loses_chunks(record: Record, touched: set[str], kept: set[tuple[str, str]]) -> bool:
    """Tell whether chunks that served for a file go, or went in a run that broke off."""
    if record.state == "duplicate":
        return record.same_as in touched and (record.same_as, record.sha256) not in kept
    return bool(record.same_as) and record.state not in {"verified", "failed", "quarantined"}


class _Decision:
    """Decides file by file, with an eye on all the others."""

    def __init__(
        self,
        *,
        looks: Mapping[str, _Look],
        records: Mapping[str, Record],
        stored: Mapping[str, int],
        config: IngestConfig,
        embedder: str,
        gone: set[str],
        retry_failed: bool,
    ) -> None:
        self._looks = looks
        self._records = records
        self._stored = stored
        self._config = config
        self._embedder = embedder
        self._gone = gone
        self._retry_failed = retry_failed
        self._first: dict[tuple[str, str], str] = {}
        self._taken = {each.source: each.path for each in records.values()}
        self._holders: dict[str, list[Record]] = {}
        self._bad: dict[str, list[Record]] = {}
        for record in records.values():
            if record.state == "quarantined":
                self._bad.setdefault(record.sha256, []).append(record)
            elif record.sha256 and record.source in stored:
                self._holders.setdefault(record.sha256, []).append(record)

    def steps(self, looks: Mapping[str, _Look]) -> Iterator[Step]:
        """Give the step of each file."""
        for key, look in looks.items():
            step = self._step(key, look)
            if step.reads:
                self._first[look.sha256, kind_of(key)] = step.record.source
                if step.before:
                    self._holders[look.sha256].remove(step.before)
            yield step

    def _step(self, key: str, look: _Look) -> Step:
        before = self._records.get(key)
        record = replace(
            before or Record(key, self._name(key, look.path)),
            size=look.size,
            mtime_ns=look.mtime_ns,
            looked_ns=look.at_ns,
            sha256=look.sha256,
            pipeline=self._pipeline(key),
        )
        if look.error:
            return Step("unreadable", look.path, record, error=look.error)
        if before and self._is_whole(before, look.sha256):
            return Step("unchanged", look.path, record)
        if elsewhere := self._elsewhere(look, record):
            return elsewhere
        if bad := self._failed_before(record):
            return Step("quarantined", look.path, bad)
        if record.source in self._stored:
            return Step("changed", look.path, record)
        other = self._records.get(str(look.path))
        return Step("new", look.path, record, name_taken=bool(other and not other.is_placed))

    def _elsewhere(self, look: _Look, record: Record) -> Step | None:
        """Find the same bytes under another name: one that is gone, or one that serves for both.

        A file of another kind does not serve: it is read in another way, if at all.
        """
        kind = kind_of(record.path)
        for holder in self._holders.get(look.sha256, []):
            if holder.path in self._gone:
                return Step("moved", look.path, record, before=holder)
            alike = holder.path != record.path and kind_of(holder.path) == kind
            if alike and self._serves(holder):
                return Step("duplicate", look.path, record, original=holder.source)
        if first := self._first.get((look.sha256, kind)):
            return Step("duplicate", look.path, record, original=first)
        return None

    def _failed_before(self, record: Record) -> Record | None:
        """Give the record of a file that would fail again as these bytes did."""
        alike = self._bad.get(record.sha256, ())
        bad = next((each for each in alike if self._is_as_before(each, record.pipeline)), None)
        if bad is None or self._retry_failed:
            return None
        return replace(
            record,
            state="quarantined",
            pipeline=bad.pipeline,
            reason=bad.reason,
            detail=bad.detail,
            remedy=bad.remedy,
            attempts=bad.attempts,
            at=bad.at,
        )

    def _is_as_before(self, bad: Record, pipeline: str) -> bool:
        if bad.reason == EncryptedError.reason and self._config.passwords:
            return False  # which passwords were tried is not kept, not even as a digest
        return bad.pipeline == tried(pipeline, self._config)

    def _pipeline(self, path: str) -> str:
        return self._config.fingerprint(self._embedder, kind=kind_of(path))

    def _is_whole(self, record: Record, digest: str) -> bool:
        """Tell whether the store holds these bytes whole, as this pipeline makes them."""
        now = self._pipeline(record.path)
        return record.state == "verified" and (record.held, record.pipeline) == (digest, now)

    def _serves(self, holder: Record) -> bool:
        """Tell whether another file has the bytes to this day, and its chunks are there."""
        if not self._is_whole(holder, holder.sha256):
            return False
        look = self._looks.get(holder.path) or _look(Path(holder.path), self._records)
        return look.sha256 == holder.sha256

    def _name(self, key: str, given: Path) -> str:
        """Name a new file as it was given, unless another file goes by that name already."""
        name = str(given)
        return name if self._taken.setdefault(name, key) == key else key


def _held_back(lost: Sequence[str], *, of: int) -> str:
    """Say why so many documents are not removed; "" where they are no more than a fifth."""
    if len(lost) <= MOST_REMOVED * of:
        return ""
    named = ", ".join(lost[:3]) + (" ..." if len(lost) > 3 else "")
    return (
        f"This would remove {len(lost)} of {of} documents, whose files are gone ({named}): more "
        f"than {MOST_REMOVED:.0%}, so nothing was changed. See that the folder is the right one "
        "and whole; if they are meant to go, add --allow-removals (--dry-run lists them all)."
    )


def _mark(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:8]


def _below(record: Record, roots: Sequence[Path]) -> bool:
    return any(Path(record.path).is_relative_to(root) for root in roots)


def _holds(root: Path, records: Mapping[str, Record]) -> bool:
    return any(Path(each).is_relative_to(root) for each in records)
