"""Terms of accounting are also searched for as the lines of a report that they stand for."""

import pytest

from ingest.terms import with_lines


@pytest.mark.parametrize(
    ("question", "line"),
    [
        ("What is the FY2018 capital expenditure amount?", "purchases of property"),
        ("Is liquidity healthy by the quick ratio?", "total current assets"),
        ("What was the COGS margin?", "cost of sales"),
        ("How high were R&D and PP&E?", "research, development"),
        ("Did EPS grow?", "diluted earnings per share"),
    ],
)
def test_a_term_brings_the_lines_of_its_statement(question: str, line: str) -> None:
    assert line in with_lines(question, ["10-K"])
    assert with_lines(question, ["10-K"]).startswith(question)


def test_other_documents_and_other_words_are_searched_as_asked() -> None:
    assert with_lines("capex", ["handbook", ""]) == "capex"
    assert with_lines("Where do stepsisters live?", ["10-K"]) == "Where do stepsisters live?"
