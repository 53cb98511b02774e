"""`agentlab config`: every setting, its value and where the value came from."""

import json
import sys
from typing import Annotated

import typer

from agentlab.cli import options

EXAMPLES = """\b
Examples:
  agentlab config
  AGENTLAB_WEB=off agentlab config --explain
"""


def config(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Say what each setting does.")] = False,
    home: options.Home = None,
    file: options.Config = None,
) -> None:
    """Show the settings in force and where each comes from.

    Secrets are masked.
    """
    resolved = options.resolve(file, home=home)
    from agentlab.settings import Settings, masked

    values = {name: masked(name, value) for name, value in resolved.settings}
    if as_json:
        both = {
            name: {"value": value, "origin": resolved.origins[name]}
            for name, value in values.items()
        }
        sys.stdout.write(json.dumps(both, indent=2, default=str) + "\n")
        return
    from agentlab.console import draw_rows, make_console

    rows = []
    for name, value in values.items():
        does = str(Settings.model_fields[name].description) if explain else resolved.origins[name]
        rows.append((name, "" if value is None else str(value), does))
    draw_rows(make_console(), ("setting", "value", "meaning" if explain else "origin"), rows)
    for stray in resolved.unknown_variables:
        sys.stderr.write(f"agentlab: {stray} is set but is no setting: see the names above.\n")
