"""`agentlab finetune`: tune a language model or an embedder, or train a reader or a router."""

import sys

import typer

from agentlab.cli import (
    export,
    feedback_rounds,
    mining,
    options,
    rollouts,
    starter,
    training,
    tuning,
)

EXAMPLES = """\b
Examples:
  agentlab advise --data talks.jsonl --goal "call our tools right"
  agentlab finetune sft --recipe laptop-cpu --data talks.jsonl --out adapters/mine --dry-run
  agentlab finetune sft --recipe laptop-cpu --data talks.jsonl --out adapters/mine
  agentlab finetune export adapters/mine --out exports/mine
"""

READER_EXAMPLES = """\b
Examples:
  agentlab finetune reader --data rows.jsonl --out readers/mine
  agentlab finetune reader --data rows.jsonl --out readers/mine --resume
  agentlab finetune reader --data more.jsonl --out readers/next --set reader=readers/mine
"""

ROUTER_EXAMPLES = """\b
Rows, one a line:
  {"text": "How tall is the tower?", "label": "ask"}
  {"text": "thanks, that helped", "label": "talk"}

\b
Examples:
  agentlab finetune router --data rows.jsonl --out routers/mine
  agentlab finetune router --data rows.jsonl --eval-data others.jsonl --out routers/mine
  agentlab finetune router --data rows.jsonl --out routers/mine --set layers=3 --set epochs=4
  agentlab finetune router --data rows.jsonl --out routers/mine --resume
"""

RETRIEVER_EXAMPLES = """\b
Rows, one a line:
  {"query": "How tall is the tower?", "positive": "The tower, at 40 m, ...", "negatives": ["..."]}

\b
Examples:
  agentlab finetune mine --questions asked.jsonl --out rows.jsonl
  agentlab finetune retriever --data rows.jsonl --out embedders/mine
  agentlab finetune retriever --data rows.jsonl --eval-data others.jsonl --out embedders/mine
  agentlab finetune retriever --data rows.jsonl --out embedders/mine --resume

\b
The result is an embedder. The library is embedded anew with it while it is searched as before:
  agentlab store reembed --embedder embedders/mine
"""

app = typer.Typer(
    epilog=EXAMPLES,
    no_args_is_help=True,
    rich_markup_mode=None,
)
tuning.register(app)
app.command(epilog=feedback_rounds.EXAMPLES)(feedback_rounds.rlmf)


@app.callback()
def group() -> None:
    """Tune models, embedder, reader and router.

    It needs pip install 'agentlab-rag[train]'. `agentlab advise` says which method fits. Several
    GPUs: --set processes=N, which starts N processes itself, without `accelerate launch`.
    """
    from finetune.processes import check_launch

    check_launch()


@app.command(epilog=READER_EXAMPLES)
def reader(
    *,
    recipe: training.Recipe = "reader",
    data: training.Data = None,
    eval_data: training.EvalData = None,
    model: training.Base = None,
    out: training.Folder = None,
    change: training.Change = None,
    resume: training.Resume = False,
    config: options.Config = None,
) -> None:
    """Train a reader, which finds the answer in a passage.

    Or it says that there is none. A row is {"question": ..., "title": ..., "passage": ...,
    "answer": [start, end] or null}.
    """
    from finetune.config import load_reader_config

    given = {"data": data, "eval_data": eval_data, "model": model, "out": out}
    plan = load_reader_config(recipe, given | training.values(change))
    plan, base = training.with_base(plan, config)
    try:
        from finetune.reader_training import train_reader
    except ImportError as error:
        raise training.not_installed(error) from error
    sys.stdout.write(f"{training.draw(train_reader(plan, base=base, resume=resume))}\n")


@app.command(epilog=ROUTER_EXAMPLES)
def router(
    *,
    recipe: training.Recipe = "router",
    data: training.Data = None,
    eval_data: training.EvalData = None,
    model: training.Base = None,
    out: training.Folder = None,
    change: training.Change = None,
    resume: training.Resume = False,
    config: options.Config = None,
) -> None:
    """Train a router, which tells kinds of question apart.

    A row is {"text": ..., "label": ...}. The labels are what the rows say, two or more; all count
    alike, however few rows a label has. With --eval-data, metrics.json says how many texts of each
    label are told right.
    """
    from finetune.config import load_router_config

    given = {"data": data, "eval_data": eval_data, "model": model, "out": out}
    plan = load_router_config(recipe, given | training.values(change))
    plan, base = training.with_base(plan, config)
    try:
        from finetune.router_training import train_router
    except ImportError as error:
        raise training.not_installed(error) from error
    sys.stdout.write(f"{training.draw(train_router(plan, base=base, resume=resume))}\n")


@app.command(epilog=RETRIEVER_EXAMPLES)
def retriever(
    *,
    recipe: training.Recipe = "retriever",
    data: training.Data = None,
    eval_data: training.EvalData = None,
    model: training.Base = None,
    out: training.Folder = None,
    change: training.Change = None,
    resume: training.Resume = False,
    config: options.Config = None,
) -> None:
    """Tune the embedder on questions of your own documents.

    The embedder finds passages. A query is to be nearer to its text than the other texts of its
    batch and the negatives of its row. With --eval-data, how often the right text is found is
    measured before and after.
    """
    from finetune.config import load_retriever_config

    given = {"data": data, "eval_data": eval_data, "model": model, "out": out}
    plan = load_retriever_config(recipe, given | training.values(change))
    plan, base = training.with_base(plan, config)
    try:
        from finetune.retriever_training import train_retriever
    except ImportError as error:
        raise training.not_installed(error) from error
    sys.stdout.write(f"{training.draw(train_retriever(plan, base=base, resume=resume))}\n")


app.command(epilog=rollouts.EXAMPLES)(rollouts.rollouts)
app.command(epilog=export.EXAMPLES)(export.export)
app.command(epilog=mining.EXAMPLES)(mining.mine)
app.command(epilog=starter.PASSAGE_EXAMPLES)(starter.passages)
app.command(epilog=starter.ROUTE_EXAMPLES)(starter.routes)
app.command(epilog=starter.INTENT_EXAMPLES)(starter.intents)
app.command(epilog=starter.PASSAGE_EXAMPLES)(starter.calibrate)
app.command(epilog=starter.CONVERSATION_EXAMPLES)(starter.conversations)
