"""Which years a text tells of, and whether they are those that a question names."""

import pytest

from ingest.years import lacking_a_year, of_another_year, years_told


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("From 2008-2010 and in 1999", {"1999", "2008", "2009", "2010"}),
        ("the season 2008/09", {"2008", "2009"}),
        ("from 2019 to 2021", {"2019", "2020", "2021"}),
        ("FY24 and FY '25, the class of '09", {"2024", "2025", "2009"}),
        ("in '98 and FY97", {"1998", "1997"}),
        ("on 2021-12-28, by 28/12/2023", {"2021", "2023"}),
        ("rooms 1012 to 3000, 2024-1999, '12' bolts", {"2024", "1999"}),
    ],
)
def test_the_years_of_spans_and_short_forms_are_told_too(text: str, years: set[str]) -> None:
    assert years_told(text) == years


def test_a_text_lacks_a_year_that_the_last_sentence_of_a_question_names() -> None:
    texts = ["Rates of 2023: 4 %", "Rates, 2021-2023: 4 %"]
    assert lacking_a_year("What was the rate in 2022?", texts) == [True, False]
    assert lacking_a_year("What was it in 2022 and 2023?", texts) == [True, False]
    assert lacking_a_year("I sold it in 2022. What is the rate?", texts) == [False, False]
    assert lacking_a_year("What was the rate?", texts) == [False, False]


def test_a_sentence_is_on_another_year_where_it_names_some_and_none_that_is_asked_of() -> None:
    assert of_another_year("the rate in 2022?", "It was 4 % in 2023.")
    assert not of_another_year("the rate in 2022?", "It was 4 % in 2021/22.")
    assert not of_another_year("the rate in 2022?", "It was 4 %.")
