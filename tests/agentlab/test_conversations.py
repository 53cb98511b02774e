import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from scripted import ScriptedModel, call

from agentlab import prompts
from agentlab.agent import Agent
from agentlab.local_chat import as_openai
from agentlab.settings import Settings
from agentlab.starter.build import _library, _of_handbooks
from agentlab.starter.conversations import Fact, Library, Writer, write_conversations
from agentlab.starter.exam import KINDS, article_parts, handbook_cases
from agentlab.starter.handbooks import handbook_items
from agentlab.starter.live import live_question
from agentlab.starter.questions import held_out_articles, training_articles
from agentlab.tools.documents import read_pages
from agentlab.tools.sources import SourceBook
from ingest.card import build_card


@pytest.fixture(scope="module")
def libraries(minilm: Any, tmp_path_factory: pytest.TempPathFactory) -> list[Library]:
    rng = random.Random(1)
    items = handbook_items(5, 24)
    return [
        _library(
            tmp_path_factory.mktemp("books"), minilm, *_of_handbooks(items[start : start + 12], rng)
        )
        for start in (0, 12)
    ]


@pytest.fixture(scope="module")
def rows(libraries: Sequence[Library]) -> list[dict[str, Any]]:
    web = libraries[1].collection
    facts = libraries[1].facts
    return list(write_conversations(libraries, web, facts, count=40, seed=3))


def calls(row: dict[str, Any]) -> list[str]:
    return [
        call["function"]["name"]
        for message in row["messages"]
        for call in message.get("tool_calls", ())
    ]


@pytest.mark.slow
def test_every_conversation_ends_with_an_answer_of_the_agreed_form(rows: Any) -> None:
    for row in rows:
        last = row["messages"][-1]
        assert last["role"] == "assistant"
        parsed = prompts.parse_answer(last["content"])
        if row["lineage"]["kind"] == "small_talk":
            assert calls(row) == []
        else:
            assert parsed.abstained or (parsed.quotes and parsed.claims)


@pytest.mark.slow
def test_every_quote_stands_in_the_passage_that_it_cites(rows: Any) -> None:
    quoted = 0
    for row in rows:
        shown = "\n".join(m["content"] for m in row["messages"] if m["role"] == "tool")
        lines = {line.split("]")[0][1:]: line for line in shown.splitlines() if line[:1] == "["}
        for quote in prompts.parse_answer(row["messages"][-1]["content"]).quotes:
            quoted += 1
            assert quote.text in prompts.unmarked(lines[str(quote.numbers[0])])
    assert quoted > 5


@pytest.mark.slow
def test_a_live_question_goes_to_the_web_though_the_library_covers_its_subject(rows: Any) -> None:
    live = [row for row in rows if row["lineage"]["kind"] == "live"]
    assert live
    assert all(calls(row) == ["search_web"] for row in live)


@pytest.mark.slow
def test_training_shows_a_search_byte_for_byte_as_the_agents_tool_does(
    libraries: Sequence[Library],
) -> None:
    library = libraries[0]
    writer = Writer(library, library.collection, random.Random(2))
    row = writer.documents(library.facts[0])
    call = next(m["tool_calls"][0] for m in row["messages"] if m.get("tool_calls"))
    query = call["function"]["arguments"]["query"]
    observed = next(m["content"] for m in row["messages"] if m["role"] == "tool")
    shown = observed.count("\n[")
    hits = library.collection.search(query, limit=shown)
    text, _ = read_pages(
        query, hits, library.collection.embedder, SourceBook(), words=prompts.PASSAGE_WORDS
    )
    assert text == observed


@pytest.mark.slow
def test_the_agent_shows_its_model_byte_for_byte_what_training_showed(
    libraries: Sequence[Library], tmp_path: Path
) -> None:
    library = libraries[0]
    fact = next(each for each in library.facts if each.follow_up)
    second = Fact(
        fact.follow_up or "", fact.follow_up_answer or "", fact.follow_up_sentence or "", fact.title
    )
    writer = Writer(library, library.collection, random.Random(4))
    trained = writer.follow_up(fact, second, fact.follow_up_query or "")["messages"]
    store = library.collection.store
    store.put_note("card", build_card(store).to_dict())
    observed = next(each["content"] for each in trained if each["role"] == "tool")
    settings = Settings(
        home=tmp_path, cache=tmp_path, web="off", history="all", passages=observed.count("\n[")
    )
    asked = next(each for each in trained if each.get("tool_calls"))["tool_calls"][0]["function"]
    script = [f"Answer: {fact.answer}", call(asked["arguments"]["query"]), "Done."]
    chat = ScriptedModel(lines=script)
    with Agent(settings, chat=chat, collection=library.collection) as agent:
        first = agent.ask(fact.question)
        agent.ask(second.question, thread=first.thread)
    shown = [as_openai(message) for message in chat.seen[-1]]
    today = next(line for line in trained[0]["content"].splitlines() if line.startswith("Today"))
    now = next(line for line in shown[0]["content"].splitlines() if line.startswith("Today"))
    assert shown[0]["content"] == trained[0]["content"].replace(today, now)
    # The script speaks word by word and leaves a space before a call that says nothing.
    assert [(each["role"], each["content"].strip()) for each in shown[1:]] == [
        (each["role"], each["content"]) for each in trained[1 : len(shown)]
    ]
    assert len(shown) >= 6


@pytest.mark.slow
def test_the_same_seed_writes_the_same_conversations(libraries: Sequence[Library]) -> None:
    def first() -> dict[str, Any]:
        library = libraries[0]
        return next(
            write_conversations(libraries, library.collection, library.facts, count=1, seed=9)
        )

    assert first() == first()


def test_a_live_answer_stands_in_its_sentence() -> None:
    rng = random.Random(0)
    for _ in range(200):
        live = live_question(rng, ["Tin"])
        assert live.answer in live.sentence
        assert live.sentence in live.snippet


def test_whole_articles_are_held_out(shared_questions: Path) -> None:
    trained = {article.title for article in training_articles(shared_questions)}
    held_out = {article.title for article in held_out_articles(shared_questions)}
    assert len(held_out) >= 10
    assert not trained & held_out


def test_the_exam_asks_nothing_that_its_library_lacks(shared_questions: Path) -> None:
    for part in article_parts(shared_questions, count=60):
        texts = " ".join(text.text for text in part.texts)
        for case in part.cases:
            if case.kind == "documents":
                assert case.sentence in texts
            if case.kind == "absent":
                assert case.sentence not in texts


def test_the_handbook_cases_cover_what_an_agent_must_do() -> None:
    kinds = {case.kind for case in handbook_cases()}
    assert kinds == set(KINDS) - {"outside"}
