"""Tables: a row says which column each of its cells stands in."""

from pathlib import Path

import pytest
from fpdf import FPDF

from ingest.pdf import read_pdf
from ingest.sentences import sentence_spans
from ingest.tables import (
    Cell,
    Row,
    asked_cell,
    cells_of,
    label_named,
    named_rows,
    row_named_at,
    row_text,
)
from ingest.words import content_words

WIDTH = 10.0


def row(*texts: str, top: float = 0.0, bold: bool = False, shift: float = 0.0) -> Row:
    cells = [
        Cell(text, column * 10 * WIDTH + shift, column * 10 * WIDTH + shift + 4 * WIDTH)
        for column, text in enumerate(texts)
        if text
    ]
    return Row(tuple(cells), bold, top)


def table(*rows: tuple[str, ...]) -> list[Row]:
    return [row(*texts, top=-12.0 * place) for place, texts in enumerate(rows)]


def test_a_cell_is_written_behind_the_name_of_its_column() -> None:
    rows = table(
        ("Term", "Real", "Nominal"), ("3-Year", "2.2 %", "4.5 %"), ("5-Year", "2.3 %", "4.4 %")
    )
    assert named_rows(rows) == {
        1: "3-Year: Real 2.2 %, Nominal 4.5 %.",
        2: "5-Year: Real 2.3 %, Nominal 4.4 %.",
    }


def test_a_head_over_several_columns_names_each_of_them() -> None:
    above = Row((Cell("Term", 0, 20), Cell("Rates", 12 * WIDTH, 22 * WIDTH)), top=12)
    below = table(("Years", "Real", "Nominal"), ("3", "2.2", "4.5"), ("5", "2.3", "4.4"))
    assert named_rows([above, *below])[2] == "3: Rates Real 2.2, Rates Nominal 4.5."


def test_an_empty_cell_is_left_out() -> None:
    rows = table(
        ("Car", "Rate", "Trailer"),
        ("Van", "51", "58"),
        ("Truck", "60", "70"),
        ("Bicycle", "11", ""),
    )
    assert named_rows(rows)[3] == "Bicycle: Rate 11."


def test_a_bold_head_serves_a_table_of_words() -> None:
    rows = [
        row("Light", "Meaning", bold=True, top=12),
        row("Green", "All is well"),
        row("Red", "Stop", top=-12),
    ]
    assert named_rows(rows)[2] == "Red: Meaning Stop."


def test_a_name_that_says_nothing_is_left_out_and_commas_in_cells_stay_clear() -> None:
    assert row_text(["Property", "Value"], ["Depth", "80 m"]) == "Depth: 80 m."
    assert row_text(["Area", "Worn", "By"], ["Quay", "jacket, shoes", "all"]) == (
        "Quay: Worn jacket, shoes; By all."
    )


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(table(("3-Year", "2.2"), ("5-Year", "2.3"), ("7-Year", "2.4")), id="no head"),
        pytest.param(table(("Name", "Town"), ("Ada", "Holm"), ("Per", "Skerra")), id="words only"),
        pytest.param(
            table(("Chapter", "Page"), ("1", "3 4 5 6 7"), ("2", "8 9 10 11")), id="columns in one"
        ),
        pytest.param(
            [row("Rates", "Real", top=300), row("3", "2.2"), row("5", "2.3", top=-12),
             row("7", "2.4", top=-24)],
            id="head far away",
        ),
        pytest.param(
            table(("The page's header", "17"), ("3-Year", "2.2"), ("5-Year", "2.3")),
            id="a page number in the head",
        ),
        pytest.param(
            table(("A", "B"), ("word " * 20, "5 of them"), ("word " * 20, "6")), id="running text"
        ),
        pytest.param(
            [row("A", "B", top=12), row("1", "2"), row("3", "4", top=-12, shift=90.0)],
            id="columns that overlap",
        ),
    ],
)  # fmt: skip
def test_what_is_no_plain_table_stays_as_it_is(rows: list[Row]) -> None:
    assert named_rows(rows) == {}


def test_words_with_a_wide_space_between_them_are_two_cells() -> None:
    words = [Cell("10", 0, 10), Cell("minutes", 13, 50), Cell("2", 80, 85), Cell("hours", 88, 110)]
    assert [cell.text for cell in cells_of(words, size=10)] == ["10 minutes", "2 hours"]


def test_the_rows_of_a_printed_table_are_sentences_of_their_own(tmp_path: Path) -> None:
    pdf = FPDF()
    pdf.add_page()
    pdf.set_font("Helvetica", size=11)
    pdf.write(6, "Divers and technicians on call have these times. " * 3)
    pdf.ln(10)
    head = ("Role of the person who is on call", "Time to answer", "Time to arrive")
    for cells in (head, ("Divers", "10 minutes", "2 hours"),
                  ("Technicians", "15 minutes", "45 minutes")):  # fmt: skip
        for text in cells:
            pdf.cell(70, 7, text)
        pdf.ln()
    (tmp_path / "a.pdf").write_bytes(bytes(pdf.output()))
    text = read_pdf(tmp_path / "a.pdf").pages[0].text
    sentences = [text[start:end] for start, end in sentence_spans(text)]
    assert "Divers: Time to answer 10 minutes, Time to arrive 2 hours." in sentences
    assert "Technicians: Time to answer 15 minutes, Time to arrive 45 minutes." in sentences


def test_the_rows_of_a_real_memo_name_their_rates(shared_pdfs: Path) -> None:
    text = read_pdf(shared_pdfs / "discount-rates-memo.pdf").pages[0].text
    assert "30-Year: Discount Rates Real 2.5 %, Nominal 4.7 %, Inflation Rates 2.1 %." in text


@pytest.mark.parametrize(
    ("question", "cell"),
    [
        ("What is the nominal rate over 20 years?", "Nominal 4.7 %"),
        ("How high is the real rate?", "Discount Rates Real 2.5 %"),
        ("What is the rate over 20 years?", None),
        ("Which is higher, the real or the nominal one?", None),
        ("What is the real rate, and what the nominal rate?", None),
        ("How high is the real rate over 20 years? And the nominal one?", "Nominal 4.7 %"),
    ],
)
def test_the_cell_that_a_question_names_is_found_in_a_written_row(
    question: str, cell: str | None
) -> None:
    text = "Rates. 20-Year: Discount Rates Real 2.5 %, Nominal 4.7 %, Inflation Rates 2.1 %."
    found = asked_cell(question, text, (7, len(text)))
    assert (text[slice(*found)] if found else None) == cell


def test_a_plain_sentence_has_no_cells() -> None:
    text = "The nominal rate is 4.7 %, and the real one 2.5 %."
    assert asked_cell("nominal rate", text, (0, len(text))) is None


@pytest.mark.parametrize(
    ("question", "named"),
    [
        ("What is the calculated inflation rate for 2024?", True),
        ("How high is the inflation rate?", False),
        ("calculated rate of inflation", True),
    ],
)
def test_a_line_is_named_where_all_of_its_label_is(question: str, named: bool) -> None:
    text = "Rates of 2024\nCalculated inflation rate: 2.9 %\n"
    words = content_words("calculated inflation rate")
    assert label_named(question, text, (14, len(text))) == (words if named else set())


@pytest.mark.parametrize("line", ["Rate: 5 %", "The rate is 5 %", "It is so: we ask. You pay 5."])
def test_a_label_of_one_word_or_none_names_nothing(line: str) -> None:
    assert not label_named("What is the rate that we ask and you pay?", line, (0, len(line)))


def test_of_two_rows_that_a_question_names_the_later_one_is_asked_for() -> None:
    question = "How high is the rate over 20 years? And over three years?"
    places = [
        row_named_at(question, row, (0, len(row)))
        for row in ("20-Year: Real 2.5 %, Nominal 4.7 %.", "3-Year: Real 2.2 %, Nominal 4.5 %.")
    ]
    assert (0, 0) < places[0] < places[1]
    other = "30-Year: Real 2.5 %, Nominal 4.7 %."
    assert row_named_at(question, other, (0, len(other))) == (0, 0)


def test_of_two_rows_with_a_word_in_common_the_one_with_the_longer_name_is_asked_for() -> None:
    rows = "Smart: Speed 100 Mbit/s, Price 20.", "Smart Plus: Speed 950 Mbit/s, Price 40."
    plain, plus = (row_named_at("How fast is Smart Plus?", row, (0, len(row))) for row in rows)
    assert plain < plus
