"""Search tool: a function from a query to text and sources, as a langchain tool."""

from collections.abc import Callable, Mapping
from typing import Any

from langchain_core.tools import BaseTool, StructuredTool

from agentlab.answer import Source
from agentlab.tools.errors import ToolInputError

Found = tuple[str, tuple[Source, ...]]
_LONGEST_QUERY = 400


def search_tool(schema: Mapping[str, Any], search: Callable[[str], Found]) -> BaseTool:
    """Build a tool with exactly this OpenAI schema; its artifact is the tuple of sources.

    The arguments are checked here and not by a model of them, so that a wrong call gets one line
    that says what is right.
    """
    name: str = schema["function"]["name"]

    def run(**arguments: Any) -> Found:
        return search(_query(name, arguments))

    return tool_of(schema, run)


def tool_of(schema: Mapping[str, Any], run: Callable[..., Found]) -> BaseTool:
    """Build a tool with exactly this OpenAI schema, of a function of its arguments."""
    function = schema["function"]
    return StructuredTool(
        name=function["name"],
        description=function["description"],
        args_schema=function["parameters"],
        func=run,
        response_format="content_and_artifact",
    )


def _query(name: str, arguments: Mapping[str, Any]) -> str:
    query = arguments.get("query")
    if set(arguments) != {"query"} or not isinstance(query, str) or not query.strip():
        raise ToolInputError(
            f"{name} takes one argument, query, a text that is not empty; "
            f"it was called with {str(dict(arguments))[:200]}"
        )
    return " ".join(query.split())[:_LONGEST_QUERY]
