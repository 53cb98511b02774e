import pytest

from agentlab.leaning import leans_on_earlier


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
        "official languages belgium",
        "is there a lift for wheelchairs",
        "How many rooms for students are there?",
        "What is the highest yearly fee this year?",
        "How long does it take to convert one page?",
        "Is it allowed to bring dogs onto the ferry?",
        "What do those who are under six pay?",
    ],
)
def test_a_whole_question_stands_alone(question: str) -> None:
    assert not leans_on_earlier(question)


@pytest.mark.parametrize(
    "question",
    [
        "Is the web app free or do I have to pay for it?",
        "where does blood go when it leaves the pulmonary artery",
        "I lost my parking card. Who replaces it?",
        "We're stuck at a lock and will be an hour late, what will that cost?",
    ],
)
def test_what_an_earlier_clause_names_is_not_the_question_before(question: str) -> None:
    assert not leans_on_earlier(question)


@pytest.mark.parametrize("question", ["When it rains, where do they sit?", "Who pays if it breaks"])
def test_a_clause_that_names_nothing_leaves_the_question_leaning(question: str) -> None:
    assert leans_on_earlier(question)
