"""Citations: what counts as held by a source, and what does not."""

import pytest

from agentlab.answer import Source
from agentlab.citations import check, holds_claim, holds_quote, normalised

HOTEL = (
    "Hotels. A hotel night may cost 140 euros at most, breakfast included. Employees may not carry "
    "over more than five days of leave. Trips above 5,000 euros are approved by the Head of "
    "Finance. Meals are reimbursed, but alcohol is not."
)


def source(number: int, text: str, title: str = "Travel Handbook") -> Source:
    return Source(number, "page", title, text, text, f"/docs/{title}.pdf", page=4)


@pytest.mark.parametrize(
    "quote",
    [
        "A hotel night may cost 140 euros at most, breakfast included.",
        "a hotel  night may cost\n140 euros at most",
        "Trips above 5000 euros are approved",
        "A hotel night … breakfast included",
        "A hotel night [...] approved by the Head of Finance",
    ],
)
def test_a_quote_is_found_whatever_its_typography(quote: str) -> None:
    assert holds_quote(HOTEL, quote)


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ("The ﬁrst oﬃce", "the first office"),
        ("the “Kestrel” drone’s range", 'the "Kestrel" drone\'s range'),
        ("pages 4–7 apply", "pages 4-7 apply"),
        ("the infor-\nmation desk", "the information desk"),
        ("a non­breaking case", "a nonbreaking case"),
        ("It ends here. » Then this.", "It ends here. Then this."),
        ("²Google Research, ³Another Lab", "Google Research"),
    ],
)
def test_ligatures_dashes_quotes_and_line_breaks_do_not_matter(text: str, quote: str) -> None:
    assert holds_quote(text, quote)


@pytest.mark.parametrize(
    "quote",
    [
        "A hotel night may cost 14 euros",
        "40 euros at most",
        "A hotel night may cost 150 euros at most",
        "breakfast included … A hotel night",
        "...",
        "",
    ],
)
def test_a_quote_with_other_words_or_another_order_is_not_found(quote: str) -> None:
    assert not holds_quote(HOTEL, quote)


@pytest.mark.parametrize(
    "claim",
    [
        "140 euros",
        "the Head of Finance",
        "A hotel night costs at most 140 euros",
        "Trips above 5000 euros need to be approved by the Head of Finance.",
        "At most 5 days of leave may not be carried over",
        "Meals are reimbursed",
        "Per the Travel Handbook, hotel nights cost 140 euros at most",
    ],
)
def test_a_claim_is_held_as_it_stands_or_in_nearly_its_words(claim: str) -> None:
    assert holds_claim(HOTEL, claim, context="Travel Handbook Hotels")


@pytest.mark.parametrize(
    "claim",
    [
        "160 euros",
        "4 euros",
        "A hotel night costs at most 150 euros",
        "Employees may carry over five days of leave",
        "carry over more than five days of leave",
        "Trips above 5,000 euros are approved by the Chief Executive",
        "Trips are approved by Dora Finance",
        "Alcohol is reimbursed",
        'The handbook speaks of "a night of up to 150 euros", hotel included',
        "Yes",
        "",
    ],
)
def test_a_claim_with_another_number_name_or_sense_is_not_held(claim: str) -> None:
    assert not holds_claim(HOTEL, claim)


def test_the_starter_form_gives_a_citation_for_the_quote_and_one_for_the_answer() -> None:
    answer = '"A hotel night may cost 140 euros at most, breakfast included." [2]\nAnswer: 140 [2]'
    quote, claim = check(answer, [source(2, HOTEL)])
    assert (quote.quote, quote.supported) == (
        "A hotel night may cost 140 euros at most, breakfast included.",
        True,
    )
    assert (claim.claim, claim.supported) == ("140", True)


def test_a_claim_that_is_nothing_but_a_quote_is_one() -> None:
    (found,) = check(
        "It says:\n- “A hotel night may cost 140 euros at most” [1]", [source(1, HOTEL)]
    )
    assert (found.quote, found.claim) == ("A hotel night may cost 140 euros at most", "")
    assert found.supported


def test_a_right_quote_does_not_support_a_wrong_answer() -> None:
    answer = '"A hotel night may cost 140 euros at most" [1]\nAnswer: 240 euros [1]'
    assert [each.supported for each in check(answer, [source(1, HOTEL)])] == [True, False]


def test_a_number_that_no_source_has_is_never_supported() -> None:
    (citation,) = check("Answer: 140 euros [7]", [source(1, HOTEL)])
    assert citation.source.number == 7
    assert not citation.supported


def test_prose_is_checked_sentence_by_sentence() -> None:
    answer = (
        "Here is what I found. A hotel night may cost up to 140 euros [1]. The Kestrel carries 20 "
        "kilograms [2]."
    )
    drone = source(2, "The Kestrel drone carries 12 kilograms.", "Product Guide")
    first, second = check(answer, [source(1, HOTEL), drone])
    assert first.claim == "A hotel night may cost up to 140 euros"
    assert (first.supported, second.supported) == (True, False)


def test_two_sources_may_hold_a_claim_between_them() -> None:
    answer = "A hotel night costs 140 euros and the Kestrel carries 12 kilograms [1][2]."
    drone = source(2, "The Kestrel drone carries 12 kilograms.", "Product Guide")
    assert [each.supported for each in check(answer, [source(1, HOTEL), drone])] == [True, True]


def test_a_source_that_adds_nothing_is_not_supported_beside_one_that_does() -> None:
    answer = "The Kestrel carries 12 kilograms [1][2]."
    drone = source(2, "The Kestrel drone carries 12 kilograms.", "Product Guide")
    assert [each.supported for each in check(answer, [source(1, HOTEL), drone])] == [False, True]


def test_an_answer_without_marks_has_no_citations() -> None:
    assert check("Hello there.", [source(1, HOTEL)]) == ()


def test_normalising_twice_changes_nothing() -> None:
    once = normalised("“5,000” ﬁles — it’s  done.")
    assert normalised(once) == once


@pytest.mark.parametrize(
    ("source", "claim", "held"),
    [
        ("The dose is 10⁶ cells per ml.", "The dose is 106 cells per ml", False),
        ("Net income was 1,234¹ million.", "Net income was 12,341 million", False),
        ("Net income was 1,234¹ million.", "Net income was 1,234 million", True),
        ("The dose is 10⁶ cells per ml.", "The dose is 10⁶ cells per ml", True),
    ],
)
def test_a_raised_digit_is_no_digit_of_the_number_before_it(
    source: str, claim: str, held: bool
) -> None:
    assert holds_claim(source, claim) == held
