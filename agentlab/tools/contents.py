"""list_documents: what the library holds, as a person or a model would want it listed."""

from typing import Any

from langchain_core.tools import BaseTool

from agentlab.prompts import LIST_DOCUMENTS
from agentlab.tools.searching import Found, tool_of
from ingest.amounts import count
from ingest.card import CardEntry, CollectionCard

_LISTED = 20
_TOPICS = 4
EMPTY_HINT = "The library is empty: `agentlab ingest PATH` reads documents into it."


def contents_tool(card: CollectionCard | None) -> BaseTool:
    """Build the tool; it has no arguments and finds no sources."""

    def run(**_: Any) -> Found:
        return contents(card), ()

    return tool_of(LIST_DOCUMENTS, run)


def contents(card: CollectionCard | None) -> str:
    """List the documents with their size and topics; of many the first ones, and how many more."""
    if card is None or not card.entries:
        return EMPTY_HINT
    lines = [_line(entry) for entry in card.entries[:_LISTED]]
    more = card.documents - len(lines)
    if more > 0:
        lines.append(f"- and {more:,} more, which `agentlab docs list` shows")
    return "\n".join([f"The library holds {count(card.documents, 'document')}:", *lines])


def _line(entry: CardEntry) -> str:
    topics = entry.topics(_TOPICS)
    about = f": {', '.join(topics)}" if topics else ""
    return f"- {entry.title} ({count(entry.pages, 'page')}){about}"
