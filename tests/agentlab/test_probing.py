import pytest

from agentlab.probing import Wording, leans_on_earlier, probe, worded
from ingest.evidence import Evidence


@pytest.mark.parametrize(
    "question",
    [
        "And for managers?",
        "what about Sundays",
        "How much is it abroad?",
        "Why?",
        "managers?",
        "Crew transfer?",
        "by night train",
        "what's that per month now",
        "Can I join that without seeing a doctor?",
        "Can I cancel that booking?",
        "Is the second one for adults?",
        "And a blue one",
        "Which one is the oldest?",
    ],
)
def test_a_question_that_points_back_leans_on_the_one_before(question: str) -> None:
    assert leans_on_earlier(question)


@pytest.mark.parametrize(
    "question",
    [
        "Who discovered penicillin?",
        "What is the hotel limit for managers in Oslo?",
        "hotel limit managers Oslo",
        "is parking free",
        "Who is given the money that is left over?",
        "Which value does the form require that older files lack?",
        "How long did annotating one example take?",
        "What does one night in a hotel cost?",
    ],
)
def test_a_whole_question_stands_alone(question: str) -> None:
    assert not leans_on_earlier(question)


def grade(text: str) -> Evidence:
    return Evidence("strong", 0.9) if "allowance" in text else Evidence("none", 0.1)


def test_a_follow_up_is_probed_together_with_its_question() -> None:
    asked = Wording("And for managers?", "What is the allowance?")
    assert probe(grade, asked).strength == "strong"
    assert probe(grade, Wording("And for managers?")).strength == "none"


def test_a_new_subject_is_probed_alone() -> None:
    asked = Wording("Who discovered penicillin?", "What is the allowance?")
    assert probe(grade, asked).strength == "none"


def test_a_chain_of_follow_ups_reaches_back_to_the_question_that_began_it() -> None:
    before = ["Who is the bishop?", "What is the meal allowance?", "And for managers?"]
    assert (
        worded("And on islands?", before).earlier == "What is the meal allowance? And for managers?"
    )
    assert worded("And on islands?", []).earlier is None


@pytest.mark.parametrize(
    ("query", "mended"),
    [
        ("What is the meal allowance", "What is the meal allowance? And for managers?"),
        ("meal allowance of managers", "meal allowance of managers"),
        ("meal allowance of executives", "meal allowance of executives"),
    ],
)
def test_a_query_that_repeats_the_question_before_gives_way_to_the_persons_words(
    query: str, mended: str
) -> None:
    asked = Wording("And for managers?", "What is the meal allowance?")
    assert asked.mended(query) == mended
    assert Wording("And for managers?").mended(query) == query
    assert Wording("And that?", "What is the meal allowance?").mended(query) == query


def test_what_is_searched_and_read_are_the_persons_own_words_beside_the_query() -> None:
    asked = worded("And for managers?", ["What is the meal allowance?"])
    assert asked.own == "What is the meal allowance? And for managers?"
    assert asked.searches("managers' meals") == ["managers' meals", asked.own]
    alone = worded("Who discovered penicillin?", ["What is the meal allowance?"])
    assert alone.own == "Who discovered penicillin?"
