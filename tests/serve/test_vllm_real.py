"""vLLM itself, on the CPU: `make test-vllm` builds its environment and runs these.

The server offers the tuned starter model: the folder that AGENTLAB_TEST_STARTER names, else the
base with the adapter of the repository. Without either it offers the base, which cannot hold the
conversation at the end.
"""

import json
import operator
import os
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from demo_conversation import demo_agent, hold_the_demo_conversation
from langchain_core.messages import AIMessageChunk
from langchain_openai import ChatOpenAI
from openai import BadRequestError
from pydantic import SecretStr

from agentlab import prompts
from agentlab.model import STARTER, model_folder, starter_adapter
from agentlab.pattern import message_pattern
from agentlab.settings import Settings
from ingest.evidence import Evidence
from serve.config import ServerConfig
from serve.server import Server

ROOT = Path(__file__).parents[2]
PYTHON = Path(os.environ.get("VLLM_PYTHON", ROOT / ".venv-vllm" / "bin" / "python"))
TEMPLATE = ROOT / "agentlab" / "chat_template.jinja"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.vllm,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not PYTHON.exists(), reason="no vLLM environment: run `make test-vllm`"),
]

SEARCH = {
    "type": "function",
    "function": {
        "name": "search_documents",
        "description": "Search the collection.",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"query": {"type": "string", "maxLength": 80}},
            "required": ["query"],
            "additionalProperties": False,
        },
    },
}
SYSTEM = prompts.system_prompt(card="1 document: Travel (hotels, flights)", today="2026-11-21")
QUESTION = [
    ("system", "Answer questions about the collection: travel rules of a company."),
    ("user", "What may a hotel night cost?"),
]


def tuned() -> Path | None:
    """Find the folder of the tuned starter model."""
    if named := os.environ.get("AGENTLAB_TEST_STARTER"):
        return Path(named)
    return model_folder(STARTER, Settings()) if starter_adapter() else None


needs_tuning = pytest.mark.skipif(
    not os.environ.get("AGENTLAB_TEST_STARTER") and starter_adapter() is None,
    reason="no tuned starter model: name its folder in AGENTLAB_TEST_STARTER",
)


@pytest.fixture(scope="module")
def server(starter_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    config = ServerConfig(
        model=tuned() or starter_base,
        name="starter",
        log=tmp_path_factory.mktemp("vllm") / "vllm.log",
        python=PYTHON,
        device="cpu",
        context=2048,
        chat_template=TEMPLATE,
        threads=1,
    )
    with Server(config, progress=print) as running:
        yield running


@pytest.fixture
def model(server: Server) -> ChatOpenAI:
    return ChatOpenAI(
        base_url=server.base_url,
        api_key=SecretStr("none"),
        model="starter",
        temperature=0,
        max_tokens=120,
        max_retries=0,
        timeout=120,
    )


@needs_tuning
def test_an_answer_is_streamed_in_pieces(model: ChatOpenAI) -> None:
    asked = [("system", SYSTEM), ("user", "Hello")]
    pieces = [chunk.content for chunk in model.bind_tools(prompts.TOOLS).stream(asked)]

    assert len([p for p in pieces if p]) > 5
    assert "documents" in "".join(map(str, pieces))


def test_a_strict_tool_call_is_always_valid(model: ChatOpenAI) -> None:
    bound = model.bind_tools([SEARCH], tool_choice="search_documents", strict=True)

    answer = bound.invoke(QUESTION)

    assert [call["name"] for call in answer.tool_calls] == ["search_documents"]
    assert set(answer.tool_calls[0]["args"]) == {"query"}
    assert answer.invalid_tool_calls == []


def test_a_streamed_tool_call_adds_up_to_the_same_arguments(model: ChatOpenAI) -> None:
    bound = model.bind_tools([SEARCH], tool_choice="search_documents", strict=True)
    whole = reduce(operator.add, bound.stream(QUESTION))

    assert isinstance(whole, AIMessageChunk)
    assert [call["name"] for call in whole.tool_calls] == ["search_documents"]


def asked() -> list[dict[str, Any]]:
    """Write the question as the agent does."""
    evidence = Evidence("strong", 1.1, ("Travel > Hotels",))
    question = prompts.with_evidence("What may a hotel night cost?", evidence)
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]


def searched() -> list[dict[str, Any]]:
    """Go on with a search and what it found."""
    arguments = json.dumps({"query": "What may a hotel night cost"})
    function = {"name": "search_documents", "arguments": arguments}
    shown = prompts.Shown(1, "Travel, p. 4, Hotels", "»A hotel night may cost 120 euros.")
    found = prompts.observation("strong", [shown])
    call = {"id": "call_1", "type": "function", "function": function}
    return [
        *asked(),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": found},
    ]


@needs_tuning
def test_a_tool_result_is_read_and_quoted(model: ChatOpenAI) -> None:
    answer = model.bind_tools(prompts.TOOLS).invoke(searched())

    assert "120 euros [1]" in str(answer.content)


@needs_tuning
def test_a_pattern_leads_calls_and_quotes_beside_the_tools(model: ChatOpenAI) -> None:
    quotes = [("The “best” rooms (all of them) cost 90 euros.", 2), ("A night costs 95 euros.", 3)]
    form = {"regex": message_pattern(prompts.TOOLS, quotes)}
    body = {"max_tokens": 120, "structured_outputs": form}
    bound = model.bind_tools(prompts.TOOLS, extra_body=body)

    called = reduce(operator.add, bound.stream(asked()))
    assert isinstance(called, AIMessageChunk)
    assert [set(call["args"]) for call in called.tool_calls] == [{"query"}]

    answer = bound.invoke(searched())
    (quote,) = prompts.parse_answer(str(answer.content)).quotes
    assert (quote.text, *quote.numbers) in quotes
    assert not answer.tool_calls


def test_a_prompt_longer_than_the_context_is_refused_with_both_lengths(model: ChatOpenAI) -> None:
    with pytest.raises(BadRequestError, match="2048"):
        model.invoke("word " * 3000)


@needs_tuning
def test_a_conversation_is_streamed_and_its_answers_are_cited(
    server: Server, tmp_path: Path
) -> None:
    with demo_agent(
        tmp_path,
        engine="openai",
        base_url=server.base_url,
        model="starter",
        short_answer="model",
    ) as agent:
        hold_the_demo_conversation(agent)
