"""Questions that a new user asks of real PDFs: how many get the answer, its page, or an honest no.

    OMP_NUM_THREADS=2 python tests/bench/pdf_questions.py PDF_FOLDER [--blind] [--misses]

The questions (`pdf_questions.toml`) were written from the documents without an answer of the agent
in view. All documents of the folder lie in one library; the web is off. Those that are blind are
kept from whoever mends what goes wrong: `--misses` tells those of the others only.
"""

import argparse
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track

from agentlab import Agent, Answer
from agentlab.estimates import area, share
from agentlab.evaluation import all_text, first_score
from agentlab.library import open_collection
from agentlab.resolving import load_settings, with_changes
from agentlab.settings import Settings
from agentlab.starter.exam import holds_one
from ingest.config import IngestConfig
from ingest.pipeline import ingest

CASES = Path(__file__).with_suffix(".toml")


@dataclass(frozen=True)
class Case:
    """A question; `answers` are short answers on a page of a document, none for a near miss.

    Nobody who mends the agent has seen how a `blind` one went.
    """

    question: str
    document: str = ""
    page: int = 0
    earlier: str = ""
    answers: tuple[str, ...] = ()
    blind: bool = False


@dataclass(frozen=True)
class Told:
    """How a case went; a near miss is told where the agent says that it found nothing."""

    case: Case
    answer: Answer

    @property
    def cited(self) -> bool:
        """Tell whether a citation leads to the page."""
        return any(
            each.supported
            and Path(each.source.location).name == self.case.document
            and each.source.page == self.case.page
            for each in self.answer.citations
        )

    def marks(self) -> dict[str, bool]:
        """Judge the answer."""
        if not self.case.answers:
            return {"near miss: says that it found nothing": self.answer.abstained}
        kind = "follow-up" if self.case.earlier else "question"
        return {
            f"{kind}: quote or answer holds it": holds_one(
                all_text(self.answer), self.case.answers
            ),
            f"{kind}: short answer holds it": holds_one(self.answer.text, self.case.answers),
            f"{kind}: its page is cited": self.cited,
            f"{kind}: says that it found nothing": self.answer.abstained,
        }


def read_cases() -> list[Case]:
    """Read the questions."""
    rows = tomllib.loads(CASES.read_text(encoding="utf-8"))["case"]
    return [Case(**row | {"answers": tuple(row.get("answers", ()))}) for row in rows]


def ask(agent: Agent, case: Case) -> Told:
    """Ask a question, a follow-up after the one before it."""
    thread = agent.ask(case.earlier).thread if case.earlier else None
    return Told(case, agent.ask(case.question, thread=thread))


def fill(settings: Settings, folder: Path) -> None:
    """Ingest the documents."""
    collection = open_collection(settings)
    for _ in ingest([folder], collection=collection, config=IngestConfig()):
        pass
    collection.close()


def row(name: str, groups: Sequence[Sequence[Told]]) -> str:
    """Write how often a mark was given in each group."""
    given = [[marks[name] for each in group if name in (marks := each.marks())] for group in groups]
    cells = [str(share(sum(each), len(each))) if each else "" for each in given]
    return f"| {name} | {' | '.join(cells)} |"


def area_row(groups: Sequence[Sequence[Told]]) -> str:
    """Write how well the reader's score tells questions that are answered from near misses."""
    cells = []
    for group in groups:
        scores: dict[bool, list[float]] = {True: [], False: []}
        for each in group:
            scores[bool(each.case.answers)].append(first_score(each.answer) or 0.0)
        cells.append(str(area(scores[False], scores[True])) if group else "")
    return f"| answered against near miss, AUC of the reader's score | {' | '.join(cells)} |"


def tell(told: Told) -> str:
    """Write a miss."""
    lines = [told.case.question, *(f"  step: {each.observation}" for each in told.answer.steps)]
    return "\n".join([*lines, f"  answer: {told.answer.text}", f"  wanted: {told.case.answers}"])


def main() -> None:
    """Ask everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--blind", action="store_true", help="ask the blind ones only")
    parser.add_argument("--misses", action="store_true", help="tell those of the others")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        settings = with_changes(
            load_settings().settings, home=Path(scratch), journal=False, web="off"
        )
        fill(settings, given.folder)
        with Agent(settings) as agent:
            cases = [each for each in read_cases() if each.blind or not given.blind]
            bar = track(cases, "asking", console=Console(stderr=True))
            told = [ask(agent, case) for case in bar]
    seen, blind = ([each for each in told if each.case.blind == kept] for kept in (False, True))
    print("| | seen | blind |\n|---|---|---|")
    for name in dict.fromkeys(name for each in told for name in each.marks()):
        print(row(name, (seen, blind)))
    print(area_row((seen, blind)))
    if given.misses:
        wrong = [each for each in seen if not next(iter(each.marks().values()))]
        print("\n\n".join(map(tell, wrong)))


if __name__ == "__main__":
    main()
