"""Data report: what `agentlab data` found or did, as tables on standard output."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from agentlab.console import clean, draw_rows, make_console
from ingest.amounts import count

if TYPE_CHECKING:
    from agentlab.synthesis.running import Synthesised, Wrote
    from finetune.data.converting import Converted
    from finetune.data.curation import Curated, Looked
    from finetune.data.measuring import Checked, Measures
    from finetune.data.splitting import Split


def show_check(found: "Checked") -> None:
    """Show the kinds of rows, who learns from them, and every bad one."""
    console = make_console()
    if found.kinds:
        counts = [(kind, f"{count:,}") for kind, count in found.kinds.items()]
        draw_rows(console, ("kind", "rows"), counts)
        methods = ", ".join(found.methods)
        said = f"  for {methods}" if methods else "  no method learns from these kinds together"
        console.print(Text(said, style="good" if methods else "bad"))
    if not found.rows:
        console.print(Text("  no rows", style="bad"))
    for fault in found.faults:
        console.print(Text(clean(str(fault)), style="bad"), soft_wrap=True)
    if found.faults:
        console.print(Text(f"  {len(found.faults):,} of {found.rows:,} rows are bad", style="bad"))


def show_measures(found: "Measures") -> None:
    """Show counts and percentiles."""
    from finetune.data.measuring import PERCENTILES

    console = make_console()
    facts: list[tuple[str, str]] = [
        ("rows", f"{found.rows:,}"),
        *[("bad rows", f"{found.faults:,}")] * bool(found.faults),
        ("said before, word for word", f"{found.duplicates:,}"),
    ]
    for name, counts in (
        ("kinds", found.kinds),
        ("roles", found.roles),
        ("tools called", found.tools),
        ("labels", found.labels),
        ("rows that name their", found.lineage),
    ):
        if counts:
            facts.append((name, _listed(counts)))
    draw_rows(console, None, facts)
    names = {"tokens": "tokens, whole row"}
    head = ("length", *(_percentile(share) for share in PERCENTILES), "total")
    rows = [
        (
            names.get(name, f"words {name}"),
            *(f"{value:,}" for value in values),
            f"{found.totals[name]:,}",
        )
        for name, values in found.lengths.items()
    ]
    if rows:
        draw_rows(console, head, rows)


def show_converted(done: "Converted", out: Path) -> None:
    """Show how many rows came of how many, and what was left out."""
    console = make_console()
    console.print(
        Text(f"  {count(done.written, 'row')} of {done.read:,} in {out}", style="good"),
        soft_wrap=True,
    )
    show_reasons("left out", done.left_out)


def show_split(done: "Split") -> None:
    """Show the parts."""
    total = sum(done.rows.values())
    rows = [
        (part, f"{count:,}", f"{count / total:.1%}", f"{done.groups[part]:,}", done.files[part])
        for part, count in done.rows.items()
    ]
    draw_rows(make_console(), ("part", "rows", "share", f"groups by {done.by}", "file"), rows)


def draw_curation(events: "Iterator[Looked | Curated]") -> "Curated":
    """Draw a curation while it runs; return what it did."""
    from agentlab.progress import Bar
    from finetune.data.curation import Curated

    with Bar(make_console(stderr=True)) as bar:
        for event in events:
            if isinstance(event, Curated):
                return event
            bar.show("rows", event.rows, event.of, f"{event.kept:,} kept")
    raise RuntimeError("The curation ended without a result.")


def show_curated(done: "Curated", out: Path) -> None:
    """Show how many rows were kept, and why the others were not."""
    said = f"  {count(done.kept, 'row')} of {done.rows:,} in {out}"
    make_console().print(Text(said, style="good"), soft_wrap=True)
    if done.resumed:
        note = f"  {done.resumed:,} rows were looked at before, by a run that was stopped"
        make_console().print(Text(note, style="step"), soft_wrap=True)
    show_reasons("dropped", done.dropped)
    show_reasons("masked", done.masked)


def draw_synthesis(events: "Iterator[Wrote | Synthesised]") -> "Synthesised":
    """Draw a synthesis while it runs; return what it did."""
    from agentlab.progress import Bar
    from agentlab.synthesis.running import Synthesised

    with Bar(make_console(stderr=True)) as bar:
        for event in events:
            if isinstance(event, Synthesised):
                return event
            note = f"{event.passages:,} passages, {event.refused:,} refused"
            bar.show("rows", min(event.rows, event.wanted), event.wanted, note)
    raise RuntimeError("The synthesis ended without a result.")


def show_synthesised(done: "Synthesised", out: Path, *, made: str, cost: float) -> None:
    """Show how many rows were made, by what, and what was refused."""
    console = make_console()
    by = "by rules from the sentences, without a model" if made == "sentences" else f"by {made}"
    said = f"  {done.rows:,} rows of {done.passages:,} passages in {out}, questions made {by}"
    console.print(Text(said, style="good"), soft_wrap=True)
    if done.resumed:
        console.print(Text(f"  {done.resumed:,} passages were done before", style="step"))
    if done.usage.calls:
        used = done.usage
        taken = f"  {used.calls:,} calls, {used.input_tokens:,} tokens read, "
        taken += f"{used.output_tokens:,} written"
        console.print(Text(taken + (f", cost {cost:,.4f}" if cost else ""), style="step"))
    show_reasons("refused", done.refused)
    if done.gave_up:
        from agentlab.synthesis.running import REMEDY

        said = f"  stopped, as {done.gave_up} passages in a row gave no row. {REMEDY}"
        console.print(Text(said, style="note"), soft_wrap=True)


def show_reasons(what: str, reasons: Mapping[str, int]) -> None:
    """Show how often each reason held."""
    rows: Sequence[tuple[str, str]] = [
        (why, f"{count:,}") for why, count in sorted(reasons.items(), key=lambda each: -each[1])
    ]
    if rows:
        draw_rows(make_console(), (what, "rows"), rows)


def _percentile(share: int) -> str:
    return {50: "median", 100: "longest"}.get(share, f"{share} %")


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
