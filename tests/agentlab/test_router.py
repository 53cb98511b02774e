import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from scripted import ScriptedModel, ScriptedWeb, call, small_library

from agentlab.agent import UNSEARCHED, Agent
from agentlab.answer import Answered, Thought
from agentlab.library import open_router
from agentlab.model import OpenModel
from agentlab.probing import worded
from agentlab.prompts import NOT_FOUND
from agentlab.router import (
    ASK,
    LIBRARY,
    LISTS,
    LIVE,
    TALK,
    IntentRouter,
    first_calls,
    kinds_of,
    reply_to,
)
from agentlab.settings import Settings
from agentlab.small_talk import UNSURE
from agentlab.tools.errors import SearchUnavailableError
from ingest.evidence import Strength

CALL = '<tool_call>\n{{"name": "{}", "arguments": {{"query": "hotel"}}}}\n</tool_call>'
DOCUMENTS, WEB = ("search_documents",), ("search_web",)


def sure(kind: str) -> dict[str, float]:
    return {each: 0.85 if each == kind else 0.05 for each in (ASK, LIVE, LIBRARY, TALK)}


@pytest.mark.parametrize(
    ("kind", "strength", "expected"),
    [
        (ASK, "strong", DOCUMENTS),
        (ASK, "good", DOCUMENTS),
        (ASK, "weak", None),
        (ASK, "none", WEB),
        (LIVE, "strong", WEB),
        (LIVE, "none", WEB),
        (TALK, "none", ()),
        (TALK, "weak", ()),
        (TALK, "good", None),
        (LIBRARY, "none", (LISTS,)),
        (LIBRARY, "strong", (LISTS,)),
    ],
)
def test_the_kind_and_the_evidence_tell_where_to_look_first(
    kind: str, strength: Strength, expected: Sequence[str] | None
) -> None:
    assert first_calls(sure(kind), strength) == expected


@pytest.mark.parametrize(
    ("strength", "answers", "expected"),
    [("strong", True, DOCUMENTS), ("strong", False, WEB), ("weak", True, WEB)],
)
def test_what_the_library_matches_and_answers_is_not_asked_of_the_web_first(
    strength: Strength, answers: bool, expected: Sequence[str]
) -> None:
    assert first_calls(sure(LIVE), strength, answers=lambda _: answers) == expected


def test_what_no_document_matches_is_for_the_web_whether_its_answer_lasts_or_not() -> None:
    torn = {ASK: 0.45, LIVE: 0.5, TALK: 0.05}
    assert first_calls(torn, "none") == WEB
    assert first_calls(torn, "weak") is None
    assert first_calls({ASK: 0.3, LIVE: 0.35, TALK: 0.35}, "none") is None


@pytest.mark.parametrize(
    ("live", "sureness", "expected"),
    [(0.95, 0.9, DOCUMENTS), (0.95, 0.7, WEB), (0.85, 0.7, DOCUMENTS)],
)
def test_the_library_must_be_the_surer_the_clearer_a_question_is_live(
    live: float, sureness: float, expected: Sequence[str]
) -> None:
    kinds = {LIVE: live, ASK: 1 - live}
    assert first_calls(kinds, "strong", answers=lambda least: sureness >= least) == expected


def test_what_sounds_like_a_question_on_the_library_and_stands_in_it_is_looked_up() -> None:
    assert first_calls(sure(LIBRARY), "good", answers=lambda _: True) == DOCUMENTS
    assert first_calls(sure(LIBRARY), "weak", answers=lambda _: True) == (LISTS,)


def test_the_intents_of_talk_count_together_and_the_likeliest_has_the_reply() -> None:
    kinds = {ASK: 0.2, f"{TALK}:thanks": 0.5, f"{TALK}:bye": 0.3}
    assert first_calls(kinds, "none") == ()
    assert reply_to(kinds) == "You're welcome. What else would you like to know?"
    assert reply_to(sure(TALK)) is None


def test_an_intent_that_the_others_together_outweigh_gets_no_reply_of_its_own() -> None:
    kinds = {f"{TALK}:joke": 0.28, f"{TALK}:testing": 0.27, f"{TALK}:greeting": 0.25, ASK: 0.2}
    assert reply_to(kinds) == UNSURE


def test_clear_talk_is_talk_though_the_library_matches_it_unless_it_answers_it() -> None:
    talk = {TALK: 0.95, ASK: 0.05}
    assert first_calls(talk, "strong", answers=lambda _: False) == ()
    assert first_calls(talk, "strong", answers=lambda _: True) == DOCUMENTS


@pytest.mark.parametrize(
    ("strength", "answers", "expected"),
    [("strong", False, None), ("strong", True, DOCUMENTS), ("weak", True, None)],
)
def test_where_the_router_is_unsure_the_model_decides_unless_the_library_answers(
    strength: Strength, answers: bool, expected: Sequence[str] | None
) -> None:
    kinds = {ASK: 0.3, f"{TALK}:add": 0.6, LIVE: 0.1}
    assert first_calls(kinds, strength, answers=lambda _: answers) == expected


def test_a_follow_up_is_judged_with_its_question_and_what_may_be_talk_in_both_ways() -> None:
    class Last:
        def kinds(self, question: str) -> Mapping[str, float]:
            return sure(
                TALK if question.startswith("Thanks") else LIVE if "now" in question else ASK
            )

    thanks = worded("Thanks a lot!", ["What does gold cost now?"])
    kinds = kinds_of(Last(), thanks)
    assert (kinds[LIVE], kinds[TALK]) == pytest.approx((0.45, 0.45))
    follow_up = worded("And silver?", ["What does gold cost now?"])
    assert kinds_of(Last(), follow_up)[LIVE] > 0.5
    alone = worded("Who signs an order for silver?", ["What does gold cost now?"])
    assert kinds_of(Last(), alone)[ASK] > 0.5


class Kinds:
    """A router that always says the same."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.heard: list[str] = []

    def kinds(self, question: str) -> Mapping[str, float]:
        self.heard.append(question)
        return sure(self.kind)


def first_pattern(tmp_path: Path, kinds: Kinds, **changes: object) -> str:
    """Ask on an engine that takes patterns; give the one that the first message had."""
    chat = ScriptedModel(lines=["Hello!"])
    settings = Settings(home=tmp_path, cache=tmp_path / "cache", **changes)
    library, web = small_library(), ScriptedWeb()
    with Agent(settings, chat=chat, collection=library, provider=web, router=kinds) as agent:
        agent.__dict__["model"] = OpenModel(chat, "scripted", "vllm")
        agent.ask("What may a hotel night cost?")
    return str(chat.told[0]["extra_body"]["structured_outputs"]["regex"])


@pytest.mark.parametrize(
    ("kind", "callable_first", "words"),
    [(LIVE, WEB, False), (ASK, DOCUMENTS, False), (TALK, (*DOCUMENTS, *WEB), True)],
)
def test_the_first_message_is_kept_to_what_the_router_says(
    tmp_path: Path, kind: str, callable_first: Sequence[str], words: bool
) -> None:
    kinds = Kinds(kind)
    pattern = first_pattern(tmp_path, kinds)
    admitted = [name for name in (*DOCUMENTS, *WEB) if re.fullmatch(pattern, CALL.format(name))]
    assert admitted == list(callable_first)
    assert bool(re.fullmatch(pattern, "Hello!")) == words
    assert kinds.heard == ["What may a hotel night cost?"]


def test_without_a_web_search_what_is_live_is_left_to_the_model(tmp_path: Path) -> None:
    chat = ScriptedModel(lines=["Hello!"])
    settings = Settings(home=tmp_path, cache=tmp_path / "cache", web="off")
    with Agent(settings, chat=chat, collection=small_library(), router=Kinds(LIVE)) as agent:
        agent.__dict__["model"] = OpenModel(chat, "scripted", "vllm")
        agent.ask("What may a hotel night cost?")
    pattern = str(chat.told[0]["extra_body"]["structured_outputs"]["regex"])
    assert re.fullmatch(pattern, CALL.format(*DOCUMENTS))


def test_after_the_first_search_the_router_is_silent(tmp_path: Path) -> None:
    chat = ScriptedModel(lines=[call("hotel cost"), call("hotel price", "search_web"), "Well."])
    settings = Settings(home=tmp_path, cache=tmp_path / "cache", abstain="model")
    library, web = small_library(), ScriptedWeb()
    with Agent(settings, chat=chat, collection=library, provider=web, router=Kinds(ASK)) as agent:
        agent.__dict__["model"] = OpenModel(chat, "scripted", "vllm")
        agent.ask("What may a hotel night cost?")
    second = str(chat.told[1]["extra_body"]["structured_outputs"]["regex"])
    assert re.fullmatch(second, CALL.format(*WEB))


def test_where_the_first_search_fails_the_other_is_tried_before_the_agent_declines(
    tmp_path: Path,
) -> None:
    chat = ScriptedModel(lines=[call("hotel cost", "search_web"), call("hotel cost"), NOT_FOUND])
    settings = Settings(home=tmp_path, cache=tmp_path / "cache", abstain="reader")
    library, web = small_library(), ScriptedWeb(error=SearchUnavailableError("no network"))
    with Agent(settings, chat=chat, collection=library, provider=web, router=Kinds(LIVE)) as agent:
        agent.__dict__["model"] = OpenModel(chat, "scripted", "vllm")
        agent.ask("What may a hotel night cost?")
    second = str(chat.told[1]["extra_body"]["structured_outputs"]["regex"])
    assert re.fullmatch(second, CALL.format(*DOCUMENTS))
    assert not re.fullmatch(second, NOT_FOUND)
    assert not re.fullmatch(second, CALL.format(*WEB))


def test_only_what_is_taken_for_talk_is_looked_at_closer() -> None:
    class Thanks:
        def kinds(self, question: str) -> Mapping[str, float]:
            return {f"{TALK}:thanks": 0.75, LIBRARY: 0.25}

    asked = Kinds(ASK)
    assert IntentRouter(asked, Thanks()).kinds("Who?") == sure(ASK)
    talked = IntentRouter(Kinds(TALK), Thanks()).kinds("Thanks!")
    assert talked[f"{TALK}:thanks"] == pytest.approx(0.75 * 0.85)
    assert talked[LIBRARY] == pytest.approx(0.05 + 0.25 * 0.85)
    assert sum(talked.values()) == pytest.approx(1)


class Intents:
    """A router that knows the intent of what is said."""

    def kinds(self, question: str) -> Mapping[str, float]:
        thanked = "Thanks" in question
        return {LIBRARY: 0.0 if thanked else 1.0, f"{TALK}:thanks": 1.0 if thanked else 0.0}


def test_the_starter_lists_the_library_and_replies_to_talk_without_its_model(
    tmp_path: Path,
) -> None:
    chat = ScriptedModel(lines=[])
    settings = Settings(home=tmp_path, cache=tmp_path / "cache", web="off")
    with Agent(settings, chat=chat, collection=small_library(), router=Intents()) as agent:
        agent.__dict__["model"] = OpenModel(chat, "scripted", "vllm")
        listed = agent.ask("Which documents do you have?")
        thanked = agent.ask("Thanks!", thread=listed.thread)
        assert agent.journal is not None
        run = agent.journal.run(listed.run)
    assert [step.tool for step in listed.steps] == [LISTS]
    assert listed.text.startswith("The library holds 2 documents:")
    assert not listed.abstained
    assert thanked.text == "You're welcome. What else would you like to know?"
    assert run is not None
    assert [message["role"] for message in run["messages"]] == [
        "system", "user", "assistant", "tool", "assistant",
    ]  # fmt: skip
    assert not chat.told


def test_a_reply_to_talk_is_not_said_to_be_unchecked(tmp_path: Path) -> None:
    class Torn:
        def kinds(self, question: str) -> Mapping[str, float]:
            return {f"{TALK}:{each}": 0.2 for each in ("joke", "testing", "greeting", "bye", "who")}

    chat = ScriptedModel(lines=[])
    settings = Settings(home=tmp_path, cache=tmp_path / "cache", web="off")
    with Agent(settings, chat=chat, collection=small_library(), router=Torn()) as agent:
        agent.__dict__["model"] = OpenModel(chat, "scripted", "vllm")
        *told, last = agent.stream("The hotel limit in the Travel Handbook, hm")
    assert isinstance(last, Answered)
    assert last.answer.text == UNSURE
    assert last.answer.evidence is not None
    assert last.answer.evidence.strength in {"good", "strong"}
    assert Thought(UNSEARCHED) not in told


def test_a_bigger_model_may_list_the_library_itself(tmp_path: Path) -> None:
    chat = ScriptedModel(lines=[call("", LISTS), "Two: the Travel Handbook and the Product Guide."])
    settings = Settings(home=tmp_path, cache=tmp_path / "cache", web="off", model="big")
    with Agent(settings, chat=chat, collection=small_library()) as agent:
        answer = agent.ask("Which documents do you have?")
    assert [step.tool for step in answer.steps] == [LISTS]
    assert "Product Guide (1 page)" in answer.steps[0].observation
    assert answer.text == "Two: the Travel Handbook and the Product Guide."


@pytest.mark.slow
@pytest.mark.usefixtures("minilm_folder")
def test_the_router_that_ships_knows_the_four_kinds() -> None:
    router = open_router(Settings())
    asked = {
        "Who may sign an order of more than a thousand euros?": ASK,
        "And in the manager's absence?": ASK,
        "What is the price of a barrel of oil right now?": LIVE,
        "latest news about the Normans": LIVE,
        "hi there": TALK,
        "Thanks a lot!": TALK,
        "Which documents have you read?": LIBRARY,
    }
    for question, kind in asked.items():
        kinds = router.kinds(question)
        assert sum(kinds.values()) == pytest.approx(1)
        assert max(kinds, key=lambda each: kinds[each]).partition(":")[0] == kind, question


@pytest.mark.slow
@pytest.mark.usefixtures("minilm_folder")
def test_of_a_long_text_the_end_counts() -> None:
    router = open_router(Settings())
    long = "Let me tell you about the office and its many rooms first. " * 12
    asked = router.kinds(f"{long}What's the weather in Oslo today?")
    assert asked[LIVE] > 3 * router.kinds(long)[LIVE]
