"""The demo's conversation, held with any engine: searched, streamed, cited."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from agentlab.agent import Agent
from agentlab.answer import Answer, Answered, Token
from agentlab.demo import HANDBOOKS, QUESTIONS, WEB
from agentlab.library import open_collection
from agentlab.settings import Settings
from ingest.pipeline import ingest


@contextmanager
def demo_agent(home: Path, **settings: Any) -> Iterator[Agent]:
    """Give an agent whose library holds the demo's handbooks."""
    resolved = Settings(home=home, web="recorded", recorded=WEB, **settings)
    with closing(open_collection(resolved)) as collection:
        for _event in ingest([HANDBOOKS], collection=collection):
            pass
    with Agent(resolved) as agent:
        yield agent


def hold_the_demo_conversation(agent: Agent) -> None:
    """Ask the demo's three questions and assert what makes an answer worth having.

    Where the model writes the short answer, it is streamed word by word.
    """
    first, follow_up, web = json.loads(QUESTIONS.read_text(encoding="utf-8"))
    events = list(agent.stream(first))
    written = sum(isinstance(event, Token) for event in events)
    assert (written > 5) == (not agent.settings.reader_answers)
    assert isinstance(events[-1], Answered)
    answer = events[-1].answer
    assert_cited(answer, tool="search_documents", kind="page", holds="46 euros")
    more = agent.ask(follow_up, thread=answer.thread)
    assert_cited(more, tool="search_documents", kind="page", holds="58 euros")
    assert_cited(agent.ask(web), tool="search_web", kind="web", holds="Fleming")


def assert_cited(answer: Answer, *, tool: str, kind: str, holds: str) -> None:
    """Assert a valid call of the right tool, the answer, and a citation that its source holds."""
    assert answer.steps, answer
    assert answer.steps[0].tool == tool
    assert not any(step.error for step in answer.steps)
    assert answer.usage.malformed_calls == 0
    assert holds in answer.text
    cited = [each for each in answer.citations if each.supported and holds in each.quote]
    assert cited, answer
    assert {each.source.kind for each in cited} == {kind}
