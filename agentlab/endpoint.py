"""Endpoint: a model behind an OpenAI-compatible address, and what its failures mean."""

from typing import Any

import httpx
import openai
from langchain_openai import ChatOpenAI

from agentlab.errors import (
    AgentlabError,
    BackendDownError,
    KeyRejectedError,
    ModelRefusedError,
    ToolsUnsupportedError,
)
from agentlab.run_client import RunClient
from ingest.addresses import is_here, place, without_user

OPENAI_URL = "https://api.openai.com/v1"
NO_KEY_NEEDED = "none"
RETRIES = 2
NOTHING_STREAMED = "No generations found in stream"
"""What langchain says where an answer holds no event, such as a web page."""


def open_endpoint(
    *,
    model: str,
    base_url: str | None,
    api_key: str | None,
    temperature: float,
    max_tokens: int,
    timeout_s: float,
) -> ChatOpenAI:
    """Build the chat model; OpenAI itself needs a key, another address may do without."""
    if not base_url and not api_key:
        raise KeyRejectedError(
            "OpenAI needs a key and none is set: set OPENAI_API_KEY, or base_url for another "
            "endpoint."
        )
    url = base_url or OPENAI_URL
    values: dict[str, Any] = {
        "model": model,
        "base_url": url,
        "api_key": api_key or NO_KEY_NEEDED,
        "temperature": temperature,
        "timeout": timeout_s,
        "max_retries": RETRIES,
        "stream_usage": True,
        "use_responses_api": False,
        "http_client": RunClient(url),
        "http_async_client": httpx.AsyncClient(trust_env=not is_here(url)),
    }
    # vLLM and its kin know only max_tokens, OpenAI's newer models only max_completion_tokens,
    # which is what ChatOpenAI makes of it.
    if base_url:
        values["extra_body"] = {"max_tokens": max_tokens}
    else:
        values["max_tokens"] = max_tokens
    return ChatOpenAI(**values)


def translate(  # noqa: PLR0911 - one answer for each kind of failure
    error: Exception, *, where: str, model: str, writing: bool = False
) -> AgentlabError | None:
    """Turn a failure of an endpoint into one line for whoever can mend it; None for others.

    `writing` tells that the answer had begun.
    """
    host = place(where)
    if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
        return KeyRejectedError(
            f"{host} refuses the key ({error.status_code}): set {_key_setting(where)}."
        )
    if isinstance(error, openai.RateLimitError):
        return _limited(error, host)
    if isinstance(error, openai.NotFoundError):
        return ModelRefusedError(
            f"{without_user(where)} does not know the model {model!r} (404): set model to one that "
            "it serves, and end base_url in /v1."
        )
    if isinstance(error, openai.BadRequestError | openai.UnprocessableEntityError):
        return _refused(error, host, model)
    if isinstance(error, openai.APITimeoutError):
        return BackendDownError(
            f"The model server at {host} did not answer in time: see whether it is busy, or raise "
            "timeout_s."
        )
    if isinstance(error, openai.APIConnectionError) and not writing:
        return BackendDownError(
            f"The model server at {host} cannot be reached: start it, or correct base_url."
        )
    if isinstance(error, openai.APIStatusError):
        return BackendDownError(
            f"The model server at {host} failed ({error.status_code}): look at its log and ask "
            "again."
        )
    if isinstance(error, httpx.HTTPError | openai.APIError):
        return BackendDownError(
            f"The model server at {host} broke off in the middle of an answer: see whether it "
            "still runs and ask again."
        )
    if isinstance(error, ValueError) and NOTHING_STREAMED in str(error):
        return ModelRefusedError(
            f"{without_user(where)} answers, but not as a model server does: correct base_url, "
            "which ends in /v1 for most."
        )
    return None


def _key_setting(where: str) -> str:
    if place(where) == place(OPENAI_URL):
        return "OPENAI_API_KEY to a valid one"
    return "api_key (AGENTLAB_API_KEY) to a valid one; OPENAI_API_KEY goes to OpenAI alone"


def _limited(error: openai.RateLimitError, host: str) -> AgentlabError:
    if error.code == "insufficient_quota":
        return KeyRejectedError(
            f"The account of this key has no credit left at {host}: add some, or use another key."
        )
    return BackendDownError(f"{host} takes no more requests for now (429): wait and ask again.")


def _refused(
    error: openai.BadRequestError | openai.UnprocessableEntityError, host: str, model: str
) -> AgentlabError:
    reason = " ".join(str(error.message).split())[:300]
    if "tool" in reason.lower():
        return ToolsUnsupportedError(
            f"{model!r} at {host} cannot call tools ({reason}): choose a model that can, or start "
            "vLLM with --enable-auto-tool-choice --tool-call-parser hermes."
        )
    return ModelRefusedError(
        f"{host} refuses the request ({reason}): correct the setting that it names; a conversation "
        "that is too long starts anew with /clear."
    )
