"""Questions whose answer is a whole list: how many get every item, and what that costs the others.

    OMP_NUM_THREADS=2 python tests/bench/list_questions.py [--misses]

The passages (`list_questions.toml`) were written for this, with their lists as PDFs give them; each
is a document of one library, and the web is off. A question asks for a list, for one of its items,
or for what the prose around it says. All are asked with and without `whole_lists`; those that were
written after the lists had been built count apart.
"""

import argparse
import tempfile
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fpdf import FPDF
from pdf_questions import fill
from rich.console import Console
from rich.progress import track

from agentlab import Agent, Answer
from agentlab.estimates import share
from agentlab.evaluation import all_text
from agentlab.resolving import load_settings, with_changes
from agentlab.settings import Settings

PASSAGES = Path(__file__).with_suffix(".toml")
KINDS = ("list", "one", "prose")


@dataclass(frozen=True)
class Case:
    """A question of a kind, and the words that its answer must hold."""

    kind: str
    question: str
    wanted: tuple[str, ...]
    blind: bool

    def held(self, answer: Answer) -> list[bool]:
        """Tell which of the words an answer holds; the quotes count where it is not a list."""
        told = answer.text if self.kind == "list" else all_text(answer)
        words = " ".join(told.split()).casefold()
        return [each.casefold() in words for each in self.wanted]


def read_passages() -> list[dict[str, Any]]:
    """Read the passages with their questions."""
    passages: list[dict[str, Any]] = tomllib.loads(PASSAGES.read_text(encoding="utf-8"))["passage"]
    return passages


def cases(passages: Sequence[Mapping[str, Any]]) -> list[Case]:
    """List the questions."""
    return [
        Case(
            kind,
            row["question"],
            tuple(row.get("items") or [row["answer"]]),
            passage.get("blind", False),
        )
        for passage in passages
        for kind in KINDS
        for row in passage[kind]
    ]


def render(passage: Mapping[str, Any], path: Path) -> None:
    """Write a passage as a PDF: title and heading in bold, its lines as they are."""
    pdf = FPDF()
    pdf.core_fonts_encoding = "windows-1252"
    pdf.set_title(passage["title"])
    pdf.add_page()
    for text, size in ((passage["title"], 18), (passage["heading"], 13)):
        pdf.set_font("helvetica", "B", size)
        pdf.multi_cell(0, size / 2, text, new_x="LMARGIN", new_y="NEXT")
    pdf.set_font("helvetica", "", 10)
    for line in passage["text"].strip().splitlines():
        pdf.cell(0, 5 if line.strip() else 3, line, new_x="LMARGIN", new_y="NEXT")
    pdf.output(str(path))


def ask_all(settings: Settings, asked: Sequence[Case]) -> list[Answer]:
    """Ask every question."""
    with Agent(settings) as agent:
        bar = track(asked, "asking", console=Console(stderr=True))
        return [agent.ask(case.question) for case in bar]


def rows(told: Iterable[tuple[Case, Answer]], *, blind: bool) -> dict[str, str]:
    """Count, of each kind, the questions whose answer holds all that it should."""
    held = [(case.kind, case.held(answer)) for case, answer in told if case.blind == blind]
    whole = {kind: [all(each) for own, each in held if own == kind] for kind in KINDS}
    items = [item for kind, each in held if kind == "list" for item in each]
    return {
        "list: every item is in the answer": str(share(sum(whole["list"]), len(whole["list"]))),
        "items of the lists in the answers": str(share(sum(items), len(items))),
        "one item: quote or answer holds it": str(share(sum(whole["one"]), len(whole["one"]))),
        "prose: quote or answer holds it": str(share(sum(whole["prose"]), len(whole["prose"]))),
    }


def main() -> None:
    """Ask with and without whole lists, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--misses", action="store_true", help="tell what whole lists miss of the seen"
    )
    given = parser.parse_args()
    passages = read_passages()
    asked = cases(passages)
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as folder:
        base = with_changes(load_settings().settings, home=Path(home), journal=False, web="off")
        for number, passage in enumerate(passages):
            render(passage, Path(folder) / f"{number:02}.pdf")
        fill(base, Path(folder))
        without, whole = (
            ask_all(with_changes(base, whole_lists=on), asked) for on in (False, True)
        )
    print("| | seen, `whole_lists=false` | starter | blind, `whole_lists=false` | starter |")
    print("|---|---|---|---|---|")
    columns = [
        rows(zip(asked, answers, strict=True), blind=blind)
        for blind in (False, True)
        for answers in (without, whole)
    ]
    for name in columns[0]:
        print(f"| {name} | {' | '.join(each[name] for each in columns)} |")
    if given.misses:
        for case, answer in zip(asked, whole, strict=True):
            if not (case.blind or all(case.held(answer))):
                print(f"\n{case.kind}: {case.question}\n  {answer.raw}\n  wanted: {case.wanted}")


if __name__ == "__main__":
    main()
