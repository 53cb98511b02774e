import pytest

from agentlab.probing import Wording, probe, worded
from ingest.evidence import Evidence


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
