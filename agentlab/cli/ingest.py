"""`agentlab ingest`: read files into the library, and keep it in step with them."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from agentlab.cli import failures, options
from agentlab.errors import OK

if TYPE_CHECKING:
    from threading import Event

    from agentlab.settings import Settings
    from ingest.cluster import RayEngine
    from ingest.collection import Collection
    from ingest.config import IngestConfig

EXAMPLES = """\b
Examples:
  agentlab ingest ~/Documents/handbooks
  agentlab ingest travel.pdf safety.docx notes.md
  agentlab ingest ~/Documents/handbooks --sync --dry-run
  agentlab ingest ~/Documents/handbooks --sync
  agentlab ingest ~/Documents/handbooks --watch
  RAY_ADDRESS=head:6379 agentlab ingest /shared/papers --engine ray
"""


def ingest(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH", help="Files (.pdf .docx .md .html .txt), or folders."),
    ],
    *,
    sync: Annotated[
        bool, typer.Option("--sync", help="Also remove what is gone from these folders.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Keep them in step until Ctrl-C (implies --sync).")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done, and change nothing.")
    ] = False,
    allow_removals: Annotated[
        bool, typer.Option("--allow-removals", help="Remove even more than a fifth of it.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try files again that failed before.")
    ] = False,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Stop where another process changes the library.")
    ] = False,
    engine: Annotated[
        Literal["local", "ray"],
        typer.Option(
            "--engine", help="Where files are read and embedded: here, or on a Ray cluster."
        ),
    ] = "local",
    password: options.Password = [],  # noqa: B006 - it is only read
    ocr: options.OcrMode = "auto",
    ocr_languages: options.OcrLanguages = "eng",
    workers: options.Workers = None,
    timeout: options.FileTimeout = 120.0,
    memory: options.Memory = 2048,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write the report, or the plan, as JSON.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the report.")] = False,
    tenant: options.Tenant = None,
    home: options.Home = None,
    config: options.Config = None,
) -> None:
    """Read documents into the library: pages, passages, vectors. Doing it twice changes nothing.

    Only new and changed files are read; a renamed one keeps its vectors. A file that cannot be
    read is named with its reason and what to do, and not tried again until it changes; the rest
    goes on. With --sync the library follows the folders: what is gone there is removed. With
    --engine ray the workers of a Ray cluster (of RAY_ADDRESS, else one on this machine) read and
    embed, and this process writes. The exit code is 0 if every file is in the library, 1 if one was
    left out.
    """
    if watch and dry_run:
        raise typer.BadParameter(
            "--watch changes the library; leave out one of them.", param_hint="--dry-run"
        )
    settings = options.resolve(config, home=home, weaviate_tenant=tenant).settings
    from ingest.config import IngestConfig
    from ingest.folders import find_files

    try:
        how = IngestConfig(
            chunk_tokens=settings.chunk_tokens,
            passwords=tuple(password),
            ocr=ocr,
            ocr_languages=ocr_languages,
            workers=workers,
            timeout_s=timeout,
            memory_mb=memory,
        )
    except ValueError:
        message = f"{ocr_languages!r} is not tesseract's names of languages: write eng, or eng+deu"
        raise typer.BadParameter(message, param_hint="--ocr-languages") from None
    find_files(paths, none_is_fine=sync or watch)  # before the embedder is loaded
    read = Reading(
        settings,
        paths,
        config=how,
        sync=sync or watch,
        allow_removals=allow_removals,
        retry_failed=retry_failed,
        wait=not no_wait,
        as_json=as_json,
        quiet=quiet,
        engine=engine,
    )
    with read:
        if dry_run:
            read.show_plan()
            raise typer.Exit(OK)
        raise typer.Exit(keep_in_step(paths, read.once) if watch else read.once())


class Reading:
    """Files or folders, the library they go to, and how."""

    def __init__(
        self,
        settings: "Settings",
        paths: Sequence[Path],
        *,
        config: "IngestConfig",
        sync: bool = False,
        allow_removals: bool = False,
        retry_failed: bool = False,
        wait: bool = True,
        as_json: bool = False,
        quiet: bool = False,
        engine: Literal["local", "ray"] = "local",
    ) -> None:
        self._paths = paths
        self._config = config
        self._sync = sync
        self._allow_removals = allow_removals
        self._retry_failed = retry_failed
        self._wait = wait
        self._as_json = as_json
        self._quiet = quiet
        self._collection = open_library(settings)
        name = self._collection.embedder.name
        self._engine = ray_engine(settings, name) if engine == "ray" else None

    def __enter__(self) -> "Reading":
        return self

    def __exit__(self, *_: object) -> None:
        self._collection.close()

    def once(self) -> int:
        """Ingest with a progress bar and a report; return the report's exit code."""
        from agentlab.ingest_report import draw_report
        from agentlab.progress import draw_ingest
        from ingest.pipeline import ingest as read

        events = read(
            self._paths,
            collection=self._collection,
            config=self._config,
            sync=self._sync,
            allow_removals=self._allow_removals,
            retry_failed=self._retry_failed,
            wait=self._wait,
            engine=self._engine,
        )
        report = draw_ingest(events, quiet=self._quiet)
        if self._as_json:
            _write_json(report.to_dict())
        else:
            draw_report(report)
        return report.exit_code

    def show_plan(self) -> None:
        """Show what would be done."""
        from agentlab.ingest_report import draw_plan
        from ingest.pipeline import preview

        plan = preview(
            self._paths,
            collection=self._collection,
            config=self._config,
            sync=self._sync,
            retry_failed=self._retry_failed,
        )
        if self._as_json:
            _write_json(plan.to_dict())
        else:
            draw_plan(plan)


def read_into_library(settings: "Settings", paths: Sequence[Path]) -> int:
    """Ingest with a progress bar and a report; return the report's exit code."""
    from ingest.config import IngestConfig

    config = IngestConfig(chunk_tokens=settings.chunk_tokens)
    with Reading(settings, paths, config=config) as reading:
        return reading.once()


def open_library(
    settings: "Settings", *, as_made: bool = False, anew: bool = False
) -> "Collection":
    """Open the library to change it; the embedder is loaded when there is something to embed.

    It is that of the settings or, `as_made`, that by which the library was made. To embed it `anew`
    it goes by its own name, whatever an older library calls it.
    """
    from agentlab.cli.models import tell
    from agentlab.late_embedder import LateEmbedder
    from agentlab.library import (
        embedder_name,
        embedder_name_in,
        open_keeping_embedder,
        store_config,
        with_embedder,
    )
    from ingest.collection import Collection, made_by
    from ingest.stores import open_store

    store = open_store(store_config(settings))
    name = embedder_name(settings) if anew else embedder_name_in(store, settings)
    if as_made:
        name = made_by(store) or name
    chosen = with_embedder(settings, name)
    embedder = LateEmbedder(name, lambda: open_keeping_embedder(chosen, progress=tell))
    return Collection(store, embedder, alpha=settings.alpha)


def ray_engine(settings: "Settings", embedder: str) -> "RayEngine":
    """Give the engine that reads on a Ray cluster, each of whose workers opens the embedder."""
    from agentlab.library import open_embedder, with_embedder
    from ingest.cluster import RayEngine

    return RayEngine(partial(open_embedder, with_embedder(settings, embedder)))


def keep_in_step(
    paths: Sequence[Path], read_once: Callable[[], int], *, stop: "Event | None" = None
) -> int:
    """Read whenever something changes, until Ctrl-C; what fails in a round is told."""
    try:
        for _ in _rounds(paths, stop):
            try:
                read_once()
            except Exception as error:  # noqa: BLE001 - the next round may go well
                failures.report(error, debug=False)
            sys.stderr.write("watching for changes; Ctrl-C ends\n")
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
    return OK


def _rounds(paths: Sequence[Path], stop: "Event | None") -> Iterator[None]:
    """Tell when to read: at first, and whenever something has changed."""
    from watchfiles import Change, watch

    roots = {str(path.absolute()) for path in paths}
    watching = True
    while watching:
        there = _there(paths)
        changes = watch(
            *there,
            watch_filter=lambda change, path: concerns(path, gone=change == Change.deleted),
            stop_event=stop,
            debounce=1600,
            rust_timeout=200,
            yield_on_timeout=True,
            raise_interrupt=True,
        )
        watching = False
        try:
            for changed in changes:
                gone = {path for change, path in changed if change == Change.deleted}
                # What takes the place of a file or a folder is not what is watched.
                if watching and (_there(paths) != there or gone & roots):
                    break
                # The first round comes when the watch is on, so that no change falls between.
                if changed or not watching:
                    watching = True
                    yield
            else:
                watching = False
        except RuntimeError:
            # A name that is not UTF-8 has ended the watch, which then begins anew.
            if not watching:
                raise


def _there(paths: Sequence[Path]) -> dict[Path, tuple[int, int]]:
    """Tell which of the paths there are, and what on the disk each stands for."""
    found = {}
    for path in paths:
        with suppress(OSError):
            status = path.stat()
            found[path] = (status.st_dev, status.st_ino)
    return found


def concerns(path: str, *, gone: bool = False) -> bool:
    """Tell whether a change there may be one of a file that is read, or of a folder.

    Of what is `gone` nothing tells whether it was a folder.
    """
    from ingest.documents import KINDS

    place = Path(path)
    if place.name.startswith((".", "~$")):
        return False
    return gone or place.suffix.lower() in {"", *KINDS} or place.is_dir()


def _write_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()
