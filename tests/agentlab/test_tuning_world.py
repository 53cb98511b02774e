"""The world that a model is tuned in: the agent's own tools, and a judgement of what it did."""

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agentlab.demo import HANDBOOKS, WEB
from agentlab.model import starter_adapter
from agentlab.prompts import NOT_FOUND
from agentlab.settings import Settings
from agentlab.tools.providers import choose_provider
from agentlab.tools.providers.recorded import Recorded
from agentlab.tuning_world import AgentEpisode, AgentWorld
from finetune.data.rows import Prompt
from ingest.collection import Collection
from ingest.config import StoreConfig
from ingest.pipeline import ingest
from ingest.stores import open_store

pytestmark = pytest.mark.slow

QUESTION = "What is the daily meal allowance for technicians?"
SENTENCE = "The daily meal allowance for technicians is 46 euros."
CALL = '<tool_call>\n{"name": "%s", "arguments": {"query": "%s"}}\n</tool_call>'


@pytest.fixture(scope="module")
def world(
    minilm: Any, reader: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AgentWorld]:
    folder = tmp_path_factory.mktemp("world")
    store = open_store(StoreConfig(kind="lancedb", collection="c", folder=folder))
    collection = Collection(store, minilm, reader=reader)
    list(ingest([HANDBOOKS], collection=collection))
    settings = Settings(home=folder, web="recorded", recorded=WEB)
    yield AgentWorld(collection, choose_provider(settings), settings)
    collection.close()


def asked(world: AgentWorld, **known: Any) -> AgentEpisode:
    return world.begin(Prompt(QUESTION, extra=known))


def test_a_searched_quoted_and_cited_answer_is_judged_right_in_every_way(world: AgentWorld) -> None:
    episode = asked(world, answers=["46 euros"], route="search_documents")
    (seen,) = episode.take(CALL % ("search_documents", QUESTION))
    assert seen["role"] == "tool"
    assert SENTENCE in str(seen["content"]).replace("» ", "").replace("› ", "")
    number = next(each.number for each in episode.sources if "46 euros" in each.text)
    assert episode.take(f'"{SENTENCE}" [{number}]\nAnswer: 46 euros [{number}]') == ()
    assert episode.rewards() == {
        "format": 1.0, "route": 1.0, "citation": 1.0, "answer": 1.0, "brevity": 1.0,
    }  # fmt: skip


def test_the_conversation_begins_as_the_agents_own_does(world: AgentWorld) -> None:
    system, user = asked(world).messages
    assert "Library:" in system["content"]
    assert user["content"].startswith(f"{QUESTION}\n(Library match: ")
    assert [tool["function"]["name"] for tool in world.tools] == ["search_documents", "search_web"]


def test_a_made_up_quote_earns_no_citation_and_a_wrong_answer_none(world: AgentWorld) -> None:
    episode = asked(world, answers=["46 euros"], route="search_documents")
    episode.take(CALL % ("search_documents", QUESTION))
    episode.take('"The allowance is 99 euros." [1]\nAnswer: 99 euros [1]')
    judged = episode.rewards()
    assert (judged["citation"], judged["answer"], judged["format"]) == (0.0, 0.0, 1.0)


def test_the_wrong_route_broken_calls_and_repeated_searches_cost(world: AgentWorld) -> None:
    episode = asked(world, answers=["46 euros"], route="search_documents")
    episode.take(CALL % ("search_web", QUESTION))
    (again,) = episode.take(CALL % ("search_web", QUESTION))
    assert "was made before" in again["content"]
    assert episode.take("<tool_call>\n{broken") == ()
    judged = episode.rewards()
    assert (judged["route"], judged["format"]) == (0.0, 0.0)
    assert judged["brevity"] == 0.75


def test_saying_that_nothing_was_found_is_right_only_where_nothing_is(world: AgentWorld) -> None:
    for answers, right in (([], 1.0), (["46 euros"], 0.0)):
        episode = asked(world, answers=answers)
        episode.take(NOT_FOUND)
        judged = episode.rewards()
        assert (judged["answer"], judged["citation"], judged["format"]) == (right, right, 1.0)


def test_a_question_of_which_nothing_is_known_is_judged_by_its_citations(
    world: AgentWorld,
) -> None:
    answered, gave_up = asked(world), asked(world)
    answered.take(CALL % ("search_documents", QUESTION))
    number = next(each.number for each in answered.sources if "46 euros" in each.text)
    answered.take(f'"{SENTENCE}" [{number}]\nAnswer: 46 euros [{number}]')
    gave_up.take(NOT_FOUND)
    assert set(answered.rewards().values()) == {1.0}
    assert gave_up.rewards() == {
        "format": 1.0, "route": 1.0, "citation": 0.0, "answer": 1.0, "brevity": 1.0,
    }  # fmt: skip


def test_what_several_tries_look_up_is_looked_up_once(
    world: AgentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    for kind in (Collection, Recorded):
        search = kind.search

        def counted(
            self: Any, query: str, *, search: Callable[..., Any] = search, **given: Any
        ) -> Any:
            looked.append(query)
            return search(self, query, **given)

        monkeypatch.setattr(kind, "search", counted)
    fresh = AgentWorld(world.collection, world.provider, world.settings)
    tries = [asked(fresh) for _ in range(3)]
    seen = [
        [each.take(CALL % (tool, query)) for each in tries]
        for tool, query in [("search_documents", QUESTION), ("search_web", "meal allowance")]
    ]
    for first, *others in seen:
        assert others == [first, first]
    assert sorted(looked) == [QUESTION, "meal allowance"]


def test_another_process_opens_the_same_world_by_its_settings(
    world: AgentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Settings] = []
    monkeypatch.setattr(
        "agentlab.tuning_world.open_collection",
        lambda settings, **_: (opened.append(settings), world.collection)[1],
    )
    other = pickle.loads(pickle.dumps(world))
    assert opened == [world.settings]
    assert other.tools == world.tools


def test_the_starter_acts_in_it_and_a_step_of_grpo_is_taken(
    world: AgentWorld, starter_base: Path, tmp_path: Path
) -> None:
    pytest.importorskip("trl")
    import json

    from finetune.events import Progress
    from finetune.method_config import load_config
    from finetune.training import train

    row = {"prompt": QUESTION, "answers": ["46 euros"], "route": "search_documents"}
    data = tmp_path / "asked.jsonl"
    data.write_text(json.dumps(row) + "\n", encoding="utf-8")
    config = load_config(
        "grpo",
        None,
        {
            "data": data,
            "model": str(starter_base),
            "out": tmp_path / "out",
            "adapter": starter_adapter(),
            "chat_template": Path("agentlab/chat_template.jinja").resolve(),
            "batch": 1,
            "generations": 2,
            "max_steps": 1,
            "turns": 2,
            "turn_tokens": 64,
            "temperature": 0.7,
            "effects": False,
        },
    )
    (step,) = [event for event in train(config, world=world) if isinstance(event, Progress)]
    assert step.measures["rewards/route/mean"] == 1.0  # what the starter was tuned to
    assert step.measures["rewards/format/mean"] > 0
