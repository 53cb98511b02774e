"""`agentlab data`: look at what there is to learn from, and make more and better of it."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from agentlab.cli import options, synthesise
from agentlab.errors import FAILED

if TYPE_CHECKING:
    from agentlab.journal import Journal
    from agentlab.settings import Settings
    from finetune.data.tokens import TokenCounter

KINDS = """\b
Rows, one a line of JSONL (or a row of CSV, Parquet or a JSON list):
  {"messages": [{"role": ..., "content": ...}, ...], "tools": [...]}       sft
  {"instruction": ..., "context": ..., "response": ...}                    sft
  {"text": ...}                                                            cpt, sft
  {"prompt": ..., "chosen": ..., "rejected": ...}                          dpo, orpo, reward
  {"prompt": ..., "completion": ..., "label": true}                        kto
  {"prompt": ..., "completions": [best, ..., worst]}                       reward, dpo, orpo
  {"prompt": ..., more fields for the rewards}                             ppo, grpo
  {"query": ..., "positive": ..., "negatives": [...]}                      retriever
  {"question": ..., "answer": ..., "passages": [...]}                      rag
  {"question": ..., "title": ..., "passage": ..., "answer": [start, end]}  reader
  {"text": ..., "label": ...}                                              router
A prompt or an answer is a text or a list of messages. `run`, `document` and `source` say
where a row comes from.

\b
Examples:
  agentlab data synthesise --kind conversations --out talks.jsonl
  agentlab data check talks.jsonl
  agentlab data split talks.jsonl --out split
"""
CHECK_EXAMPLES = """\b
Examples:
  agentlab data check talks.jsonl
  agentlab data check pairs.csv more-pairs.parquet folder
  agentlab data check talks.jsonl --json
"""
STATS_EXAMPLES = """\b
Examples:
  agentlab data stats talks.jsonl
  agentlab data stats talks.jsonl --model starter
"""
CONVERT_EXAMPLES = """\b
Examples:
  agentlab data convert dolly.jsonl --to sft --template dolly --out talks.jsonl
  agentlab data convert rankings.jsonl --to dpo --out pairs.jsonl
  agentlab data convert --from journal --to kto --out thumbs.jsonl
"""
SPLIT_EXAMPLES = """\b
Examples:
  agentlab data split talks.jsonl --out split
  agentlab data split talks.jsonl --out split --by document --ratios train=0.8,eval=0.1,test=0.1
"""

CURATE_EXAMPLES = """\b
Examples:
  agentlab data curate talks.jsonl --out clean.jsonl
  agentlab data curate talks.jsonl --out clean.jsonl --against eval.jsonl --region DE
  agentlab data curate talks.jsonl --out clean.jsonl --model starter --max-tokens 2048
"""

Files = Annotated[
    list[Path],
    typer.Argument(metavar="FILE", help="JSONL, CSV or Parquet files, or folders of them."),
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON.")]
OutFile = Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="JSONL to write.")]
Tokenizer = Annotated[
    str | None,
    typer.Option("--model", "-m", metavar="NAME", help="Count tokens as this model does."),
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="The same seed, the same result.")]

app = typer.Typer(
    help="Check, convert, split, curate and make training rows.",
    epilog=KINDS,
    no_args_is_help=True,
    rich_markup_mode=None,
)


app.command(epilog=synthesise.EXAMPLES)(synthesise.synthesise)


@app.command(epilog=CHECK_EXAMPLES)
def check(files: Files, *, as_json: Json = False) -> None:
    """Look at every row, and say what is wrong with the bad ones.

    The kinds of rows are counted. Bad rows are printed as file:line with the reason, and end the
    command with 1.
    """
    from agentlab.cli.data_report import show_check
    from finetune.data import measuring

    found = measuring.check(files)
    if as_json:
        write(found.to_dict())
    else:
        show_check(found)
    if found.faults or not found.rows:
        raise typer.Exit(FAILED)


@app.command(epilog=STATS_EXAMPLES)
def stats(
    files: Files,
    *,
    model: Tokenizer = None,
    as_json: Json = False,
    config: options.Config = None,
) -> None:
    """Count rows, lengths, roles, tools, labels and repetitions.

    Lengths are percentiles in words; with --model also in that model's tokens, its chat template
    included.
    """
    from agentlab.cli.data_report import show_measures
    from finetune.data.measuring import measure

    found = measure(files, count_tokens=token_counter(model, config))
    if as_json:
        write(found.to_dict())
    else:
        show_measures(found)


@app.command(epilog=CONVERT_EXAMPLES)
def convert(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE", help="Files or folders to convert.")
    ] = None,
    *,
    to: Annotated[
        Literal["sft", "dpo", "kto", "text", "prompts"],
        typer.Option("--to", help="What learns from it; dpo is for orpo and reward too."),
    ],
    out: OutFile,
    origin: Annotated[
        Literal["files", "journal"],
        typer.Option("--from", help="Files, or the journal with what was said of its runs."),
    ] = "files",
    template: Annotated[
        str,
        typer.Option(
            "--template",
            metavar="NAME",
            help="For instructions: chat, dolly, grounded or a TOML file.",
        ),
    ] = "chat",
    as_json: Json = False,
    home: options.Home = None,
    config: options.Config = None,
) -> None:
    """Make rows of one kind into rows of another.

    From the journal: /good answers are conversations and good labels, /bad ones bad labels, /fix
    gives a pair of the better answer and the run's own, and so does a preference between two runs
    or a good and a bad answer to one question. What cannot be made is counted with its reason.
    """
    from agentlab.cli.data_report import show_converted
    from finetune.data.converting import convert as convert_files
    from finetune.data.converting import write_converted

    if (origin == "journal") == bool(files):
        message = "give files, or --from journal, and not both"
        raise typer.BadParameter(message, param_hint="FILE")
    if origin == "journal":
        from agentlab.feedback_rows import read_feedback

        journal = open_journal(options.resolve(config, home=home).settings)
        try:
            said = read_feedback(journal)
        finally:
            journal.close()
        done = write_converted(said.rows(to), out, to=to, template=template)
        done = done.with_left_out(said.left_out)
    else:
        done = convert_files(files or [], out, to=to, template=template)
    if as_json:
        write({**done.to_dict(), "out": str(out)})
    else:
        show_converted(done, out)


@app.command("split", epilog=SPLIT_EXAMPLES)
def split_rows(
    files: Files,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder of the parts.")],
    ratios: Annotated[
        str, typer.Option("--ratios", metavar="NAME=SHARE,...", help="The parts and their shares.")
    ] = "train=0.9,eval=0.1",
    by: Annotated[
        str,
        typer.Option(
            "--by",
            metavar="FIELD",
            help="document, source, subject, run, any other field, or hash (of what is asked); "
            "auto takes the first of these four that every row has, else hash.",
        ),
    ] = "auto",
    seed: Seed = 7,
    as_json: Json = False,
) -> None:
    """Set rows apart for training and for measuring.

    Nothing that is measured was learned. Rows of one document (subject, question) never stand in
    two parts, nor do rows that are the same word for word. Every part gets one group at least. The
    rows stay as they are.
    """
    from agentlab.cli.data_report import show_split
    from finetune.data.splitting import split

    done = split(files, out, ratios=_ratios(ratios), by=by, seed=seed)
    if as_json:
        write(done.to_dict())
    else:
        show_split(done)


@app.command(epilog=CURATE_EXAMPLES)
def curate(
    files: Files,
    *,
    out: OutFile,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE", help="Verdicts, JSONL [OUT.report.jsonl]."),
    ] = None,
    near: Annotated[
        float,
        typer.Option(
            "--near",
            min=0.0,
            max=1.0,
            metavar="SHARE",
            help="Likeness of near duplicates; 0 does not look for any.",
        ),
    ] = 0.8,
    quality: Annotated[
        bool, typer.Option("--quality/--no-quality", help="Drop broken and repetitive rows.")
    ] = True,
    pii: Annotated[
        Literal["mask", "drop", "keep"],
        typer.Option("--pii", help="What to do with personal data."),
    ] = "mask",
    region: Annotated[
        str | None,
        typer.Option(
            "--region", metavar="XX", help="Of phone numbers without a country code, such as DE."
        ),
    ] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option(
            "--against", metavar="FILE", help="Evaluation set not to learn (may be repeated)."
        ),
    ] = None,
    ngram: Annotated[
        int,
        typer.Option("--ngram", min=5, metavar="N", help="So many words in a row give a set away."),
    ] = 13,
    model: Tokenizer = None,
    max_tokens: Annotated[
        int | None,
        typer.Option("--max-tokens", min=1, metavar="N", help="Longest row, by --model's tokens."),
    ] = None,
    max_words: Annotated[
        int | None, typer.Option("--max-words", min=1, metavar="N", help="Longest row, in words.")
    ] = None,
    as_json: Json = False,
    config: options.Config = None,
) -> None:
    """Keep the rows that are worth learning from.

    Every other row is reported with its reason. Dropped are bad rows, duplicates (word for word,
    and nearly: MinHash over three words in a row), rows with broken characters, empty, parroting or
    repetitive answers, rows that hold words of an evaluation set, and rows that are too long. The
    first of rows that say the same stays. A run that was stopped, even by kill -9, goes on where it
    was with the same command.

    E-mail and IP addresses, phone numbers, IBANs, card and US social security numbers and access
    keys are masked; what has a check digit or a number plan is checked by it. Names, postal
    addresses and birthdays are NOT found. Nothing leaves this machine. Near duplicates and
    personal data need pip install 'agentlab-rag[data]'.
    """
    from agentlab.cli.data_report import draw_curation, show_curated
    from finetune.data.curation import Rules
    from finetune.data.curation import curate as curate_files

    if (max_tokens is None) != (model is None):
        message = "--model and --max-tokens go together"
        raise typer.BadParameter(message, param_hint="--max-tokens")
    rules = Rules(
        near=near or None,
        quality=quality,
        pii=pii,
        region=region,
        against=tuple(against or ()),
        ngram=ngram,
        max_tokens=max_tokens,
        tokenizer=model,
        max_words=max_words,
    )
    counter = token_counter(model, config)
    done = draw_curation(curate_files(files, out, rules=rules, report=report, count_tokens=counter))
    if as_json:
        write({**done.to_dict(), "out": str(out)})
    else:
        show_curated(done, out)


def token_counter(model: str | None, config: Path | None) -> "TokenCounter | None":
    """Open the tokenizer of a model, or None where none is named."""
    if model is None:
        return None
    settings = options.resolve(config).settings
    from agentlab.cli.models import tell
    from agentlab.model import model_folder
    from finetune.data.tokens import TokenCounter

    return TokenCounter(model_folder(model, settings, progress=tell))


def write(value: object) -> None:
    """Write JSON on standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def open_journal(settings: "Settings") -> "Journal":
    """Open the journal; JournalError where there is none yet."""
    from agentlab.errors import JournalError
    from agentlab.journal import Journal

    if not settings.journal_path.exists():
        raise JournalError(
            f"There is no journal at {settings.journal_path}: talk with `agentlab chat`, and say "
            "/good, /bad or /fix of the answers."
        )
    return Journal(settings.journal_path)


def _ratios(text: str) -> dict[str, float]:
    parts: dict[str, float] = {}
    for each in text.split(","):
        name, _, share = each.partition("=")
        try:
            parts[name.strip()] = float(share)
        except ValueError:
            parts[name.strip()] = 0.0
    if len(parts) < 2 or any(
        share <= 0 or not name.isidentifier() for name, share in parts.items()
    ):
        message = f"{text!r}: write two parts or more with their shares, such as train=0.9,eval=0.1"
        raise typer.BadParameter(message, param_hint="--ratios")
    return parts
