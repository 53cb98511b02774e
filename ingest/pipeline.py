"""The pipeline: files become chunks in a collection, told step by step as events."""

import errno
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from ingest.collection import Collection
from ingest.config import IngestConfig
from ingest.cutting import Cut, cut_document
from ingest.errors import (
    DocumentError,
    GoneError,
    IngestError,
    RemovalsHeldError,
    StoreFullError,
)
from ingest.events import (
    Duplicate,
    Embedded,
    Event,
    Finished,
    Finishing,
    Parsed,
    Planned,
    Remark,
    Removed,
    Report,
    Skipped,
    StillFailing,
    Unchanged,
    Waiting,
    Written,
)
from ingest.folders import find_files
from ingest.keeping import Keeper
from ingest.lock import Lock
from ingest.manifest import Manifest, State, manifest_path
from ingest.parsing import read_documents
from ingest.plan import Plan, Step, failed, make_plan
from ingest.state import check_embedder, finish, rename_records, survey, unfinished
from ingest.stores.generations import FIRST

__all__ = [
    "Duplicate",
    "Embedded",
    "Event",
    "Finished",
    "Finishing",
    "Parsed",
    "Planned",
    "Remark",
    "Removed",
    "Report",
    "Skipped",
    "StillFailing",
    "Unchanged",
    "Waiting",
    "Written",
    "find_files",
    "ingest",
    "preview",
]

Engine = Callable[[Sequence[Step], IngestConfig], Iterator[tuple[Step, Cut | DocumentError]]]
"""What reads and cuts files: it gives each of them back, in any order."""

GROUP_CHUNKS = 256  # so many are embedded and written at once, whole documents together


def ingest(
    paths: Sequence[Path],
    *,
    collection: Collection,
    config: IngestConfig | None = None,
    sync: bool = False,
    allow_removals: bool = False,
    retry_failed: bool = False,
    wait: bool = True,
    engine: Engine | None = None,
) -> Iterator[Event]:
    """Bring files and folders of them into a collection; a file that cannot be read is skipped.

    With `sync`, what was ingested from these folders and is gone there leaves the collection. Of
    each document the new chunks are written and read back before its older ones are deleted, and
    what was written stays written: after an interruption the same call goes on where it stopped.
    An `engine`, such as `ingest.cluster.RayEngine`, reads, cuts and embeds elsewhere.
    Raises PathMissingError, NothingToIngestError, RemovalsHeldError, StoreMismatchError or
    StoreFullError, among other StoreErrors; without `wait`, CollectionBusyError.
    """
    started = time.monotonic()
    with Lock(collection.store.place) as lock:
        if not lock.take():
            if not wait:
                raise lock.refuse()
            yield Waiting(lock.holder())
            lock.wait()
        with _space_on_disk(), closing(Manifest(manifest_path(collection.store.place))) as manifest:
            run = _Run(collection, config or IngestConfig(), manifest, engine, started)
            yield from run.events(
                paths, sync=sync, allow_removals=allow_removals, retry_failed=retry_failed
            )


def preview(
    paths: Sequence[Path],
    *,
    collection: Collection,
    config: IngestConfig | None = None,
    sync: bool = False,
    retry_failed: bool = False,
) -> Plan:
    """Give the plan of an ingest, and change nothing."""
    stored, records = survey(collection.store)
    check_embedder(collection, stored)
    return make_plan(
        paths,
        records=records,
        stored={each.source: each.chunks for each in stored},
        config=config or IngestConfig(),
        embedder=collection.embedder.name,
        sync=sync,
        retry_failed=retry_failed,
    )


class _Run:
    """One run: plan, remove, read, embed, write, read back, delete what is stale, finish."""

    def __init__(
        self,
        collection: Collection,
        config: IngestConfig,
        manifest: Manifest,
        engine: Engine | None,
        started: float,
    ) -> None:
        self._collection = collection
        self._engine = engine
        self._store = collection.store
        self._config = config
        self._manifest = manifest
        self._started = started
        self._stored: dict[str, int] = {}
        self._keeper = Keeper(collection, config, manifest, self._stored)
        self._removed: list[Removed] = []
        self._skipped: list[Skipped] = []
        self._duplicates: list[Duplicate] = []
        self._remarks: list[Remark] = []

    def events(
        self, paths: Sequence[Path], *, sync: bool, allow_removals: bool, retry_failed: bool
    ) -> Iterator[Event]:
        """Do all and tell of it."""
        documents, records = survey(self._store, self._manifest)
        check_embedder(self._collection, documents)
        if self._store.generation > FIRST:  # perhaps embedded anew by another machine
            rename_records(self._store, self._manifest)
            records |= self._manifest.records()
        tuning = self._collection.tuning
        for each in documents:
            self._stored[each.source] = self._stored.get(each.source, 0) + each.chunks
        plan = make_plan(
            paths,
            records=records,
            stored=self._stored,
            config=self._config,
            embedder=self._collection.embedder.name,
            sync=sync,
            retry_failed=retry_failed,
        )
        if plan.held_back and not allow_removals:
            raise RemovalsHeldError(plan.held_back)
        yield Planned(len(plan.steps), {each.source: each.record.size for each in plan.todo})
        self._skipped += plan.left_out
        yield from plan.left_out
        passed = plan.of("unchanged", "quarantined")
        self._manifest.save(
            each.record for each in passed if each.record != records.get(each.record.path)
        )
        self._manifest.save(replace(step.record, state="pending") for step in plan.todo)
        yield from self._pass_over(plan)
        yield from self._remove(plan)
        yield from self._read(plan.todo)
        yield from self._pass_duplicates(plan)
        if unfinished(self._collection):
            yield Finishing()
            finish(self._collection)
        now = self._collection.tuning
        yield Finished(replace(self._report(plan), tuning=now if now != tuning else None))

    def _pass_over(self, plan: Plan) -> Iterator[Event]:
        """Tell of the files that are not read."""
        for step in plan.of("unchanged", "quarantined", "unreadable"):
            if step.error:
                self._fail(step, _reason(step, step.error), "failed")
                yield self._skipped[-1]
            elif step.kind == "quarantined":
                yield _still_failing(step)
            else:
                yield Unchanged(step.source)

    def _remove(self, plan: Plan) -> Iterator[Event]:
        """Delete what came from files that are gone."""
        for record in plan.removals:
            if record.source in self._stored:
                self._keeper.delete(sorted(self._store.ids([record.source])))
                self._removed.append(Removed(record.source, self._stored[record.source]))
                yield self._removed[-1]
            self._manifest.remove([record.path])

    def _read(self, todo: Sequence[Step]) -> Iterator[Event]:
        """Read and cut files; store them in groups, which fills the embedder's batches."""
        group: list[Cut] = []
        engine = self._engine or self._read_here
        for step, cut in engine(todo, self._config):
            if isinstance(cut, DocumentError):
                state: State = "failed" if isinstance(cut, GoneError) else "quarantined"
                self._fail(step, _reason(step, cut), state)
                yield self._skipped[-1]
                continue
            group.append(cut)
            yield _parsed(cut)
            for remark in filter(None, (cut.document.remark, _name_remark(step))):
                self._remarks.append(Remark(step.source, remark))
                yield self._remarks[-1]
            if sum(len(each.chunks) for each in group) >= GROUP_CHUNKS:
                yield from self._keep(group)
                group = []
        if group:
            yield from self._keep(group)

    def _read_here(
        self, todo: Sequence[Step], config: IngestConfig
    ) -> Iterator[tuple[Step, Cut | DocumentError]]:
        """Read files on this machine, and cut them; they are embedded when they are kept."""
        outcomes = read_documents([step.path for step in todo], config)
        for step, (_, outcome) in zip(todo, outcomes, strict=True):
            if isinstance(outcome, DocumentError):
                yield step, outcome
                continue
            cut = cut_document(
                outcome,
                source=step.record.source,
                pipeline=step.record.pipeline,
                embedder=self._collection.embedder,
                config=config,
            )
            yield step, cut if isinstance(cut, DocumentError) else Cut(step, *cut)

    def _keep(self, group: Sequence[Cut]) -> Iterator[Event]:
        for event in self._keeper.keep(group):
            if isinstance(event, Skipped):
                self._skipped.append(event)
            yield event

    def _pass_duplicates(self, plan: Plan) -> Iterator[Event]:
        """Tell of the files whose chunks are another's; what they had of their own goes."""
        stored_as = {step.source: step.record.source for step in plan.todo}
        failed = {stored_as.get(each.source): each for each in self._skipped}
        for step in plan.of("duplicate"):
            if step.original in failed:
                first = failed[step.original]
                detail = f"the same bytes as {step.original}: {first.detail}"
                skipped = Skipped(step.source, first.reason, detail, first.remedy)
                known = first.reason not in {"not_stored", GoneError.reason}
                self._fail(step, skipped, "quarantined" if known else "failed")
                yield skipped
                continue
            source = step.record.source
            if source in self._stored:
                self._keeper.delete(sorted(self._store.ids([source])))
            duplicate = replace(
                step.record, state="duplicate", same_as=step.original, held="", chunks=0
            )
            self._manifest.save([duplicate])
            self._duplicates.append(Duplicate(step.source, step.original))
            yield self._duplicates[-1]

    def _fail(self, step: Step, skipped: Skipped, state: State) -> None:
        """Note why a file was left out; whatever is stored of it stays."""
        self._skipped.append(skipped)
        self._manifest.save([failed(step.record, skipped, state, self._config)])

    def _report(self, plan: Plan) -> Report:
        read = [cut.document for cut in self._keeper.written]
        return Report(
            documents=len(self._keeper.written),
            pages=sum(len(each.pages) for each in read if each.paged),
            parts=sum(len(each.pages) for each in read if not each.paged),
            chunks=sum(len(cut.chunks) for cut in self._keeper.written),
            embedded=self._keeper.embedded,
            unchanged=len(plan.of("unchanged")),
            moved=tuple(self._keeper.moved),
            removed=tuple(self._removed),
            duplicates=tuple(self._duplicates),
            skipped=tuple(self._skipped),
            still_failing=tuple(_still_failing(step) for step in plan.of("quarantined")),
            remarks=tuple(self._remarks),
            total_documents=len({each.source for each in survey(self._store, self._manifest)[0]}),
            total_chunks=self._store.count(),
            seconds=time.monotonic() - self._started,
        )


def _parsed(cut: Cut) -> Parsed:
    blank = tuple(page.number for page in cut.document.pages if not page.text.strip())
    pages, chunks = len(cut.document.pages), len(cut.chunks)
    return Parsed(cut.step.source, cut.document.title, pages, chunks, blank, cut.document.paged)


def _name_remark(step: Step) -> str:
    """Tell of a document that goes by the name of a new file, and whose own file is not known."""
    if not step.name_taken:
        return ""
    return (
        "the library holds another document of this name, from another folder or machine or from "
        "before its manifest was lost: that one stays, and this file is stored as "
        f"{step.record.source}. Where the other is an older version of it, remove it: "
        f"agentlab docs rm {step.source}, run in another folder"
    )


def _still_failing(step: Step) -> StillFailing:
    record = step.record
    return StillFailing(step.source, record.reason, record.detail, record.remedy)


def _reason(step: Step, error: DocumentError) -> Skipped:
    return Skipped(step.source, error.reason, error.detail, error.advice)


@contextmanager
def _space_on_disk() -> Iterator[None]:
    """Turn a full disk into a clear error, however the store words it."""
    try:
        yield
    except IngestError:
        raise
    except Exception as error:
        number = getattr(error, "errno", None)
        said = str(error).lower()
        if (
            number in {errno.ENOSPC, errno.EDQUOT}
            or "no space left" in said
            or "disk is full" in said
        ):
            raise StoreFullError(
                "The disk that holds the collection is full: free some space and run the same "
                "command again. What was stored before is intact."
            ) from error
        raise
