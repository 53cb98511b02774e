"""Progress: draws long work, a bar on a terminal and plain lines elsewhere, on stderr."""

import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

from agentlab.console import clean, make_console
from finetune import events as training
from ingest import pipeline

LINE_EVERY_S = 15.0
SHOWN_ROWS = 10


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
        self.console.print(Text(f"  {clean(text).rstrip()}", style=style), soft_wrap=True)


def draw_ingest(events: Iterator[pipeline.Event], *, quiet: bool = False) -> int:
    """Draw an ingest and its report; return the report's exit code."""
    code = 0
    files = done = 0
    with Bar(make_console(stderr=True, quiet=quiet)) as bar:
        for event in events:
            match event:
                case pipeline.Planned():
                    files = event.files
                case pipeline.Parsed():
                    bar.show("reading", done, files, f"{event.title}, {event.pages} pages")
                    if event.blank_pages:
                        bar.line(f"{event.source}: {_blank(event.blank_pages)}", "note")
                case pipeline.Embedded():
                    share = event.done / max(event.total, 1)
                    name = Path(event.source).name
                    bar.show("reading", done + share, files, f"{name}, {event.total} passages")
                case pipeline.Written() | pipeline.Unchanged() | pipeline.Duplicate():
                    done += 1
                    bar.show("reading", done, files, Path(event.source).name)
                case pipeline.Skipped():
                    done += 1
                    bar.show("reading", done, files, f"left out {Path(event.source).name}")
                case pipeline.Finishing():
                    bar.show("reading", files, files, "measuring what the library covers")
                case pipeline.Finished(report):
                    code = report.exit_code
                    _draw_report(make_console(), make_console(stderr=True), report)
    return code


def _draw_report(console: Console, errors: Console, report: pipeline.Report) -> None:
    """Draw the counts, and what was left out where errors go."""
    parts = []
    if report.documents:
        parts.append(
            f"read {_count(report.documents, 'document')}: {_count(report.pages, 'page')}, "
            f"{_count(report.chunks, 'passage')}"
        )
    if report.unchanged:
        parts.append(f"{report.unchanged} unchanged")
    if report.duplicates:
        parts.append(_count(len(report.duplicates), "duplicate"))
    if report.skipped:
        parts.append(f"{len(report.skipped)} left out")
    console.print(Text(f"{'; '.join(parts)} ({report.seconds:.1f} s)"), soft_wrap=True)
    holds = f"{_count(report.total_documents, 'document')}, "
    holds += _count(report.total_chunks, "passage")
    console.print(Text(f"the library holds {holds}"))
    for remark in report.remarks:
        text = clean(f"{remark.source}: {remark.detail}")
        errors.print(Text(f"note: {text}", style="note"), soft_wrap=True)
    for each in report.skipped:
        errors.print(Text(f"left out: {_skipped(each)}", style="bad"), soft_wrap=True)


def _skipped(event: pipeline.Skipped) -> str:
    return clean(f"{event.source} ({event.reason}): {event.detail}; {event.remedy}")


def _blank(pages: tuple[int, ...]) -> str:
    listed = ", ".join(map(str, pages[:10])) + (" ..." if len(pages) > 10 else "")
    return f"no text on {_count(len(pages), 'page')} ({listed}); a scan needs ocrmypdf first"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def draw_training(events: Iterator[training.Event]) -> Path:
    """Draw a training run; return the folder of its adapter."""
    folder = Path()
    with Bar(make_console(stderr=True)) as bar:
        for event in events:
            if isinstance(event, training.Finished):
                folder = event.folder
            _draw_training_event(bar, event)
    return folder


def _draw_training_event(bar: Bar, event: training.Event) -> None:
    match event:
        case training.Started() | training.ReaderStarted() | training.RouterStarted():
            _draw_start(bar, event)
        case training.Progress():
            note = f"loss {event.loss:.3f} · {event.tokens_per_second:,.0f} tokens/s"
            bar.show("step", event.step, event.steps, f"{note} · {_left(event.seconds_left)}")
        case training.Evaluated():
            bar.line(f"step {event.step}: held-out loss {event.loss:.4f}")
        case training.Saved():
            bar.line(f"step {event.step}: saved {event.folder}")
        case training.Finished():
            numbers = [
                f"{name} {value:.4g}"
                for name, value in event.metrics.items()
                if isinstance(value, int | float)
            ]
            bar.line(f"done: {', '.join(numbers)}", "good")


def _draw_start(
    bar: Bar, event: training.Started | training.ReaderStarted | training.RouterStarted
) -> None:
    left_out: tuple[str, ...] = ()
    match event:
        case training.Started():
            data = f"{event.conversations:,} conversations, {event.tokens:,} tokens "
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
    return f"{minutes // 60} h {minutes % 60} min left" if minutes >= 60 else f"{minutes} min left"
