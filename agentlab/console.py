"""The screen: draws what the agent does while it does it. Nothing else in agentlab draws a run."""

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markdown import Markdown
from rich.padding import Padding
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text
from rich.theme import Theme

from agentlab.answer import (
    Answer,
    Answered,
    Citation,
    Event,
    EvidenceSeen,
    Observed,
    Source,
    Step,
    Thought,
    Token,
    ToolCalled,
)
from agentlab.health import Check
from agentlab.prompts import SEARCHES, parse_answer
from ingest.evidence import MEANING, Evidence
from ingest.matching import match, snippet
from ingest.stores.base import Hit

WIDTH = 100
TOP_SOURCES = 3
SNIPPET = 300
_HANG = 4
THEME = Theme(
    {
        "step": "dim",
        "tool": "cyan",
        "good": "green",
        "bad": "red",
        "note": "yellow",
        "match": "bold underline",
        "markdown.code": "bold",
    }
)
STOPPED = {
    "steps": "stopped at the limit of tool calls; raise max_steps to allow more",
    "time": "stopped at the time budget; raise timeout_s to allow more",
    "repeat": "stopped because the same call came twice",
    "interrupted": "stopped by you",
    "empty": "the model gave no answer",
}
_SURE = 0.5
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_CITED = re.compile(r"\s*\[\d+\]")
_TAG = re.compile(r"(?P<code>(`+)[^`].*?\2)|<(?=[/!?A-Za-z])", re.DOTALL)
_QUOTE_START = ('"', "“")


def make_console(*, stderr: bool = False, quiet: bool = False) -> Console:
    """Open stdout or stderr for drawing: at most 100 columns, no colour off a terminal."""
    columns = min(shutil.get_terminal_size((WIDTH, 24)).columns, WIDTH)
    return Console(stderr=stderr, quiet=quiet, width=columns, theme=THEME, highlight=False)


def clean_inside(text: str) -> str:
    """Put a space for each control character, so that places in the text stay what they are."""
    return _CONTROL.sub(" ", text)


def clean(text: str) -> str:
    """Drop control characters: documents and web pages must not drive the terminal."""
    return _CONTROL.sub("", text)


@dataclass(frozen=True)
class Drawn:
    """What is left of a run: its answer, or the words that came before it was interrupted."""

    answer: Answer | None
    partial: str = ""
    interrupted: bool = False


class RunScreen:
    """Draws one run: steps on `steps`, and the answer on `answer` (None leaves it out)."""

    def __init__(self, steps: Console, answer: Console | None = None) -> None:
        self.steps = steps
        self.answer = answer
        self._written = ""
        self._status = "reading the question"

    def draw(self, events: Iterator[Event]) -> Drawn:
        """Draw until the answer; Ctrl-C closes the stream and keeps what was written."""
        answer: Answer | None = None
        try:
            with self._live():
                for event in events:
                    if isinstance(event, Answered):
                        answer = event.answer
                    else:
                        self._take(event)
        except KeyboardInterrupt:
            close = getattr(events, "close", None)
            if close is not None:
                close()
            return Drawn(answer, clean(self._written).strip(), interrupted=True)
        if answer is not None and self.answer is not None:
            draw_answer(self.answer, answer)
        return Drawn(answer)

    def _live(self) -> AbstractContextManager[object]:
        if not self.steps.is_terminal:
            return nullcontext()
        return Live(
            console=self.steps,
            get_renderable=self._current,
            refresh_per_second=8,
            transient=True,
            vertical_overflow="ellipsis",
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def _current(self) -> RenderableType:
        if not self._written.strip():
            return Spinner("dots", Text(self._status, style="step"), style="step")
        return preview(self._written)

    def _take(self, event: Event) -> None:
        if isinstance(event, Token):
            self._written += event.text
            return
        if isinstance(event, ToolCalled | Observed | Thought):
            self._written = ""
        self._status = _status(event)
        for line in event_lines(event):
            print_line(self.steps, line)


def preview(written: str) -> RenderableType:
    """Show an unfinished message: its quotes dim, the answer so far as Markdown."""
    lines = clean(written).splitlines()
    quotes = [line for line in lines if line.lstrip().startswith(_QUOTE_START)]
    body = "\n".join(line for line in lines if not line.lstrip().startswith(_QUOTE_START))
    parts: list[RenderableType] = [Text("  " + line, style="dim italic") for line in quotes]
    if body.strip():
        parts.append(_markdown(parse_answer(body).text))
    return Group(*parts)


def event_lines(event: Event) -> Iterator[Text]:
    """Put one event of a run into lines; tokens and citations have none."""
    if isinstance(event, EvidenceSeen):
        yield Text("  " + evidence_text(event.evidence), style="step")
    elif isinstance(event, Thought) and event.text.strip():
        yield Text("  " + clean(event.text).strip(), style="dim italic")
    elif isinstance(event, ToolCalled):
        yield Text.assemble("  ", (event.tool, "tool"), " ", arguments_text(event.arguments))
    elif isinstance(event, Observed):
        yield from observed_lines(event.step)


def evidence_text(evidence: Evidence) -> str:
    """Say how well the library matches the question, as the model was told."""
    titles = "; ".join(clean(title).replace(" > ", " › ") for title in evidence.titles)
    return f"library match: {evidence.strength}" + (f" — {titles}" if titles else "")


def arguments_text(arguments: Mapping[str, object]) -> str:
    """Write a tool's arguments; a lone query stands in quotes."""
    if set(arguments) == {"query"}:
        return f"“{clean(str(arguments['query']))}”"
    return clean(", ".join(f"{name}={value!r}" for name, value in arguments.items()))


def observed_lines(step: Step) -> Iterator[Text]:
    """List the best sources that a tool brought, or what went wrong."""
    if step.error:
        first = clean(step.observation).strip().splitlines() or ["no reason given"]
        yield Text(f"    failed: {first[0]}", style="bad")
        return
    for source in step.sources[:TOP_SOURCES]:
        yield Text(f"    [{source.number}] {source_text(source)}", style="step")
    more = len(step.sources) - TOP_SOURCES
    if more > 0:
        yield Text(f"    and {more} more", style="step")
    if not step.sources:
        first = clean(step.observation).strip().splitlines() or [""]
        said = "nothing found" if step.tool in SEARCHES else first[0]
        yield Text(f"    {said}", style="step")


def source_text(source: Source) -> str:
    """Name a source: title, page and heading, or title and address."""
    tail = source.heading if source.kind == "page" else source.location
    return clean(f"{source.label} · {tail}" if tail else source.label)


def draw_answer(console: Console, answer: Answer) -> None:
    """Draw an answer, what it rests on, and what it took."""
    console.print()
    _print_trimmed(console, _body(answer))
    console.print()
    draw_support(console, answer)
    print_line(console, Text("  " + summary(answer), style="step"))


def _body(answer: Answer) -> RenderableType:
    """Draw words of a source as they stand there, what a model worded as Markdown."""
    words = _CITED.sub("", answer.text).strip()
    if words and any(words in each.quote for each in answer.citations):
        return Text(clean(answer.text))
    return _markdown(answer.text)


def _markdown(text: str) -> Markdown:
    """Draw Markdown, in which a word in angle brackets is no HTML, which would not be shown."""
    return Markdown(_TAG.sub(lambda found: found["code"] or r"\<", clean(text)))


def draw_support(console: Console, answer: Answer) -> None:
    """Draw the checked citations of an answer, one quote with its source at a time."""
    for citation in _telling(answer.citations):
        print_line(console, citation_text(citation))
        print_line(console, Text(f"        {source_text(citation.source)}", style="step"))
    if answer.confidence is not None and answer.confidence < _SURE:
        print_line(console, Text(f"  not sure ({answer.confidence:.0%}): check it", style="note"))
    if nearest := answer.nearest:
        print_line(console, Text(f"  nearest: [{nearest.number}] “{clean(nearest.best or '')}”"))
        print_line(console, Text(f"        {source_text(nearest)}", style="step"))
    if answer.stopped:
        said = STOPPED.get(answer.stopped, f"stopped: {answer.stopped}")
        print_line(console, Text(f"  {said}", style="note"))
    searched = any(step.tool in SEARCHES for step in answer.steps)
    if searched and not answer.citations and not answer.abstained:
        console.print(Text("  no source is cited for this answer", style="note"))


def _telling(citations: Sequence[Citation]) -> list[Citation]:
    """Leave out supported claims whose words stand in a quote that is shown for the same source."""
    quoted = [(each.source.number, each.quote.lower()) for each in citations if each.supported]
    return [
        each
        for each in citations
        if each.quote
        or not each.supported
        or not any(
            number == each.source.number and each.claim.lower() in quote for number, quote in quoted
        )
    ]


def citation_text(citation: Citation) -> Text:
    """Write one citation with its verdict."""
    words = clean(citation.words).strip()
    verdict = ("  ✓ ", "good") if citation.supported else ("  ✗ ", "bad")
    tail = "" if citation.supported else " (unsupported: not in the source)"
    return Text.assemble(verdict, f"[{citation.source.number}] “{words}”", (tail, "bad"))


def summary(answer: Answer) -> str:
    """Say in one line what an answer took."""
    calls = answer.usage.model_calls
    tokens = answer.usage.prompt_tokens + answer.usage.completion_tokens
    parts = [f"{answer.seconds:.1f} s", f"{calls} model call{'s' if calls != 1 else ''}"]
    if tokens:
        parts.append(f"{tokens:,} tokens")
    if answer.model:
        parts.append(answer.model)
    return " · ".join(parts)


def draw_sources(console: Console, sources: Iterable[Source]) -> None:
    """List numbered sources."""
    listed = list(sources)
    if not listed:
        console.print(Text("  no sources yet: ask something first", style="step"))
    for source in listed:
        print_line(console, Text(f"  [{source.number}] {source_text(source)}"))


def draw_source(console: Console, source: Source) -> None:
    """Show one source whole: where it is from and its passage."""
    print_line(console, Text(f"  [{source.number}] {source_text(source)}", style="bold"))
    print_line(console, Text("  " + clean(source.location), style="step"))
    console.print(Padding(Text(clean(source.text)), (0, 2)))


def draw_trace(console: Console, answer: Answer) -> None:
    """Show every step of a run in full, and the model's own last message."""
    if answer.evidence is not None:
        print_line(console, Text("  " + evidence_text(answer.evidence), style="step"))
    for number, step in enumerate(answer.steps, 1):
        head = (f"  {number}. ", (step.tool, "tool"), f" {arguments_text(step.arguments)}")
        print_line(console, Text.assemble(*head, (f"  {step.seconds:.1f} s", "step")))
        style = "bad" if step.error else "step"
        console.print(Padding(Text(clean(step.observation), style=style), (0, 5)))
    console.print(Text("  model wrote", style="tool"))
    console.print(Padding(Text(clean(answer.raw)), (0, 5)))
    console.print(Text(f"  {summary(answer)} · run {answer.run} · thread {answer.thread}"))


def _status(event: Event) -> str:
    if isinstance(event, ToolCalled):
        return f"running {event.tool}"
    if isinstance(event, Observed):
        return "reading what came back"
    return "thinking"


def draw_rows(
    console: Console, header: Sequence[str] | None, rows: Sequence[Sequence[str]]
) -> None:
    """Draw a plain table: aligned columns, no lines."""
    table = Table(box=None, show_header=header is not None, padding=(0, 2), header_style="dim")
    for name in header or rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(clean(cell)) for cell in row))
    _print_trimmed(console, table)


def _print_trimmed(console: Console, drawn: RenderableType) -> None:
    """Print without the blanks that fill a line up, where they would end up in a file."""
    if console.is_terminal:
        console.print(drawn)
        return
    with console.capture() as captured:
        console.print(drawn)
    lines = (line.rstrip() for line in captured.get().splitlines())
    console.print(Text("\n".join(lines)), soft_wrap=True)


def draw_check(console: Console, check: Check) -> None:
    """Draw one check of the doctor: how it stands, and what to do."""
    mark, style = {"ok": ("✓", "good"), "note": ("·", "note"), "problem": ("✗", "bad")}[check.state]
    print_line(console, Text.assemble("  ", (mark, style), f" {check.name}: {clean(check.detail)}"))
    if check.advice:
        print_line(console, Text(f"      {clean(check.advice)}", style=style))


def draw_hits(
    console: Console,
    query: str,
    hits: Sequence[Hit],
    *,
    evidence: Evidence,
    alpha: str,
    full: bool = False,
) -> None:
    """Draw passages, best first: scores of each arm, and which words of the query they hold."""
    _print_indented(console, Text(evidence_text(evidence), style="step"), "  ")
    meaning = f"({evidence.strength}: {MEANING[evidence.strength]})"
    _print_indented(console, Text(meaning, style="step"), "  ")
    if hits:
        _print_indented(console, Text(alpha, style="step"), "  ")
    for number, hit in enumerate(hits, 1):
        chunk = hit.chunk
        why = match(query, chunk)
        where = f"{chunk.title}, {chunk.place}"
        where += f" · {chunk.heading}" if chunk.heading else ""
        scores = [f"score {hit.score:.2f}", f"cosine {hit.cosine:.2f}", f"BM25 {hit.keyword:.1f}"]
        scores += [f"holds {', '.join(why.held)}"] if why.held else []
        scores += [f"lacks {', '.join(why.missing)}"] if why.missing else []
        scores += hit.why
        width = len(chunk.text) if full else SNIPPET
        piece = snippet(clean_inside(chunk.text), why.spans, width=width)
        text = Text(piece.text)
        for span in piece.spans:
            text.stylize("match", *span)
        console.print()
        _print_indented(console, Text(clean(where), style="bold"), f"  {number}. ")
        _print_indented(console, Text(clean(" · ".join(scores)), style="step"), " " * 5)
        _print_indented(console, text, " " * 5)


def print_line(console: Console, text: Text) -> None:
    """Print a line at its own depth; what a terminal has no room for goes on four deeper."""
    if not console.is_terminal:
        console.print(text, soft_wrap=True)
        return
    depth = len(text.plain) - len(text.plain.lstrip())
    _print_indented(console, text[depth:], " " * depth, hang=_HANG)


def _print_indented(console: Console, text: Text, indent: str, *, hang: int = 0) -> None:
    """Print a text behind `indent`; its further lines begin `hang` deeper than the first."""
    for line in text.wrap(console, max(1, console.width - len(indent) - hang - 1)):
        line.rstrip()
        console.print(Text.assemble(indent, line), no_wrap=True)
        indent, hang = " " * (len(indent) + hang), 0


def transcript(answers: Sequence[Answer]) -> str:
    """Write a conversation as Markdown, every answer with what it rests on."""
    parts = []
    for answer in answers:
        lines = [f"## {answer.question}", "", answer.text, ""]
        for citation in answer.citations:
            mark = "supported" if citation.supported else "unsupported"
            lines.append(f"- [{citation.source.number}] “{citation.words}” ({mark})")
            lines.append(f"  {source_text(citation.source)}")
        parts.append("\n".join(lines).rstrip())
    return "\n\n".join(parts) + "\n"
