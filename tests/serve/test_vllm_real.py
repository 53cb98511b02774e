"""vLLM itself, on the CPU: `make test-vllm` builds its environment and runs these."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from langchain_core.messages import BaseMessageChunk
from langchain_openai import ChatOpenAI

from serve.config import ServerConfig
from serve.server import Server

ROOT = Path(__file__).parents[2]
PYTHON = Path(os.environ.get("AGENTLAB_VLLM_PYTHON", ROOT / ".venv-vllm" / "bin" / "python"))
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
QUESTION = [
    ("system", "Answer questions about the collection: travel rules of a company."),
    ("user", "What may a hotel night cost?"),
]


@pytest.fixture(scope="module")
def server(starter_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    config = ServerConfig(
        model=starter_base,
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
        api_key="none",
        model="starter",
        temperature=0,
        max_tokens=120,
        max_retries=0,
        timeout=120,
    )


def test_an_answer_is_streamed_in_pieces(model: ChatOpenAI) -> None:
    pieces = [chunk.content for chunk in model.stream("Write two sentences about rivers.")]

    assert len([p for p in pieces if p]) > 5
    assert "river" in "".join(map(str, pieces)).lower()


def test_a_strict_tool_call_is_valid_even_from_an_untuned_model(model: ChatOpenAI) -> None:
    bound = model.bind_tools([SEARCH], tool_choice="search_documents", strict=True)

    answer = bound.invoke(QUESTION)

    assert [call["name"] for call in answer.tool_calls] == ["search_documents"]
    assert set(answer.tool_calls[0]["args"]) == {"query"}
    assert answer.invalid_tool_calls == []


def test_a_streamed_tool_call_adds_up_to_the_same_arguments(model: ChatOpenAI) -> None:
    bound = model.bind_tools([SEARCH], tool_choice="search_documents", strict=True)
    whole: BaseMessageChunk | None = None
    for chunk in bound.stream(QUESTION):
        whole = chunk if whole is None else whole + chunk

    assert whole is not None
    assert [call["name"] for call in whole.tool_calls] == ["search_documents"]


def test_a_turn_with_a_tool_result_is_rendered_by_our_template(model: ChatOpenAI) -> None:
    arguments = json.dumps({"query": "hotel night"})
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "search_documents", "arguments": arguments},
    }
    conversation = [
        {"role": "system", "content": QUESTION[0][1]},
        {"role": "user", "content": QUESTION[1][1]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "[1] A night may cost 120 euros."},
    ]

    answer = model.bind_tools([SEARCH]).invoke(conversation)

    assert str(answer.content).strip()


def test_a_prompt_longer_than_the_context_is_refused_with_both_lengths(model: ChatOpenAI) -> None:
    with pytest.raises(ValueError, match="2048"):
        model.invoke("word " * 3000)
