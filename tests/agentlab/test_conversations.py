import random
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from scripted import ScriptedModel, call

from agentlab import prompts
from agentlab.agent import Agent
from agentlab.local_chat import as_openai
from agentlab.settings import Settings
from agentlab.starter.build import _library, _of_items
from agentlab.starter.conversations import Fact, Library, Writer, write_conversations
from agentlab.starter.documents import document_items
from agentlab.starter.questions import held_out_articles, training_articles
from agentlab.starter.texts import Text, collection_of
from ingest.card import build_card
from ingest.reading import BEST, NEXT

TEXT = Text("Tides", "", 1, "The tide turns twice a day.")


@pytest.fixture(scope="module")
def libraries(
    minilm: Any, reader: Any, tmp_path_factory: pytest.TempPathFactory
) -> Sequence[Library]:
    items = document_items(5, 40)
    made = []
    for start in (0, 20):
        texts, facts = _of_items(items[start : start + 20], random.Random(1))
        folder = tmp_path_factory.mktemp("documents")
        made.append(_library(collection_of(texts, folder, minilm, reader), facts))
    return made


@pytest.fixture(scope="module")
def rows(libraries: Sequence[Library]) -> list[dict[str, Any]]:
    web = libraries[1].collection
    facts = libraries[1].facts
    written = write_conversations(libraries, web, facts, texts=[TEXT], seed=3)
    return [row for row in islice(filter(None, written), 40) if "messages" in row]


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
            assert quote.text in lines[str(quote.numbers[0])].replace(BEST, "").replace(NEXT, "")
    assert quoted > 5


@pytest.mark.slow
def test_a_live_question_goes_to_the_web_though_the_library_covers_its_subject(rows: Any) -> None:
    live = [row for row in rows if row["lineage"]["kind"] == "live"]
    assert live
    assert all(calls(row) == ["search_web"] for row in live)


@pytest.mark.slow
def test_weak_evidence_is_never_quoted_and_strong_evidence_never_denied(rows: Any) -> None:
    seen = set()
    for row in rows:
        results = [m["content"] for m in row["messages"] if m["role"] == "tool"]
        if results:
            strength = results[-1].split("Evidence: ")[1].split("\n")[0]
            abstained = prompts.parse_answer(row["messages"][-1]["content"]).abstained
            assert abstained == (strength == "weak")
            seen.add(abstained)
    assert seen == {True, False}


@pytest.mark.slow
def test_the_agent_shows_its_model_byte_for_byte_what_training_showed(
    libraries: Sequence[Library], tmp_path: Path
) -> None:
    library = libraries[0]
    fact, trained = _a_follow_up(library)
    store = library.collection.store
    store.put_note("card", build_card(store).to_dict())
    observed = next(each["content"] for each in trained if each["role"] == "tool")
    passages = observed.count("\n[")
    settings = Settings(home=tmp_path, cache=tmp_path, web="off", history="all", passages=passages)
    asked = next(each for each in trained if each.get("tool_calls"))["tool_calls"][0]["function"]
    script = [f"Answer: {fact.answers[0]}", call(asked["arguments"]["query"]), "Done."]
    chat = ScriptedModel(lines=script)
    with Agent(settings, chat=chat, collection=library.collection) as agent:
        first = agent.ask(fact.question)
        agent.ask(fact.turns[0].question, thread=first.thread)
    shown = [as_openai(message) for message in chat.seen[-1]]
    today = next(line for line in trained[0]["content"].splitlines() if line.startswith("Today"))
    now = next(line for line in shown[0]["content"].splitlines() if line.startswith("Today"))
    assert shown[0]["content"] == trained[0]["content"].replace(today, now)
    # The script speaks word by word and leaves a space before a call that says nothing.
    assert [(each["role"], each["content"].strip()) for each in shown[1:]] == [
        (each["role"], each["content"]) for each in trained[1 : len(shown)]
    ]
    assert len(shown) >= 6


def _a_follow_up(library: Library) -> tuple[Fact, list[dict[str, Any]]]:
    """Write follow-ups until one searched the library at once and has one turn before it."""
    writer = Writer(library, library.collection, random.Random(4))
    for fact in library.facts:
        row = writer.follow_up(fact) if fact.turns else None
        asked = (
            [each["content"] for each in row["messages"] if each["role"] == "user"] if row else []
        )
        if row and len(asked) == 2 and calls(row) == ["search_documents"] and row["tools"]:
            return fact, row["messages"]
    raise AssertionError("no follow-up was written")


@pytest.mark.slow
def test_some_rows_are_plain_text(libraries: Sequence[Library]) -> None:
    web, facts = libraries[1].collection, libraries[1].facts
    rows = write_conversations(libraries, web, facts, texts=[TEXT], seed=3)
    assert {row["text"] for row in islice(filter(None, rows), 60) if "text" in row} == {TEXT.text}


@pytest.mark.slow
def test_the_same_seed_and_number_write_the_same_conversation(
    libraries: Sequence[Library],
) -> None:
    web, facts = libraries[0].collection, libraries[0].facts

    def upto(last: int, *, first: int = 0) -> list[Any]:
        rows = write_conversations(libraries, web, facts, texts=[TEXT], seed=9, first=first)
        return list(islice(rows, last - first))

    assert upto(6, first=3) == upto(6)[3:]


def test_whole_articles_are_held_out(shared_questions: Path) -> None:
    trained = {article.title for article in training_articles(shared_questions)}
    held_out = {article.title for article in held_out_articles(shared_questions)}
    assert len(held_out) >= 10
    assert not trained & held_out
