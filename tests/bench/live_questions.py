"""Where questions for today are looked up first, half of them on subjects of real PDFs.

    OMP_NUM_THREADS=2 python tests/bench/live_questions.py PDF_FOLDER

The questions (`live_questions.toml`) were written by others, who saw no code and no answer. All
documents of the folder lie in one library. Right is the web.
"""

import argparse
import tempfile
import tomllib
from collections import Counter
from functools import partial
from pathlib import Path

from first_searches import place
from pdf_questions import fill

from agentlab.library import open_collection, open_router
from agentlab.resolving import load_settings, with_changes
from agentlab.router import first_calls

CASES = Path(__file__).with_suffix(".toml")


def main() -> None:
    """Print where they are looked up first."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    cases = tomllib.loads(CASES.read_text(encoding="utf-8"))["case"]
    counts = {True: Counter[str](), False: Counter[str]()}
    with tempfile.TemporaryDirectory() as scratch:
        settings = with_changes(load_settings().settings, home=Path(scratch))
        fill(settings, given.folder)
        collection, router = open_collection(settings), open_router(settings)
        for case in cases:
            asked = case["question"]
            first = first_calls(
                router.kinds(asked),
                collection.probe(asked).strength,
                answers=partial(collection.answers, asked),
            )
            counts[case["covered"]][place(first)] += 1
        collection.close()
    print("| questions for today | asked | web first | library first | the model decides | none |")
    print("|---|---|---|---|---|---|")
    for covered, name in ((True, "on the library's subjects"), (False, "on others")):
        found = counts[covered]
        cells = (found.total(), *(found[each] for each in ("web", "library", "model", "none")))
        print(f"| {name} | {' | '.join(map(str, cells))} |")


if __name__ == "__main__":
    main()
