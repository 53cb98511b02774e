"""The exam draws the same cases each time and holds what it says; earlier turns are given."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scripted import ScriptedModel, ScriptedWeb, WordEmbedder, call, small_library

from agentlab.agent import Agent
from agentlab.evaluation import Outcome
from agentlab.model import OpenModel, open_model
from agentlab.record import Record
from agentlab.settings import Settings
from agentlab.starter import exam, examination
from agentlab.starter.exam import (
    KINDS,
    Case,
    Part,
    article_parts,
    handbook_cases,
    plain,
    web_texts,
)
from agentlab.starter.questions import Article, held_out_articles
from agentlab.starter.texts import Text

QUESTIONS = Path(__file__).resolve().parents[3] / "shared" / "data" / "qa"
FOLLOW_UP = Case(
    "follow_up", "And for managers?", (("What may a hotel night cost?", "140 euros"),),
    "What may a hotel night cost for managers?", ("140 euros",),
    "A hotel night may cost 140 euros at most.", "Travel Handbook", 4,
)  # fmt: skip


@pytest.fixture(scope="module")
def articles() -> list[Article]:
    if not QUESTIONS.is_dir():
        pytest.skip("the shared questions are not on this machine")
    return held_out_articles(QUESTIONS)


@pytest.fixture
def read_once(articles: list[Article], monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare each drawing the reading of the articles, which takes seconds."""
    monkeypatch.setattr(exam, "held_out_articles", lambda _: list(articles))


@pytest.fixture
def parts(read_once: None) -> list[Part]:
    return article_parts(QUESTIONS)


@pytest.fixture(scope="module")
def on_web(articles: list[Article]) -> list[Text]:
    return web_texts(QUESTIONS)


def test_the_whole_exam_has_over_300_questions_of_every_kind(parts: list[Part]) -> None:
    cases = [case for part in parts for case in part.cases] + handbook_cases()
    counts = Counter(case.kind for case in cases)
    assert len(cases) >= 300
    assert set(counts) == set(KINDS)
    assert min(counts.values()) >= 20
    talk = [case.question for case in cases if case.kind in ("live", "small_talk")]
    assert len(talk) == len(set(talk))
    assert all(len(set(part.cases)) == len(part.cases) for part in parts)


def test_the_exam_is_the_same_each_time(parts: list[Part]) -> None:
    assert article_parts(QUESTIONS) == parts
    assert article_parts(QUESTIONS, seed=12) != parts


def test_every_documents_passage_is_in_its_library(parts: list[Part]) -> None:
    for part in parts:
        texts = [text.text for text in part.texts]
        for case in part.cases:
            if case.kind == "documents":
                assert any(case.stands_in(text) for text in texts)
                assert case.answered_by(case.sentence)


def test_no_passage_of_the_subject_answers_a_near_miss(parts: list[Part]) -> None:
    for part in parts:
        near = [case for case in part.cases if case.kind == "near_miss"]
        titles = {text.title for text in part.texts}
        for case in near:
            assert case.title in titles
            own = [text.text for text in part.texts if text.title == case.title]
            assert not any(case.stands_in(text) or case.answered_by(text) for text in own)


def test_neither_library_nor_web_has_the_subject_of_a_question_from_nowhere(
    parts: list[Part], articles: list[Article], on_web: list[Text]
) -> None:
    for part in parts:
        held = {text.title for text in (*part.texts, *on_web)}
        asked = {case.question for case in part.cases if case.kind == "nowhere"}
        subjects = [
            article.title for article in articles if asked & {q.text for q in article.questions}
        ]
        assert asked
        assert not set(subjects) & held


def test_the_web_holds_what_the_questions_outside_ask(
    parts: list[Part], on_web: list[Text]
) -> None:
    texts = [text.text for text in on_web]
    for part in parts:
        for case in part.cases:
            if case.kind == "outside":
                assert any(case.stands_in(text) for text in texts)


def test_a_quick_exam_keeps_two_of_every_kind_and_always_the_same() -> None:
    whole = examination.exam_parts(None)
    [quick] = examination.quick_parts(whole)
    assert Counter(case.kind for case in quick.cases) == dict.fromkeys(KINDS, 2)
    assert examination.quick_parts(whole) == [quick]
    assert set(quick.cases) <= set(whole[0].cases)


def test_words_are_compared_without_marks_and_the_numbers_of_sources() -> None:
    assert plain("»The  Limit\nis 1,500 € [2].") == "the limit is 1 500"
    assert FOLLOW_UP.stands_in("Hotels. A hotel night may\ncost 140 euros at most. Breakfast.")
    assert not FOLLOW_UP.stands_in("A hotel night may cost 140 euros at mostly.")
    assert not Case("live", "Now?").stands_in("")


def test_earlier_turns_are_given_as_if_they_had_been_answered(tmp_path: Path) -> None:
    model = ScriptedModel(lines=[call("hotel managers"), "Answer: 140 euros [1]"])
    settings = Settings(home=tmp_path, journal=False)
    with Agent(settings, chat=model, collection=small_library(), provider=ScriptedWeb()) as agent:
        answer = examination.ask(agent, FOLLOW_UP)
        asked = [each.text for each in agent.memory.messages(answer.thread) if each.type == "human"]
    assert asked == ["What may a hotel night cost?", "And for managers?"]
    shown = [str(message.content) for message in model.seen[0][1:]]
    assert shown[:2] == ["What may a hotel night cost?", "140 euros"]
    assert shown[2].startswith("And for managers?\n(Library match:")
    assert answer.text == "140 euros [1]"


def test_a_query_finds_a_passage_among_the_first_three() -> None:
    library = small_library()
    assert examination.finds(library, FOLLOW_UP, "hotel night")
    assert not examination.finds(library, FOLLOW_UP, " ")
    many = [("Notes", "", n, f"Kestrel drone flight {n}.") for n in range(4)]
    assert not examination.finds(
        small_library([*many, ("Guide", "", 9, FOLLOW_UP.sentence)]), FOLLOW_UP, "kestrel drone"
    )


def test_a_column_is_named_by_model_and_changes_and_its_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert examination.label_of("starter", {}) == "starter"
    assert examination.label_of("m", {"b": "2", "a": "1"}) == "m a=1 b=2"
    monkeypatch.setattr(examination, "reader_folder", lambda: tmp_path)
    settings = Settings(model=str(tmp_path), engine="transformers")
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"one")
    before = examination.build_of(settings)
    weights.write_bytes(b"other")
    trained = examination.build_of(settings)
    (tmp_path / "reader_config.json").write_text("{}")
    assert len({before, trained, examination.build_of(settings)}) == 3


def test_no_secret_stands_in_the_name_of_a_column() -> None:
    changes = {"api_key": "sk-secret", "base_url": "http://me:word@host/v1", "passages": "2"}
    assert examination.label_of("m", changes) == "m base_url=http://****@host/v1 passages=2"


def test_a_model_that_is_named_is_known_by_its_weights_in_the_cache(tmp_path: Path) -> None:
    settings = Settings(model="org/m", engine="transformers", cache=tmp_path)
    absent = examination.build_of(settings)
    weights = tmp_path / "models" / "org--m" / "model.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"one")
    here = examination.build_of(settings)
    weights.write_bytes(b"other")
    assert len({absent, here, examination.build_of(settings)}) == 3


def test_one_name_at_two_endpoints_is_two_models() -> None:
    one, other, with_user = (
        examination.build_of(Settings(model="m", base_url=url))
        for url in ("http://one:1/v1", "http://other:1/v1", "http://me:word@one:1/v1")
    )
    assert one != other
    assert "word" not in with_user


def test_an_exam_that_was_stopped_asks_only_what_is_left(tmp_path: Path) -> None:
    cases = tuple(case for case in handbook_cases() if case.kind == "small_talk")[:3]
    part = Part("handbooks", (), cases)
    embedder: Any = WordEmbedder()
    embedder.token_spans = lambda text: [(i, i + 1) for i in range(0, len(text), 4)]
    embedder.window = 256
    record = Record(tmp_path / "out.jsonl")

    def run(lines: list[str]) -> list[Outcome]:
        chat = ScriptedModel(lines=lines)
        return list(
            examination.run_exam(
                OpenModel(chat, "scripted", "own"), [part], settings=Settings(home=tmp_path),
                embedder=embedder, reader=None, rater=None, questions=None, record=record,
                label="m", build="b",
            )
        )  # fmt: skip

    part = replace(part, cases=cases[:1])
    assert [each.text for each in run(["Hello!"])] == ["Hello!"]
    part = replace(part, cases=cases)
    assert [each.case for each in run(["Hi!", "Bye!"])] == list(cases[1:])
    assert run([]) == []
    assert {each.build for each in record.outcomes()} == {"b"}


@pytest.mark.slow
def test_the_starter_model_answers_a_question_of_the_exam(
    tmp_path: Path, minilm: Any, reader: Any, rater: Any
) -> None:
    settings = Settings(home=tmp_path)
    case = next(case for case in handbook_cases() if case.kind == "follow_up")
    model = open_model(settings)
    record = Record(tmp_path / "out.jsonl")
    [outcome] = examination.run_exam(
        model, [Part("handbooks", (), (case,))], settings=settings, embedder=minilm, reader=reader,
        rater=rater, questions=None, record=record, label="starter", build="b",
    )  # fmt: skip
    model.close()
    assert record.outcomes() == [outcome]
    assert outcome.steps[0].tool == "search_documents"
    assert outcome.marks["follow_own"] == (1, 1)
    assert outcome.tokens > 0
