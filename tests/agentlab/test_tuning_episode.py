"""An episode of the world that a model is tuned in, with tools that fail."""

from langchain_core.tools import StructuredTool

from agentlab.tools.errors import SearchUnavailableError, ToolInputError
from agentlab.tuning_world import AgentEpisode
from finetune.data.rows import Prompt

CALL = '<tool_call>\n{"name": "search_web", "arguments": {"query": "%s"}}\n</tool_call>'


def episode(error: Exception) -> AgentEpisode:
    def search(query: str) -> str:
        raise error

    tool = StructuredTool.from_function(search, name="search_web", description="Search.")
    return AgentEpisode(Prompt("What is the fare?", extra={}), [], {"search_web": tool})


def test_a_search_that_fails_is_told_and_is_not_the_models_fault() -> None:
    asked = episode(SearchUnavailableError("The web search is out of reach: search the library."))
    (seen,) = asked.take(CALL % "fare")
    assert seen == {
        "role": "tool",
        "content": "The web search is out of reach: search the library.",
    }
    assert asked.take('"The fare is 40 euros." [1]\nAnswer: 40 euros [1]') == ()
    assert asked.rewards()["format"] == 1.0


def test_a_call_whose_arguments_do_not_fit_is_told_and_costs() -> None:
    asked = episode(ToolInputError("The query is empty: write what to search for."))
    (seen,) = asked.take(CALL % "")
    assert seen["content"] == "The query is empty: write what to search for."
    asked.take('"The fare is 40 euros." [1]\nAnswer: 40 euros [1]')
    assert asked.rewards()["format"] == 0.0
