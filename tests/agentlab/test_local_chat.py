"""The model in this process as a LangChain chat model."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import BaseTool, tool
from scripted import ScriptedModel, ScriptedWeb, call, small_library

from agentlab.agent import Agent
from agentlab.local_chat import LocalChatModel, as_openai
from agentlab.prompts import NOT_FOUND, TOOLS
from agentlab.settings import Settings
from ingest.reader import Calibrated, Reply

CALL = (
    '<tool_call>\n{"name": "search_documents", "arguments": {"query": "hotel cost"}}\n</tool_call>'
)
HOTEL = '"A hotel night may cost 140 euros at most." [1]\nAnswer: 140 euros [1]'


class Typist:
    """Writes a text in pieces of a few characters."""

    usage = (40, 9)

    def __init__(self, *texts: str, size: int = 4) -> None:
        self.texts = list(texts)
        self.size = size
        self.asked: list[dict[str, Any]] = []
        self.closed = 0

    def stream(self, messages: Any, tools: Any = None, **options: Any) -> Iterator[str]:
        self.asked.append({"messages": messages, "tools": tools, **options})
        text = self.texts.pop(0)
        try:
            for start in range(0, len(text), self.size):
                yield text[start : start + self.size]
        finally:
            self.closed += 1


@pytest.mark.parametrize("size", [1, 3, 7, 500])
def test_a_call_is_held_back_and_the_prose_before_it_is_streamed(size: int) -> None:
    model = LocalChatModel(generator=Typist(f"Let me < look.\n{CALL}", size=size))
    chunks = list(model.bind_tools(TOOLS).stream("hotel?"))
    assert "".join(str(chunk.text) for chunk in chunks) == "Let me < look."
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert whole.tool_calls[0]["args"] == {"query": "hotel cost"}
    assert whole.usage_metadata["total_tokens"] == 49


def test_two_calls_in_one_message_are_both_read() -> None:
    other = CALL.replace("search_documents", "search_web")
    message = LocalChatModel(generator=Typist(f"{CALL}\n{other}")).invoke("hotel?")
    assert [each["name"] for each in message.tool_calls] == ["search_documents", "search_web"]
    assert len({each["id"] for each in message.tool_calls}) == 2


@pytest.mark.parametrize(
    "block",
    [
        '<tool_call>\n{"name": "search_documents", "arguments": {"query": "a very long',
        "<tool_call>\nsearch hotels\n</tool_call>",
        '<tool_call>\n{"name": "search_documents", "arguments": "hotel"}\n</tool_call>',
        '<tool_call>\n{"tool": "search_documents"}\n</tool_call>',
        "<tool_call>\n" + "[" * 5_000,
    ],
)
def test_a_broken_call_is_an_invalid_call_with_its_text(block: str) -> None:
    message = LocalChatModel(generator=Typist(block)).invoke("hotel?")
    assert not message.tool_calls
    assert message.invalid_tool_calls[0]["args"].startswith("<tool_call>")
    assert message.text == ""


def test_text_that_only_begins_like_a_call_is_spoken_in_the_end() -> None:
    assert LocalChatModel(generator=Typist("a <tool_")).invoke("x").text == "a <tool_"


def test_messages_keep_their_bytes_on_the_way_to_the_template() -> None:
    asked = call("Größe “x”")
    messages = [
        SystemMessage("sys"),
        HumanMessage("q"),
        asked,
        ToolMessage("found", name="search_documents", tool_call_id="c1"),
        AIMessage("done"),
    ]
    system, user, spoken, tool, last = map(as_openai, messages)
    assert (system["role"], user["role"], last["content"]) == ("system", "user", "done")
    assert spoken["tool_calls"][0]["function"]["arguments"] == '{"query": "Größe “x”"}'
    assert (tool["role"], tool["tool_call_id"]) == ("tool", "c1")
    assert "tool_calls" not in last


def test_without_tools_none_are_passed_on() -> None:
    typist = Typist("Hello.")
    LocalChatModel(generator=typist, max_tokens=9).invoke("hi")
    assert typist.asked[0]["tools"] is None
    assert typist.asked[0]["max_tokens"] == 9


def test_a_model_is_guided_unless_it_is_told_otherwise() -> None:
    typist = Typist("Hello.", "Hello.", "Hello.")
    chat = LocalChatModel(generator=typist)
    chat.invoke("hi")
    chat.bind(guided=False).invoke("hi")
    chat.bind_tools(TOOLS, quotes=[("A sentence.", 2)]).invoke("hi")
    asked = [(each["guided"], list(each["quotes"])) for each in typist.asked]
    assert asked == [(True, []), (False, []), (True, [("A sentence.", 2)])]


def shown_to(tmp_path: Path, **values: Any) -> list[tuple[bool, list[tuple[str, int]]]]:
    """Ask with a search and give what each call of the model was guided by."""
    typist = Typist(CALL, HOTEL)
    settings = Settings(home=tmp_path, cache=tmp_path / "cache", **values)
    chat = LocalChatModel(generator=typist)
    with Agent(settings, chat=chat, collection=small_library(), provider=ScriptedWeb()) as agent:
        assert agent.ask("What may a hotel night cost?").supported
    return [(each["guided"], list(each["quotes"])) for each in typist.asked]


def test_the_agent_lets_the_reader_choose_the_quote(tmp_path: Path) -> None:
    first, second = shown_to(tmp_path)
    assert first == (True, [])
    assert second == (True, [("A hotel night may cost 140 euros at most.", 1)])


def test_the_agent_lets_the_model_choose_among_what_it_was_shown(tmp_path: Path) -> None:
    quotes = shown_to(tmp_path, quotes="shown")[1][1]
    assert ("A hotel night may cost 140 euros at most.", 1) in quotes
    assert ("Breakfast is free.", 1) in quotes
    assert len(quotes) > 2


@pytest.mark.parametrize(
    ("values", "guided"), [({"quotes": "free"}, True), ({"guided": False}, False)]
)
def test_quotes_are_free_where_the_settings_say_so(
    tmp_path: Path, values: dict[str, Any], guided: bool
) -> None:
    assert shown_to(tmp_path, **values)[1] == (guided, [])


def test_the_last_answer_without_tools_is_guided_too(tmp_path: Path) -> None:
    typist = Typist(CALL, HOTEL)
    settings = Settings(home=tmp_path, cache=tmp_path / "cache", max_steps=1)
    chat = LocalChatModel(generator=typist)
    with Agent(settings, chat=chat, collection=small_library(), provider=ScriptedWeb()) as agent:
        agent.ask("What may a hotel night cost?")
    last = typist.asked[-1]
    assert last["tools"] is None
    assert list(last["quotes"]) == [("A hotel night may cost 140 euros at most.", 1)]


def forms_where_nothing_answers(
    tmp_path: Path, *lines: str, tools: Sequence[BaseTool] = (), **values: Any
) -> list[Any]:
    """Ask what no passage answers, and give what each message might be: others, calls, quotes."""
    typist = Typist(*lines)
    library = small_library()
    library.reader = DoubtfulReader()
    settings = Settings(home=tmp_path, cache=tmp_path / "cache", route="model", **values)
    chat = LocalChatModel(generator=typist)
    web = ScriptedWeb()
    with Agent(settings, chat=chat, collection=library, provider=web, tools=tools) as agent:
        assert agent.ask("What may a hotel night cost?").abstained
    return [(each["others"], list(each["calls"]), bool(each["quotes"])) for each in typist.asked]


BOTH = ["search_documents", "search_web"]


def test_a_tool_of_ones_own_is_never_the_only_thing_left_to_do(tmp_path: Path) -> None:
    @tool
    def send_email(text: str) -> str:
        """Send an email."""
        return f"sent {text}"

    web = CALL.replace("search_documents", "search_web")
    *_, last = forms_where_nothing_answers(tmp_path, CALL, web, NOT_FOUND, tools=[send_email])
    assert last == ((NOT_FOUND,), [*BOTH, "send_email"], False)


def test_where_nothing_answers_the_other_tool_is_tried_and_then_the_model_declines(
    tmp_path: Path,
) -> None:
    web = CALL.replace("search_documents", "search_web")
    first, second, third = forms_where_nothing_answers(tmp_path, CALL, web, NOT_FOUND)
    assert first == (None, BOTH, False)
    assert second == ((), ["search_web"], False)
    assert third == ((NOT_FOUND,), BOTH, False)


def test_a_model_that_decides_itself_may_quote_weak_evidence(tmp_path: Path) -> None:
    _, second = forms_where_nothing_answers(tmp_path, CALL, NOT_FOUND, abstain="model")
    assert second == (None, BOTH, True)


class DoubtfulReader:
    """A reader that finds no answer anywhere."""

    calibration = Calibrated()

    def read(self, question: str, titles: Any, passages: Any, sentences: Any) -> list[Reply]:
        del question, titles, passages
        return [Reply((-90.0,) * len(each), ((0, 0),) * len(each)) for each in sentences]


class FindingReader:
    """A reader that finds the answer in the words "140 euros"."""

    calibration = Calibrated()

    def read(self, question: str, titles: Any, passages: Any, sentences: Any) -> list[Reply]:
        del question, titles
        return [
            Reply(
                tuple(9.0 if "140 euros" in text[a:b] else -9.0 for a, b in spans),
                tuple(self._answer(text, span) for span in spans),
            )
            for text, spans in zip(passages, sentences, strict=True)
        ]

    @staticmethod
    def _answer(text: str, span: tuple[int, int]) -> tuple[int, int]:
        at = text.find("140 euros", *span)
        return (at, at + len("140 euros")) if at >= 0 else span


def answered(tmp_path: Path, chat: Any, **values: Any) -> tuple[str, bool]:
    """Ask what the reader finds; give the short answer, and whether it is cited rightly."""
    library = small_library()
    library.reader = FindingReader()
    settings = Settings(home=tmp_path, cache=tmp_path / "cache", **values)
    with Agent(settings, chat=chat, collection=library, provider=ScriptedWeb()) as agent:
        answer = agent.ask("What may a hotel night cost?")
    return answer.text, bool(answer.citations) and answer.supported


LONG = HOTEL.replace("Answer: ", "Answer: At most ")


def test_what_the_reader_found_is_the_answer_and_the_model_writes_none(tmp_path: Path) -> None:
    typist = Typist(CALL)
    assert answered(tmp_path, LocalChatModel(generator=typist)) == ("140 euros [1]", True)
    assert len(typist.asked) == 1


class TornReader(FindingReader):
    """A reader to which breakfast answers about as well."""

    calibration = Calibrated(likeness=0.0, order=0.0, within=0.0)

    def read(self, question: str, titles: Any, passages: Any, sentences: Any) -> list[Reply]:
        replies = super().read(question, titles, passages, sentences)
        return [
            replace(
                reply,
                sentences=tuple(
                    8.0 if "Breakfast" in text[a:b] else own
                    for own, (a, b) in zip(reply.sentences, spans, strict=True)
                ),
            )
            for reply, text, spans in zip(replies, passages, sentences, strict=True)
        ]


@pytest.mark.parametrize(("second_quote", "quotes"), [(True, 2), (False, 1)])
def test_a_second_sentence_is_quoted_where_the_reader_is_torn_and_the_settings_let_it(
    tmp_path: Path, second_quote: bool, quotes: int
) -> None:
    library = small_library()
    library.reader = TornReader()
    settings = Settings(home=tmp_path, cache=tmp_path / "cache", second_quote=second_quote)
    chat = LocalChatModel(generator=Typist(CALL))
    with Agent(settings, chat=chat, collection=library, provider=ScriptedWeb()) as agent:
        answer = agent.ask("What may a hotel night cost?")
    assert len([each for each in answer.citations if each.quote]) == quotes
    assert answer.supported


@pytest.mark.parametrize(
    ("whole_lists", "text"),
    [(True, "- the room, 140 euros [1]\n- the breakfast [1]"), (False, "140 euros [1]")],
)
def test_a_list_that_is_asked_for_is_the_answer_where_the_settings_let_it(
    tmp_path: Path, whole_lists: bool, text: str
) -> None:
    page = "Of a hotel we pay:\n- the room, 140 euros;\n- the breakfast\nNothing else is paid."
    library = small_library([("Handbook", "Hotels", 1, page)])
    library.reader = FindingReader()
    settings = Settings(home=tmp_path, cache=tmp_path / "cache", whole_lists=whole_lists)
    chat = LocalChatModel(generator=Typist(CALL))
    with Agent(settings, chat=chat, collection=library, provider=ScriptedWeb()) as agent:
        answer = agent.ask("Which costs of a hotel do you pay?")
    assert answer.text == text
    assert answer.supported


@pytest.mark.parametrize(
    "values", [{"short_answer": "model"}, {"quotes": "shown"}, {"guided": False}]
)
def test_the_model_writes_the_short_answer_where_the_settings_say_so(
    tmp_path: Path, values: dict[str, Any]
) -> None:
    typist = Typist(CALL, LONG)
    text, cited = answered(tmp_path, LocalChatModel(generator=typist), **values)
    assert text.startswith("At most")
    assert cited


def test_a_model_of_somebody_elses_endpoint_writes_its_own_answer(tmp_path: Path) -> None:
    text, _ = answered(tmp_path, ScriptedModel(lines=[call("hotel"), LONG]))
    assert text.startswith("At most")


def test_leaving_the_stream_closes_the_generator() -> None:
    typist = Typist("word " * 100)
    stream = LocalChatModel(generator=typist).stream("hi")
    next(stream)
    stream.close()
    assert typist.closed == 1


def test_a_choice_of_tool_that_cannot_be_forced_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be made to call"):
        LocalChatModel(generator=Typist()).bind_tools(TOOLS, tool_choice="any")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_untuned_base_runs_and_every_run_ends_with_words(
    tmp_path: Path, starter_base: Path
) -> None:
    settings = Settings(home=tmp_path, cache=tmp_path, model=str(starter_base), max_tokens=24)
    with Agent(settings, collection=small_library(), provider=ScriptedWeb()) as agent:
        answer = agent.ask("What may a hotel night cost?")
        again = agent.ask("And breakfast?", thread=answer.thread)
    assert answer.text
    assert again.text
    assert answer.usage.prompt_tokens > 50
