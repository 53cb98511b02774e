import re
from typing import Any

import pytest

from finetune.data.content import content_of
from finetune.data.quality import fault_of
from finetune.data.rows import Conversation, Label, Message, Pair, Ranking, Text

PROSE = (
    "The tide turns twice a day, and the mill at the river stands still while it does. Nobody in "
    "the town minds, since the baker grinds at night and sells in the morning, long before the "
    "water comes back. In spring the river is high enough for both wheels, and then the miller "
    "takes on a second hand who sleeps above the stones."
)


def talk(answer: str, question: str = "How is it?", **more: Any) -> Conversation:
    messages = ({"role": "user", "content": question}, {"role": "assistant", "content": answer})
    return Conversation(messages, **more)


def fault(row: Any) -> str | None:
    return fault_of(row, content_of(row))


@pytest.mark.parametrize(
    "row",
    [
        Text(PROSE),
        talk("Yes."),
        talk("46 euros [1]"),
        talk(PROSE),
        Text("Größe: 5 µm – “quoted” … 3 °C"),
        Text(f"{PROSE}\n- one\n- two\n- three"),
    ],
)
def test_good_rows_stay(row: Any) -> None:
    assert fault(row) is None


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (talk(" "), "says nothing"),
        (talk("How is it"), "repeats the question"),
        (talk("As an AI language model, I cannot say."), "language model"),
        (Text("It costs 5 � a night"), "broken characters"),
        (Text("Die GrÃ¶ÃŸe der TÃ¼r"), "broken characters"),
        (Pair("a", "yes  it is", "yes it is"), "say the same"),
        (Text("a b " * 60), "too short"),
        (Text("supercalifragilistic " * 60), "too long to be prose"),
        (Text("... word # " * 60), "too short|symbols"),
        (Text("1234 5678 word " * 40), "too few words with letters"),
        (Text("\n".join(f"- point {n} of the long list" for n in range(20))), "but a list"),
        (Text("\n".join(f"this line number {n} goes on..." for n in range(20))), "cut off"),
        (Text("\n".join(["please read this line once more"] * 20)), "same lines"),
        (Text(PROSE + " again and again and again and over" * 20), "same words"),
    ],
)
def test_bad_rows_say_why(row: Any, said: str) -> None:
    assert re.search(said, fault(row) or "")


def test_a_call_of_a_tool_that_is_not_there_is_told() -> None:
    tools = ({"type": "function", "function": {"name": "search_web"}},)
    call = {"function": {"name": "search_wob", "arguments": {}}}
    messages = (
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "assistant", "content": "ho"},
    )
    assert fault(Conversation(messages, tools)) == "unknown tool"
    assert fault(Conversation(messages)) is None


def calling(query: str) -> Message:
    function = {"name": "search_web", "arguments": {"query": query}}
    return {"role": "assistant", "content": None, "tool_calls": [{"function": function}]}


def test_a_call_alone_is_something_said() -> None:
    asked: Message = {"role": "user", "content": "tide"}
    assert fault(Conversation((asked, calling("tide")))) is None


def test_answers_that_differ_in_their_calls_differ() -> None:
    right, wrong = (calling("tide today"),), (calling("today"),)
    assert fault(Pair("When is the tide?", right, wrong)) is None
    assert fault(Pair("When is the tide?", right, right)) == "both answers say the same"


def test_a_worse_answer_may_be_as_bad_as_it_likes() -> None:
    model = "As an AI language model, I cannot say."
    assert fault(Pair("How is it?", PROSE, model)) is None
    assert fault(Ranking("How is it?", (PROSE, model))) is None
    assert fault(Label("How is it?", model, label=False)) is None
    assert fault(Pair("How is it?", model, PROSE))
    assert fault(Label("How is it?", model, label=True))
