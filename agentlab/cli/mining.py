"""`agentlab finetune mine`: questions become rows that retriever and generator are tuned on."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from agentlab.cli import options

if TYPE_CHECKING:
    from agentlab.asked import Asked
    from agentlab.settings import Settings
    from ingest.collection import Collection

EXAMPLES = """\b
Questions, one a line (a reader's rows are such, too):
  {"question": "...", "passage": "the text that answers", "answer": "the words that do"}

\b
Examples:
  agentlab finetune mine --questions asked.jsonl --out runs/searches.jsonl
  agentlab finetune mine --journal --made 500 --out runs/searches.jsonl
  agentlab data split runs/searches.jsonl --by document --out runs/searches
  agentlab finetune retriever --data runs/searches/train.jsonl \\
      --eval-data runs/searches/eval.jsonl --out embedders/mine
  agentlab finetune mine --questions asked.jsonl --for rag --out runs/lookups.jsonl
"""


def mine(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="JSONL to write.")],
    *,
    of_method: Annotated[
        Literal["retriever", "rag"], typer.Option("--for", help="What is tuned on the rows.")
    ] = "retriever",
    questions: Annotated[
        list[Path] | None,
        typer.Option(
            "--questions", metavar="FILE", help="Questions with their passages (may be repeated)."
        ),
    ] = None,
    journal: Annotated[
        bool, typer.Option("--journal", help="The questions whose answers were called /good.")
    ] = False,
    made: Annotated[
        int,
        typer.Option("--made", min=0, metavar="N", help="So many made of the library's sentences."),
    ] = 0,
    negatives: Annotated[
        int,
        typer.Option("--negatives", min=0, metavar="N", help="At most so many wrong texts a row."),
    ] = 5,
    sentences: Annotated[
        bool,
        typer.Option("--sentences/--no-sentences", help="Also rows of the sentence that answers."),
    ] = True,
    home: options.Home = None,
    config: options.Config = None,
) -> None:
    """Write the rows that retriever or rag are tuned on.

    They come from searching as the agent does. What is found for a question and does not answer it
    is a hard negative. A text that says the answer too is none; where nobody said the answer,
    neither is what is nearly as like the question as the right passage. For rag, a row holds all
    that is found and its vectors in the index; questions whose answer nobody said are left out. The
    same command goes on with what a killed one had done.
    """
    settings = options.resolve(config, home=home).settings
    from agentlab.agent import index_version
    from agentlab.cli.models import tell
    from agentlab.library import open_collection
    from agentlab.mining import Miner
    from agentlab.mining import mine as mine_rows
    from agentlab.progress import draw_mining

    collection = open_collection(settings, progress=tell)
    try:
        asked = _asked(settings, collection, questions or [], journal=journal, made=made)
        miner = Miner(collection, negatives=negatives, sentences=sentences)
        about = f"{index_version(collection)} {of_method} {negatives} {sentences}"
        rows_of = miner.lookups if of_method == "rag" else miner.searches
        draw_mining(mine_rows(asked, rows_of, out, about=about))
    finally:
        collection.close()
    sys.stdout.write(f"{out}\n")


def _asked(
    settings: "Settings", collection: "Collection", files: list[Path], *, journal: bool, made: int
) -> "list[Asked]":
    from agentlab import asked
    from agentlab.cli.data import open_journal

    found = asked.of_files(files) if files else []
    if journal:
        opened = open_journal(settings)
        try:
            found += asked.of_journal(opened)
        finally:
            opened.close()
    if made:
        found += asked.of_collection(collection.store.chunks(), count=made)
    if not found:
        message = "no questions: give --questions FILE, --journal or --made N"
        raise typer.BadParameter(message, param_hint="--questions")
    return found
