"""Whom a question names, and whether a text names them."""

import pytest

from ingest.named import lacking_a_name

TEXT = (
    "Travel handbook 2031 > Lisbon office: The World Health Organization's staff dine at Café Luso."
)


@pytest.mark.parametrize(
    "question",
    [
        "What is the official language of Germany?",
        "How many GPUs does the Lisbon office have?",
        "Who is it? And why does the office of Dr Okoro close?",
    ],
)
def test_a_text_lacks_a_name_that_stands_nowhere_in_it(question: str) -> None:
    assert lacking_a_name(question, [TEXT, f"{TEXT} {question}"]) == [True, False]


@pytest.mark.parametrize(
    "question",
    [
        "Where does the Lisbon office dine?",
        "Where do the staff of WHO dine?",
        "Where do the staff dine in 2026?",
        "What does Lisbon's café cost?",
        "What does the Cafe Lusó cost?",
        "what is the official language of germany",
        "Germany has how many offices?",
        "What Is The Official Language Of Germany?",
        "WHAT IS THE OFFICIAL LANGUAGE OF GERMANY?",
        "Unter welcher Bedingung ist ein Graph ein Baum?",
        "Is it open? Then the staff may dine.",
        "Where do the staff dine on Mondays in November?",
        "Which brush does the Limpet take? What does it cost? and the café's?",
        "May I dine at the office, and what do I pay?",
    ],
)
def test_a_text_lacks_neither_what_is_no_name_nor_what_stands_in_it(question: str) -> None:
    assert lacking_a_name(question, [TEXT]) == [False]
