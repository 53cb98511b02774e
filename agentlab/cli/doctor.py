"""`agentlab doctor`: what works here, and what to do about what does not."""

import typer

from agentlab.cli import options
from agentlab.errors import FAILED, OK

EXAMPLES = """\b
Examples:
  agentlab doctor
  agentlab doctor --fast           leave out the tool call, which loads the model
"""


def doctor(
    *,
    fast: options.Fast = False,
    model: options.Model = None,
    engine: options.Engine = None,
    base_url: options.BaseUrl = None,
    web: options.Web = None,
    tenant: options.Tenant = None,
    home: options.Home = None,
    config: options.Config = None,
) -> None:
    """Check this machine, and say what to do.

    Packages, models, store, web search, GPU, and a real tool call are tried.
    """
    resolved = options.resolve(
        config,
        home=home,
        weaviate_tenant=tenant,
        model=model,
        engine=engine,
        base_url=base_url,
        web=web,
    )
    from agentlab.console import draw_check, make_console
    from agentlab.health import checks

    screen = make_console()
    good = True
    for check in checks(resolved, probe=not fast):
        draw_check(screen, check)
        good = good and check.state != "problem"
    raise typer.Exit(OK if good else FAILED)
