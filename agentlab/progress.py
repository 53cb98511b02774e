"""Progress: draws long work, a bar on a terminal and plain lines elsewhere, on stderr."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

from agentlab.console import clean, draw_rows, make_console, print_line
from agentlab.mining import Mined
from finetune import events as training
from finetune.amounts import gigabytes
from ingest import copying, pipeline, reembedding
from ingest.amounts import count

LINE_EVERY_S = 15.0
SPEECHLESS_S = 3.0
SPEECHLESS_SHARE = 0.02
SHOWN_ROWS = 10
SHOWN_MEASURES = 2
READ_BY_DIGITS = 1000


class Bar:
    """A bar that falls back to a line now and then where nobody can watch it move."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._shown = time.monotonic()
        self._progress = RichProgress(
            TextColumn("  {task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", style="step"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("", total=None, note="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def show(self, name: str, done: float, total: float | None, note: str = "") -> None:
        """Move the bar; off a terminal write a line, at most one in fifteen seconds."""
        self._progress.update(
            self._task, description=name, completed=done, total=total, note=clean(note)
        )
        now = time.monotonic()
        if not self.console.is_terminal and now - self._shown >= LINE_EVERY_S:
            self._shown = now
            self.line(f"{name} {done:.0f}{'' if total is None else f' of {total:.0f}'} {note}")

    def line(self, text: str, style: str = "step") -> None:
        """Write a line above the bar."""
        print_line(self.console, Text(f"  {clean(text).rstrip()}", style=style))


def draw_ingest(events: Iterator[pipeline.Event], *, quiet: bool = False) -> pipeline.Report:
    """Draw an ingest while it runs; return its report."""
    report: pipeline.Report | None = None
    with Bar(make_console(stderr=True, quiet=quiet)) as bar:
        drawn = _Ingest(bar)
        for event in events:
            if isinstance(event, pipeline.Finished):
                report = event.report
            drawn.take(event)
    if report is None:
        raise RuntimeError("The ingest ended without a report.")
    return report


class _Ingest:
    """An ingest as it is drawn: how many files are done, and how long the rest may take."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._files = 0
        self._done = 0.0
        self._sizes: dict[str, int] = {}
        self._shares: dict[str, float] = {}
        self._began = time.monotonic()
        bar.show("looking", 0, None, "at the files")

    def take(self, event: pipeline.Event) -> None:
        match event:
            case pipeline.Waiting():
                self._bar.line(f"waiting for {event.holder}, which changes the library", "note")
            case pipeline.Planned():
                self._files, self._sizes = event.files, event.sizes
                self._began = time.monotonic()
            case pipeline.Removed():
                self._bar.line(f"removed: {event.source} ({count(event.chunks, 'passage')})")
            case pipeline.Finishing():
                files = self._files
                self._bar.show("reading", files, files, "measuring what the library covers")
            case _:
                self._take_file(event)

    def _take_file(self, event: pipeline.Event) -> None:
        match event:
            case pipeline.Parsed():
                self._show(f"{event.title}, {_amount(event)}")
                if event.blank_pages:
                    self._bar.line(f"{event.source}: {_blank(event.blank_pages)}", "note")
            case pipeline.Embedded():
                self._shares[event.source] = event.done / max(event.total, 1)
                self._show(f"{Path(event.source).name}, {count(event.total, 'passage')}")
            case pipeline.Written():
                self._finish(event.source, "")
                if event.moved_from:
                    self._bar.line(f"moved: {event.moved_from} -> {event.source}")
            case pipeline.Unchanged() | pipeline.Duplicate():
                self._finish(event.source, "")
            case pipeline.Skipped():
                self._finish(event.source, "left out ")

    def _finish(self, source: str, what: str) -> None:
        self._done += 1
        if source in self._sizes:
            self._shares[source] = 1.0
        self._show(f"{what}{Path(source).name}")

    def _show(self, note: str) -> None:
        begun = sum(share for share in self._shares.values() if share < 1)
        left = self._seconds_left()
        said = f"{_left(left)} · {note}" if left is not None else note
        self._bar.show("reading", self._done + begun, self._files, said)

    def _seconds_left(self) -> float | None:
        """Guess by the bytes that are done; nothing can be said of the first few."""
        total = sum(self._sizes.values())
        done = sum(self._sizes.get(source, 0) * share for source, share in self._shares.items())
        passed = time.monotonic() - self._began
        if passed < SPEECHLESS_S or done < SPEECHLESS_SHARE * total:
            return None
        return passed * (total - done) / done if done else None


def _amount(event: pipeline.Parsed) -> str:
    return count(event.pages, "page" if event.paged else "part")


def _blank(pages: tuple[int, ...]) -> str:
    listed = ", ".join(map(str, pages[:10])) + (" ..." if len(pages) > 10 else "")
    return f"no text on {count(len(pages), 'page')} ({listed})"


def draw_copy(events: Iterator[copying.Event], *, quiet: bool = False) -> copying.CopyReport:
    """Draw a copy from store to store; return its report."""
    began = time.monotonic()
    with Bar(make_console(stderr=True, quiet=quiet)) as bar:
        for event in events:
            match event:
                case copying.Copied():
                    passed = time.monotonic() - began
                    note = Path(event.source).name
                    if passed >= SPEECHLESS_S and event.done:
                        note = f"{_left(passed * (event.total / event.done - 1))} · {note}"
                    bar.show("copying", event.done, event.total, note)
                case copying.Compared():
                    bar.show("comparing", event.done, event.total, "passages and vectors")
                case copying.CopyReport():
                    return event
    raise RuntimeError("The copy ended without a report.")


def draw_mining(events: Iterator[Mined]) -> None:
    """Draw the mining of rows, and say at its end what was left out and why."""
    last = None
    with Bar(make_console(stderr=True)) as bar:
        for event in events:
            bar.show("searching", event.done, event.total, count(event.rows, "row"))
            last = event
        if last:
            bar.line(f"{count(last.total, 'question')}, {count(last.rows, 'row')}", "good")
            for why, number in sorted(last.left_out.items()):
                bar.line(f"left out: {count(number, 'question')}: {why}", "note")


def draw_reembedding(
    events: Iterator[reembedding.Event], *, quiet: bool = False
) -> reembedding.ReembedReport:
    """Draw how a library is embedded anew; return the report."""
    began = time.monotonic()
    first: int | None = None
    with Bar(make_console(stderr=True, quiet=quiet)) as bar:
        for event in events:
            match event:
                case pipeline.Waiting():
                    bar.line(f"waiting for {event.holder}, which changes the library", "note")
                case reembedding.Reembedded():
                    first = event.done if first is None else first
                    passed, done = time.monotonic() - began, event.done - first
                    note = Path(event.source).name
                    if passed >= SPEECHLESS_S and done:
                        note = f"{_left(passed * (event.total - event.done) / done)} · {note}"
                    bar.show("embedding", event.done, event.total, note)
                case reembedding.Measuring():
                    bar.show("measuring", 0, None, "what the library covers by the new vectors")
                case reembedding.ReembedReport():
                    return event
    raise RuntimeError("The re-embedding ended without a report.")


def draw_training(events: Iterator[training.Event]) -> Path:
    """Draw a training run; return the folder of its adapter."""
    folder = Path()
    with Bar(make_console(stderr=True)) as bar:
        bar.show("preparing", 0, None, "rows, model, and what there is before")
        for event in events:
            if isinstance(event, training.Finished):
                folder = event.folder
            _draw_training_event(bar, event)
    return folder


def _draw_training_event(bar: Bar, event: training.Event) -> None:
    match event:
        case training.Progress():
            told = [f"loss {event.loss:.3f}", *_measures(event.measures)[:SHOWN_MEASURES]]
            told += [f"{event.tokens_per_second:,.0f} tokens/s", _left(event.seconds_left)]
            bar.show("step", event.step, event.steps, " · ".join(told))
        case training.Evaluated():
            loss = [] if event.loss is None else [f"held-out loss {event.loss:.4f}"]
            told = [*loss, *_measures(event.measures)]
            bar.line(f"step {event.step}: {', '.join(told)}")
        case training.Saved():
            bar.line(f"step {event.step}: saved {event.folder}")
        case training.Comparing():
            at = event.progress
            note = f"loss {at.loss:.3f} · {_left(at.seconds_left)}"
            bar.show(f"beside it, {event.tuner}", at.step, at.steps, note)
        case training.Compared():
            for tuner, measured in event.table.items():
                told = [_named(name, value) for name, value in measured.items()]
                bar.line(f"{tuner}: {', '.join(told)}")
        case training.Finished():
            numbers = [
                _named(name, value)
                for name, value in event.metrics.items()
                if isinstance(value, int | float)
            ]
            bar.line(f"done: {', '.join(numbers)}", "good")
            if rows := before_and_after(event.metrics):
                draw_rows(bar.console, ("", "before", "after"), rows)
        case _:
            _draw_start(bar, event)


def _named(name: str, value: object) -> str:
    words = name.replace("_", " ")
    if name == "memory" and isinstance(value, int | float):
        return f"{words} {gigabytes(value)}"
    if isinstance(value, int) or (isinstance(value, float) and abs(value) >= READ_BY_DIGITS):
        return f"{words} {value:,.0f}"
    return f"{words} {value:.4g}" if isinstance(value, float) else f"{words} {value}"


def before_and_after(metrics: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """List what a run changed: its held-out numbers, general text, and the variety of writing."""
    rows = [
        (f"held-out {name}", before, metrics[f"held_out_{name}"])
        for name, before in metrics.get("held_out_before", {}).items()
    ]
    effects = metrics.get("effects")
    if effects:
        base, tuned = effects["base"], effects["tuned"]
        rows += [
            ("loss on general text", base["general_loss"], tuned["general_loss"]),
            ("different pairs of words", base["distinct_2"], tuned["distinct_2"]),
            ("likeness of answers (self-BLEU)", base["self_bleu"], tuned["self_bleu"]),
        ]
    return [(name, f"{before:.3f}", f"{after:.3f}") for name, before, after in rows]


def _measures(measures: Mapping[str, float]) -> list[str]:
    """Say what a method measures beside its loss, rewards first."""
    ordered = sorted(measures.items(), key=lambda item: ("reward" not in item[0], item[0]))
    return [f"{name} {value:.3g}" for name, value in ordered]


def _draw_start(bar: Bar, event: training.Begun) -> None:
    left_out: tuple[str, ...] = ()
    match event:
        case training.Started():
            data = f"{event.rows:,} {event.kind}, {event.tokens:,} tokens "
            data += f"({event.learned_tokens:,} learned)"
            left_out = event.left_out
            if event.continued:
                bar.line(f"training the adapter {event.continued} further")
        case training.ReaderStarted():
            data = f"{event.rows:,} rows ({event.answered:,} with an answer), "
            data += f"{event.tokens:,} tokens"
            left_out = event.left_out
        case training.RouterStarted():
            kinds = ", ".join(f"{rows:,} {label}" for label, rows in event.labels.items())
            data = f"{event.rows:,} rows ({kinds}), {event.tokens:,} tokens"
        case training.RetrieverStarted():
            data = f"{event.rows:,} queries on {event.texts:,} texts, {event.negatives:,} hard "
            data += f"negatives, {event.tokens:,} tokens"
    share = event.trainable / max(event.parameters, 1)
    bar.line(
        f"{data}, {event.steps:,} steps, "
        f"{event.trainable:,} weights of {event.parameters:,} ({share:.1%})"
    )
    if left_out:
        more = len(left_out) - SHOWN_ROWS
        shown = ", ".join(left_out[:SHOWN_ROWS]) + (f" and {more:,} more" * (more > 0))
        bar.line(f"too long and left out: {shown}", "note")
    if event.first_step:
        bar.line(f"going on after step {event.first_step}")


def _left(seconds: float) -> str:
    minutes = round(seconds / 60)
    if not minutes:
        return "less than a minute left"
    return f"{minutes // 60} h {minutes % 60} min left" if minutes >= 60 else f"{minutes} min left"
