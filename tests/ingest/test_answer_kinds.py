"""What kind of answer a question asks for, and which sentences hold one."""

import pytest

from ingest.answer_kinds import of_another_kind

PAID = "Raters were paid 12 dollars an hour."
JUDGED = "On average, a rater judged 41 questions."


def fits(question: str, *sentences: str, text: str = "") -> list[bool]:
    """Tell which sentences may answer; all stand in one text."""
    whole = text or " ".join(sentences)
    (others,) = of_another_kind(question, [whole], [sentences])
    return [not other for other in others]


@pytest.mark.parametrize(
    ("question", "answer", "other"),
    [
        ("How much were the raters paid?", PAID, "The raters judged questions."),
        ("What does a permit cost?", "It costs 18 crowns.", "Ask the warden."),
        ("What share of the rows is wrong?", "Ten percent of them.", "Rows can be wrong."),
        ("How long does a test take?", "About two minutes.", "Testers see rows."),
        ("How often is the filter changed?", "Twice a year.", "Use new filters."),
        ("When was the bridge built?", "In the reign of Anne.", "The bridge has arches."),
        ("What is the deadline for it?", "The end of May.", "The form has a stamp."),
        ("In which year did it close?", "It closed in 1931.", "It closed."),
        ("How many rooms are there?", "There are several.", "The rooms are warm."),
        ("How deep is the well?", "Forty feet.", "The well is dry."),
        ("How heavy is the crane?", "It weighs 310 kilograms.", "The crane lifts."),
        ("What does a cat weigh?", "Four kilos.", "Cats climb."),
        ("What is its top speed?", "It makes nine knots.", "Boats float."),
        ("I fly soon. How many bags may I take?", "Take one.", "Bags are weighed."),
    ],
)
def test_a_sentence_without_a_word_of_the_kind_gives_no_answer(
    question: str, answer: str, other: str
) -> None:
    assert fits(question, answer, other) == [True, False]


def test_a_number_is_no_money_where_nothing_speaks_of_any() -> None:
    assert fits("How much were the raters paid?", JUDGED) == [False]
    assert fits("How much were the raters paid?", JUDGED, text=f"{JUDGED} {PAID}") == [True]


def test_a_number_is_no_time_where_no_unit_stands_anywhere() -> None:
    split = "We split them 7638/1353."
    assert fits("How long did it take?", split) == [False]
    assert fits("How long do you keep them?", "X-rays stay for thirty.", text="kept ten years")


@pytest.mark.parametrize(
    "question", ["How heavy is the boat?", "What is the top speed of the boat?"]
)
def test_the_hours_of_a_boat_are_neither_its_weight_nor_its_speed(question: str) -> None:
    assert fits(question, "The boat leaves at 6.40 and 15.10.") == [False]


def test_one_of_the_kinds_that_are_asked_for_is_enough() -> None:
    assert fits("How often and how long do they train?", "They train on Mondays.") == [True]


@pytest.mark.parametrize(
    "question",
    [
        "Who may apply?",
        "When it rains, what is the yard called?",
        "How many are there? Who counts them?",
        "How large is the effect?",
        "Wie lange dauert es?",
    ],
)
def test_where_no_kind_is_asked_for_every_sentence_may_answer(question: str) -> None:
    assert fits(question, "Members may apply.", "") == [True, True]
