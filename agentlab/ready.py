"""Ready: middleware for a question of which one call is known beforehand to bring the answer."""

import uuid
from collections.abc import Mapping
from typing import Any

from langchain.agents.middleware.types import AgentMiddleware, ModelRequest
from langchain_core.messages import AIMessage, ToolCall

from agentlab.trace import Trace


class ReadyGuard(AgentMiddleware[Any, Any, Any]):
    """Makes the call in the model's place, and gives what comes back as the answer.

    Where the call fails the model goes on from there, so it stands before `ModelGuard`.
    """

    def __init__(self, trace: Trace, tool: str, arguments: Mapping[str, Any]) -> None:
        super().__init__()
        self.tools = []
        self._trace = trace
        self._tool = tool
        self._arguments = dict(arguments)

    def wrap_model_call(self, request: ModelRequest[Any], handler: Any) -> Any:
        """Make the call, then answer with its result."""
        trace = self._trace
        if not trace.steps:
            trace.messages[1:] = request.messages
            call = ToolCall(
                name=self._tool,
                args=self._arguments,
                id=f"call_{uuid.uuid4().hex[:12]}",
                type="tool_call",
            )
            return AIMessage("", tool_calls=[call])
        if trace.steps[-1].error:
            return handler(request)
        trace.messages[1:] = request.messages
        trace.raw = trace.steps[-1].observation
        return AIMessage(trace.raw)
