"""agentlab: ask a folder of PDFs, or the web, with a model of your own.

    from agentlab import Agent

    with Agent() as agent:
        answer = agent.ask("Who approves travel above 5,000 euros?")
    print(answer.text, answer.citations)

`Agent` loads LangChain only when it is first used.
"""

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentlab.agent import Agent
    from agentlab.answer import Answer
    from agentlab.settings import Settings

# What is logged is also told where it is drawn; a program that wants the log sets a handler.
logging.getLogger(__name__).addHandler(logging.NullHandler())

__all__ = ["Agent", "Answer", "Settings"]

_HOMES = {"Agent": "agentlab.agent", "Answer": "agentlab.answer", "Settings": "agentlab.settings"}


def __getattr__(name: str) -> Any:
    """Import an exported name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'agentlab' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """List the exported names."""
    return sorted(__all__)
