"""Requests for a document as a whole, from the person's words to the cited outline."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from scripted import ScriptedModel, call, small_library

from agentlab.agent import Agent
from agentlab.answer import Answer
from agentlab.probing import worded
from agentlab.settings import Settings
from agentlab.wholes import Whole, whole_of
from ingest.collection import Collection

LIBRARY = small_library()
HANDBOOK = Whole("outline", "/docs/Travel Handbook.pdf")
PAPER = small_library(
    (
        ("Kites", "", 1, "Kites\n\nGreta Noakes, Colin Okoro\n\nVersion 3, 4 May 2031"),
        ("Kites", "Wind", 2, "Kites fly in wind. The drone paper was written by Ada Wu in 2029."),
        ("Boats", "", 1, "Boats float. Nobody signs."),
    )
)


def ask(
    tmp_path: Path,
    *questions: str,
    lines: Sequence[Any] = ("A model said this.",) * 2,
    library: Collection = LIBRARY,
    **values: Any,
) -> Answer:
    settings = Settings(home=tmp_path, cache=tmp_path / "cache", web="off", **values)
    chat = ScriptedModel(lines=list(lines))
    with Agent(settings, chat=chat, collection=library, router=Undecided()) as agent:
        thread = None
        for question in questions:
            answer = agent.ask(question, thread=thread)
            thread = answer.thread
    return answer


class Undecided:
    def kinds(self, question: str) -> dict[str, float]:
        return {"ask": 0.5, "live": 0.5}


@pytest.mark.parametrize(
    "question",
    [
        "Summarise the travel handbook",
        "Please summarize Travel Handbook.pdf.",
        "Can you give me a short summary of the travel handbook?",
        "What is the travel handbook about?",
        "What does the travel handbook say?",
        "How many pages does the Travel Handbook have?",
        "What are the main points of the travel handbook?",
    ],
)
def test_a_document_that_is_named_is_outlined(question: str) -> None:
    assert whole_of(worded(question, []), LIBRARY) == HANDBOOK


@pytest.mark.parametrize(
    ("question", "subject"),
    [
        ("Which documents mention second class?", "second class"),
        ("Does any file talk about hotels", "hotels"),
        ("List all documents about breakfast", "breakfast"),
        ("Where is the Kestrel mentioned?", "Kestrel"),
        ("Summarise the hotel night", "hotel night"),
    ],
)
def test_words_are_looked_for_in_every_document(question: str, subject: str) -> None:
    assert whole_of(worded(question, []), LIBRARY) == Whole("mentions", subject)


@pytest.mark.parametrize(
    "question",
    ["What are these documents about?", "Give me an overview of the library", "Summarise it"],
)
def test_where_no_document_is_named_they_are_listed(question: str) -> None:
    assert whole_of(worded(question, []), LIBRARY) == Whole("list")


@pytest.mark.parametrize(
    "question",
    [
        "What may a hotel night cost?",
        "What is in the first aid kit?",
        "What does the travel insurance cover?",
        "What does a train say?",
        "What does travel cover?",
        "Summarise the Treaty of Versailles",
        "How long is the travel handbook valid?",
        "What does the travel handbook say about hotels?",
        "Which handbook covers damage to a hired hotel room?",
        "What handbook is about to be replaced?",
        f"Summarise this: {'all work and no play ' * 20}",
    ],
)
def test_any_other_question_goes_its_usual_way(question: str) -> None:
    assert whole_of(worded(question, []), LIBRARY) is None


@pytest.mark.parametrize(
    "question",
    [
        "Who wrote the kites paper?",
        "Who are the authors of the paper on kites?",
        "When was the kites paper last updated?",
        "What is the version of the kites paper?",
    ],
)
def test_who_wrote_a_document_and_when_stands_where_it_begins(question: str) -> None:
    assert whole_of(worded(question, []), PAPER) == Whole("opening", "/docs/Kites.pdf")


@pytest.mark.parametrize(
    "question",
    [
        "Who wrote Kites?",
        "Who wrote the drone paper?",
        "When was the boats guide published?",
        "Who wrote about kites?",
    ],
)
def test_a_work_that_is_no_document_here_or_shows_no_date_is_searched_for(question: str) -> None:
    assert whole_of(worded(question, []), PAPER) is None


def test_what_a_passage_surely_answers_needs_no_opening(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PAPER, "answers", lambda question: True)
    assert whole_of(worded("Who wrote the kites paper?", []), PAPER) is None


def test_an_opening_is_quoted_line_by_line(tmp_path: Path) -> None:
    answer = ask(tmp_path, "Who wrote the kites paper?", library=PAPER)
    assert answer.text.splitlines() == [
        "Kites (Kites.pdf, 2 pages) begins:",
        "- “Greta Noakes, Colin Okoro” [1]",
        "- “Version 3, 4 May 2031” [1]",
    ]
    assert answer.supported
    assert answer.usage.model_calls == 0


def test_it_is_the_document_of_the_question_before() -> None:
    asked = worded("Summarise it", ["What does a hotel night cost?"])
    assert whole_of(asked, LIBRARY) == HANDBOOK


def test_an_outline_quotes_the_document_and_needs_no_model(tmp_path: Path) -> None:
    answer = ask(tmp_path, "Summarise the travel handbook")
    assert answer.text.splitlines() == [
        "Travel Handbook (Travel Handbook.pdf, 2 pages), in its own words:",
        "- “A hotel night may cost 140 euros at most.” [1]",
        "- “Breakfast is free.” [1]",
        "- “Train tickets are second class.” [2]",
        "- “The Head of Finance signs.” [2]",
    ]
    assert answer.supported
    assert [(each.title, each.page) for each in answer.sources] == [
        ("Travel Handbook", 4),
        ("Travel Handbook", 5),
    ]
    assert (answer.usage.model_calls, answer.stopped) == (0, None)


def test_the_documents_that_mention_words_are_cited(tmp_path: Path) -> None:
    answer = ask(tmp_path, "Which documents mention the Kestrel drone?")
    assert answer.text == (
        "One document mentions “Kestrel drone”:\n- Product Guide, p. 2\n"
        "  - “The Kestrel drone carries 12 kilograms for 40 minutes.” [1]"
    )
    assert answer.supported


def test_words_that_stand_nowhere_are_said_to_be_nowhere(tmp_path: Path) -> None:
    answer = ask(tmp_path, "Which documents mention unicorns?")
    assert answer.abstained
    assert answer.text.endswith("No passage holds all words of “unicorns”.")


def test_a_conversation_goes_on_after_an_outline(tmp_path: Path) -> None:
    answer = ask(tmp_path, "Summarise the travel handbook", "Which documents mention breakfast?")
    assert answer.text.startswith("One document mentions “breakfast”:")


def test_where_the_outline_fails_the_model_goes_on_and_has_the_last_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(source: str) -> None:
        raise OSError(f"{source} is gone")

    monkeypatch.setattr(LIBRARY.store, "rows", lost)
    lines = [call("hotel"), "A model said this."]
    answer = ask(tmp_path, "Summarise the travel handbook", lines=lines, abstain="model")
    assert [step.tool for step in answer.steps] == ["outline_document", "search_documents"]
    assert answer.text == "A model said this."


def test_an_outline_is_told_though_its_step_was_the_last(tmp_path: Path) -> None:
    answer = ask(tmp_path, "Summarise the travel handbook", max_steps=1)
    assert answer.text.startswith("Travel Handbook")
    assert (answer.usage.model_calls, answer.stopped) == (0, None)


def test_a_bigger_model_says_it_in_its_own_words(tmp_path: Path) -> None:
    assert ask(tmp_path, "Summarise the travel handbook", model="big").text == "A model said this."
