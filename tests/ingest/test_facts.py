"""Facts: dates, years and types are read from metadata, file names, titles and first lines."""

import pytest

from ingest.facts import asked_types, gather, iso_date, kept_metadata, span_of
from ingest.periods import asked_quarters, asked_years

COVER = "SECURITIES AND EXCHANGE COMMISSION Form 10-K for the fiscal year ended June 30, 2021"


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2021-05-07T10:00", "2021-05-07"),
        ("D:20190207103000-05'00'", "2019-02-07"),
        ("7th March, 2019", "2019-03-07"),
        ("December 31, 2018", "2018-12-31"),
        ("den 1.2.2021", "2021-02-01"),
        ("May 2020", "2020-05"),
        ("31 February 2020", "2020-02"),
        ("no 3/4 of it", ""),
        ("order 12345678 of 99", ""),
    ],
)
def test_dates_are_read_in_many_forms_and_no_day_is_made_up(text: str, day: str) -> None:
    assert iso_date(text) == day


@pytest.mark.parametrize(
    ("source", "title", "opening", "date", "kind", "years"),
    [
        ("ACME_2018_10K.pdf", "Untold", COVER, "2021-06-30", "10-K", (2018,)),
        ("ACME_2023Q2_10Q.pdf", "Untold", "", None, "10-Q", (2023,)),
        ("ACME_2022_8K_dated-2022-07-01.pdf", "Untold", "", "2022-07-01", "8-K", (2022,)),
        ("x.pdf", "Minutes of 7 May 2020", "", "2020-05-07", "minutes", (2020,)),
        ("0001-22-7.pdf", "UNITED STATES", COVER, "2021-06-30", "10-K", (2021,)),
        ("notes.md", "Notes", "We met in 1995.", None, None, ()),
        ("budget 2021-2022.pdf", "", "", None, None, (2021, 2022)),
        ("x.pdf", "Budget 2021-22", "", None, None, (2021, 2022)),
        ("report-1998-99.pdf", "", "", None, "report", (1998, 1999)),
        ("minutes-2021-05.pdf", "", "", "2021-05", None, (2021,)),
        ("x.pdf", "", "Dated: November 2010", "2010-11", None, (2010,)),
        ("FY98 report.pdf", "", "", None, "report", (1998,)),
    ],
)
def test_names_titles_and_first_lines_tell_dates_types_and_years(
    source: str, title: str, opening: str, date: str | None, kind: str | None, years: tuple[int]
) -> None:
    facts, found = gather({}, source=source, title=title, opening=opening)
    assert (facts.get("date"), facts.get("type"), found) == (date, kind, years)


def test_the_day_that_a_file_was_made_counts_only_where_nothing_else_tells_one() -> None:
    made = {"created": "D:20240207"}
    told = gather(made, source="ACME_2018.pdf", title="", opening="")[0]
    silent = gather(made, source="acme.pdf", title="", opening="")[0]
    assert ("date" in told, silent["date"]) == (False, "2024-02-07")
    written = gather({"date": "2 May 2019"}, source="a_2018.md", title="", opening="")[0]
    assert written["date"] == "2019-05-02"


def test_a_date_names_all_of_its_days() -> None:
    assert span_of("2021") != span_of("2022")
    month = span_of("2024-02")
    assert month is not None
    assert (month.first, month.last) == ("2024-02-01", "2024-02-29")
    assert span_of("May 3, 2021") == span_of("2021-05-03")
    assert (span_of("soon"), span_of("2021-13")) == (None, None)


def test_a_question_names_years_and_types_but_not_amounts() -> None:
    asked = asked_years("the FY22 and 2018 sales, Q3'21, above $2,019 and 2020.5 or 1999%")
    assert list(asked) == [2022, 2018, 2021]
    assert list(asked_years("2Q23, fiscal '20 and 2015-16 but not 12-34")) == [
        2023,
        2020,
        2015,
        2016,
    ]
    assert list(asked_quarters("Q2 2023, 3Q23 and the fourth quarter, not IQ4")) == [
        "Q2",
        "Q3",
        "Q4",
    ]
    assert set(asked_types("the annual report and the travel policy")) == {"10-K", "policy"}
    assert asked_types("a reporter minuted it") == {}


@pytest.mark.parametrize(
    ("question", "years"),
    [
        ("sales in 2021-05?", [2021]),
        ("sales in 2023-11?", [2023]),
        ("sales in 1998-99?", [1998, 1999]),
        ("sales in 1999-00 and 2009/10?", [1999, 2000, 2009, 2010]),
        ("sales in 2010-15?", [2010, 2015]),
        ("sales in 2020-13?", [2020]),
        ("sales in FY98 and FY49?", [1998, 2049]),
    ],
)
def test_two_digits_are_a_year_of_the_right_century_and_no_month(
    question: str, years: list[int]
) -> None:
    assert list(asked_years(question)) == years


def test_a_quarter_may_stand_right_before_a_fiscal_year_but_not_within_a_number() -> None:
    assert list(asked_quarters("Q3FY22, 4QFY22 and Q123")) == ["Q3", "Q4", "Q1"]
    assert asked_quarters("question Q12 of the form, Q1a") == {}


def test_metadata_is_kept_under_lower_cased_keys_and_bounded() -> None:
    kept = kept_metadata({" Author ": "A\n B", "empty": " ", "long": "x" * 999})
    assert kept == {"author": "A B", "long": "x" * 300}
    assert len(kept_metadata({str(number): "x" for number in range(99)})) == 30
