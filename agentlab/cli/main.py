"""The `agentlab` command: its subcommands, and the one place where it ends."""

import logging
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
import typer.main

from agentlab import relay
from agentlab.cli import (
    advise,
    ask,
    chat,
    config,
    data,
    demo,
    docs,
    doctor,
    evaluate,
    failures,
    finetune,
    ingest,
    models,
    search,
    store,
)
from agentlab.errors import FAILED, OK

HELP = """From a folder of PDFs to an agent that answers from them, with checked page citations.

\b
Start:
  agentlab demo                    try it on three small handbooks
  agentlab ingest ~/Documents      read your own documents
  agentlab chat                    talk about them
  agentlab ask "How many nights?"  one answer, for scripts
  agentlab doctor                  what works here, and how to mend the rest

Settings: flags over environment (AGENTLAB_...) over ./agentlab.toml over defaults;
`agentlab config` shows each with its origin.
"""

app = typer.Typer(
    name="agentlab",
    help=HELP,
    epilog=failures.EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.command(epilog=ingest.EXAMPLES)(ingest.ingest)
app.command(epilog=chat.EXAMPLES)(chat.chat)
app.command(epilog=ask.EXAMPLES)(ask.ask)
app.command(epilog=search.EXAMPLES)(search.search)
app.command(epilog=demo.EXAMPLES)(demo.demo)
app.command(epilog=advise.EXAMPLES)(advise.advise)
app.command(epilog=evaluate.EXAMPLES)(evaluate.evaluate)
app.command(epilog=doctor.EXAMPLES)(doctor.doctor)
app.command(epilog=config.EXAMPLES)(config.config)
app.add_typer(docs.app, name="docs")
app.add_typer(store.app, name="store")
app.add_typer(models.app, name="models")
app.add_typer(data.app, name="data")
app.add_typer(finetune.app, name="finetune")


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"agentlab {version('agentlab-rag')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error (any position).")
    ] = False,
) -> None:
    """Take the options that stand before any command."""


def command_tree() -> Any:
    """Return the command with its subcommands, each argument told by its name alone.

    typer would tell its Python type too, as in `QUESTION <list[str]>`.
    """
    tree = typer.main.get_command(app)
    below = [tree]
    while below:
        command = below.pop()
        below += getattr(command, "commands", {}).values()
        for param in command.params:
            if param.param_type_name == "argument":
                vars(param)["display_type_rich"] = _untold
    return tree


def _untold(ctx: object) -> None:
    """Tell nothing in the place of a type."""


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    # It warns on import that a kernel for four bits could not be had, whoever asked for it.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    debug = "--debug" in arguments
    try:
        command_tree()([each for each in arguments if each != "--debug"], prog_name="agentlab")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else FAILED
    except BrokenPipeError:
        # The reader of a pipe left; closing stdout again at exit must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:  # noqa: BLE001 - the one place where every error becomes a line
        return failures.report(error, debug=debug)
    return OK


def main() -> None:
    """Enter from the shell."""
    # Two threads that spin while they wait for each other collapse on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if "models" not in sys.argv[1:2]:
        # Its bars for weights that are read from the disk would run through what is drawn here.
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    code = run(sys.argv[1:])
    if relay.is_waiting():
        # For a web page, say: it would keep the program until it is served.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
