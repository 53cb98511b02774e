"""View: the messages as the model sees them, made from the ones that are kept."""

from collections.abc import Sequence

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, ToolMessage

from agentlab.leaning import leans_on_earlier
from agentlab.prompts import LAST_ANSWER, earlier_answer, with_evidence
from ingest.evidence import Evidence

EARLIER_TURNS = 4


def turns(messages: Sequence[AnyMessage]) -> list[list[AnyMessage]]:
    """Split a conversation into turns, each beginning with the person's message."""
    split: list[list[AnyMessage]] = []
    for message in messages:
        if isinstance(message, HumanMessage):
            split.append([])
        if split:
            split[-1].append(message)
    return split


def visible(
    messages: Sequence[AnyMessage],
    evidence: Evidence | None,
    *,
    only_leaning: bool = False,
    last: bool = False,
) -> list[AnyMessage]:
    """Show earlier turns as question and bare answer, and this one whole, with its evidence.

    Earlier turns without an answer are left out, and with `only_leaning` all of them where the
    question stands alone: a very small model takes them for its subject. `last` asks for the
    answer without more searches.
    """
    *earlier, current = turns(messages)
    if only_leaning and not leans_on_earlier(current[0].text):
        earlier = []
    shown: list[AnyMessage] = []
    for turn in earlier[-EARLIER_TURNS:]:
        answer = earlier_answer(_final(turn))
        if answer:
            shown += [HumanMessage(turn[0].text), AIMessage(answer)]
    shown.append(HumanMessage(with_evidence(current[0].text, evidence)))
    shown += current[1:]
    if last:
        shown[-1] = _with_line(shown[-1], LAST_ANSWER)
    return shown


def questions(messages: Sequence[AnyMessage]) -> list[str]:
    """List what the person asked."""
    return [turn[0].text for turn in turns(messages)]


def _final(turn: Sequence[BaseMessage]) -> str:
    last = turn[-1]
    return last.text if isinstance(last, AIMessage) and not last.tool_calls else ""


def _with_line(message: AnyMessage, line: str) -> AnyMessage:
    if isinstance(message, HumanMessage | ToolMessage):
        return message.model_copy(update={"content": f"{message.text}\n{line}"})
    return message
