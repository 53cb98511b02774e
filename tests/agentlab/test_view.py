from langchain_core.messages import AIMessage, HumanMessage

from agentlab.prompts import cited_answer
from agentlab.view import visible

EARLIER = [
    HumanMessage("What is the allowance?"),
    AIMessage(cited_answer("It is 46 euros.", "46 euros", 1)),
]


def shown(question: str, **options: bool) -> list[str]:
    return [each.text for each in visible([*EARLIER, HumanMessage(question)], None, **options)]


def test_an_earlier_turn_is_shown_as_question_and_bare_answer() -> None:
    assert shown("Who discovered penicillin?") == [
        "What is the allowance?",
        "46 euros",
        "Who discovered penicillin?",
    ]


def test_a_question_that_stands_alone_can_be_shown_alone() -> None:
    assert shown("Who discovered penicillin?", only_leaning=True) == ["Who discovered penicillin?"]


def test_a_question_that_leans_on_the_one_before_is_shown_with_it() -> None:
    assert len(shown("And for managers?", only_leaning=True)) == 3
