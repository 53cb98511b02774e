"""`agentlab data synthesise`: training rows made from the library's passages."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from agentlab.cli import options

if TYPE_CHECKING:
    from agentlab.model import OpenModel
    from agentlab.settings import Settings
    from agentlab.synthesis.rows import Builder
    from agentlab.synthesis.writing import Maker
    from ingest.collection import Collection
    from ingest.documents import Chunk

EXAMPLES = """\b
Kinds:
  qa             {"instruction": question, "context": passage, "response": answer, ...}
  questions      {"prompt": question, "answers": [answer], "route": ...}, for grpo and rollouts
  reader         where in the passage the answer stands; what trains a reader
  raft           the passage among others that the search finds; quote, then answer
  conversations  search, quote and answer, exactly as the agent works
  pairs          the right quote against the one that comes nearest, for dpo, orpo, reward

\b
Examples:
  agentlab data synthesise --kind conversations --count 500 --out talks.jsonl
  agentlab data synthesise --kind raft --distractors 3 --oracle 0.8 --out raft.jsonl
  agentlab data synthesise --kind qa --base-url http://localhost:8000/v1 --model NAME --out qa.jsonl
  agentlab data synthesise --kind qa --model gpt-5-mini --engine openai --price-in 0.25 \\
      --price-out 2 --out qa.jsonl
"""
Kind = Literal["qa", "questions", "reader", "raft", "conversations", "pairs"]
Way = Literal["auto", "model", "sentences"]
_PARALLEL = 4
_PATIENCE = 20


def synthesise(
    *,
    kind: Annotated[Kind, typer.Option("--kind", "-k", help="What to make; see below.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="JSONL to write.")],
    count: Annotated[
        int, typer.Option("--count", "-n", min=1, metavar="N", help="How many rows.")
    ] = 200,
    per_passage: Annotated[
        int,
        typer.Option("--per-passage", min=1, metavar="N", help="At most so many of one passage."),
    ] = 2,
    way: Annotated[
        Way,
        typer.Option(
            "--questions",
            help="By a `model`, or by rules from the `sentences`; auto is the model, but for the "
            "starter model, which was not made for it.",
        ),
    ] = "auto",
    source: Annotated[
        list[str] | None,
        typer.Option("--source", metavar="NAME", help="Only of this document (may be repeated)."),
    ] = None,
    distractors: Annotated[
        int,
        typer.Option("--distractors", min=1, metavar="N", help="raft: other passages in a row."),
    ] = 3,
    oracle: Annotated[
        float,
        typer.Option(
            "--oracle",
            min=0,
            max=1,
            metavar="SHARE",
            help="raft: share of rows that hold the passage.",
        ),
    ] = 0.8,
    memorise: Annotated[
        bool,
        typer.Option(
            "--memorise", help="raft: answer without the passage too, instead of declining."
        ),
    ] = False,
    absent: Annotated[
        float,
        typer.Option(
            "--absent",
            min=0,
            max=1,
            metavar="SHARE",
            help="conversations, pairs: share whose answer is hidden.",
        ),
    ] = 0.2,
    answer_tokens: Annotated[
        int,
        typer.Option(
            "--answer-tokens",
            min=16,
            metavar="N",
            help="Longest reply of the model: less if it reads few tokens, more if it thinks.",
        ),
    ] = 1024,
    parallel: Annotated[
        int | None,
        typer.Option(
            "--parallel",
            min=1,
            metavar="N",
            help=f"Passages asked at a time [{_PARALLEL}; in this process 1].",
        ),
    ] = None,
    price_in: Annotated[
        float,
        typer.Option("--price-in", min=0, metavar="SUM", help="Price of a million tokens read."),
    ] = 0.0,
    price_out: Annotated[
        float,
        typer.Option(
            "--price-out", min=0, metavar="SUM", help="Price of a million tokens written."
        ),
    ] = 0.0,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", help="The same seed, the same passages.")
    ] = 7,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
    model: options.Model = None,
    engine: options.Engine = None,
    base_url: options.BaseUrl = None,
    home: options.Home = None,
    config: options.Config = None,
) -> None:
    """Make training rows from the passages of the library.

    Each is verified in its passage: a quote must stand in the passage letter by letter, the answer
    in the quote; a question must stand alone and not hold its answer. Conversations and pairs are
    asked of the library itself, with the agent's own search and evidence, and left out where these
    would mislead. What is refused is counted by its reason.

    Questions come from any model (--model, --base-url, --engine), or without one from the sentences
    themselves, by rules; every row says which under `made`, and so does the end of the run. A model
    of which 20 passages in a row give no row is asked no more: small ones rarely copy a quote right
    (one of 135M parameters gave none where it was tried). A run that was stopped, even by kill -9,
    goes on where it was with the same command.
    """
    from agentlab.cli.data import write
    from agentlab.cli.data_report import draw_synthesis, show_synthesised
    from agentlab.cli.models import tell
    from agentlab.library import open_collection
    from agentlab.model import open_model
    from agentlab.resolving import with_changes
    from agentlab.synthesis.running import Plan
    from agentlab.synthesis.running import synthesise as make_rows

    settings = options.resolve(
        config, home=home, model=model, engine=engine, base_url=base_url
    ).settings
    by_model = _by_model(way, settings)
    opened = None
    collection = open_collection(settings, progress=tell)
    try:
        chunks = _chunks(collection, source or [])
        build = _builder(
            kind, collection, distractors=distractors, oracle=oracle, memorise=memorise,
            absent=absent,
        )  # fmt: skip
        if by_model:
            opened = open_model(with_changes(settings, max_tokens=answer_tokens), progress=tell)
        made = f"model {opened.name}" if opened else "sentences"
        plan = Plan(
            out=out,
            count=count,
            seed=seed,
            parallel=_threads(opened, parallel),
            patience=_PATIENCE if opened else None,
            settings={
                "kind": kind, "made": made, "per_passage": per_passage, "source": source or [],
                "distractors": distractors, "oracle": oracle, "memorise": memorise,
                "absent": absent,
            },
        )  # fmt: skip
        events = make_rows(chunks, make=_maker(opened, per_passage), build=build, plan=plan)
        done = draw_synthesis(events)
    finally:
        collection.close()
        if opened:
            opened.close()
    cost = done.usage.cost(price_in, price_out)
    if as_json:
        write({**done.to_dict(), "made": made, "cost": round(cost, 6), "out": str(out)})
    else:
        show_synthesised(done, out, made=made, cost=cost)


def _by_model(way: Way, settings: "Settings") -> bool:
    from agentlab.model import STARTER, choose_engine

    if way == "auto":
        return settings.model != STARTER or choose_engine(settings) == "openai"
    return way == "model"


def _maker(opened: "OpenModel | None", per_passage: int) -> "Maker":
    from agentlab.synthesis.sentences import draft_of_sentences
    from agentlab.synthesis.writing import Drafted, model_maker

    if opened:
        return model_maker(opened, per_passage)
    return lambda chunk: Drafted(tuple(draft_of_sentences(chunk, per_passage)))


def _threads(opened: "OpenModel | None", parallel: int | None) -> int:
    """Ask a server several things at a time; a model in this process takes one."""
    if opened is None or opened.engine == "transformers":
        return 1
    return parallel or _PARALLEL


def _builder(
    kind: Kind,
    collection: "Collection",
    *,
    distractors: int,
    oracle: float,
    memorise: bool,
    absent: float,
) -> "Builder":
    from agentlab.synthesis.rows import SIMPLE, raft_builder
    from agentlab.synthesis.talks import pair_builder, talk_builder

    if kind == "raft":
        return raft_builder(collection, distractors=distractors, oracle=oracle, memorise=memorise)
    if kind == "conversations":
        return talk_builder(collection, absent=absent)
    if kind == "pairs":
        return pair_builder(collection, absent=absent)
    return SIMPLE[kind]


def _chunks(collection: "Collection", names: list[str]) -> "list[Chunk]":
    from ingest.catalog import find_document, list_documents

    if not names:
        return list(collection.store.chunks())
    entries = list_documents(collection.store)
    sources = {find_document(entries, name).record.source for name in names}
    return [chunk for chunk in collection.store.chunks() if chunk.source in sources]
