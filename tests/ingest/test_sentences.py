from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.sentences import one_line, sentence_spans


def split(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two!  Three?", ["One.", "Two!", "Three?"]),
        ("The historian Frederick W. Mote wrote.", ["The historian Frederick W. Mote wrote."]),
        ("It was 5 p.m. in the U.S. Army.", ["It was 5 p.m. in the U.S. Army."]),
        ("It opens at 9 a.m. Bring a card.", ["It opens at 9 a.m.", "Bring a card."]),
        ("We start at 9 a.m. CET on 5 May.", ["We start at 9 a.m. CET on 5 May."]),
        ("Be there by 8 p.m. Friday.", ["Be there by 8 p.m. Friday."]),
        ('Dr. Smith said: "Go." Then he left.', ['Dr. Smith said: "Go."', "Then he left."]),
        ("It weighs 12 g. It runs on 5 V. Go.", ["It weighs 12 g.", "It runs on 5 V.", "Go."]),
        ("It was built c. 1950 by monks.", ["It was built c. 1950 by monks."]),
        ("At most 9 Mbit/s. Pro: more.", ["At most 9 Mbit/s.", "Pro: more."]),
        ("It costs 3.50 euros. Ask first.", ["It costs 3.50 euros.", "Ask first."]),
        ("Yes. It runs in a browser. No.", ["Yes. It runs in a browser.", "No."]),
        ("The answer is no. See No. 5.", ["The answer is no.", "See No. 5."]),
        ("At max. 0.2 mg in 5 min. 3 do.", ["At max. 0.2 mg in 5 min.", "3 do."]),
        ("Postcard ... 0.70 euros. Wait... Go.", ["Postcard ... 0.70 euros.", "Wait...", "Go."]),
        ("It was released.² The data are free.", ["It was released.²", "The data are free."]),
        ("It is 1.2 %. ² The rate is new.", ["It is 1.2 %.", "² The rate is new."]),
        ("", []),
        (" \n ", []),
    ],
)
def test_sentences_end_where_a_reader_would_end_them(text: str, sentences: list[str]) -> None:
    assert split(text) == sentences


def test_rows_and_list_items_are_sentences_of_their_own() -> None:
    text = "1.2 Hotels\nCity Limit\nLisbon 120 EUR\n- one item\n- two items that\n  go on"
    assert split(text) == [
        "1.2 Hotels",
        "City Limit",
        "Lisbon 120 EUR",
        "- one item",
        "- two items that\n  go on",
    ]


def test_lettered_items_and_bare_lines_below_a_colon_are_sentences_of_their_own() -> None:
    long = "damage by frost in a house that nobody has lived in for more than a month"
    assert split(f"(a) {long};\n(b) loss of keys;\niv. {long}\nv. theft") == [
        f"(a) {long};",
        "(b) loss of keys;",
        f"iv. {long}",
        "v. theft",
    ]
    sent = "If such a parcel is found, it goes back. For safety reasons we cannot accept:"
    assert split(f"{sent}\nlithium batteries\nperfume\nlive plants") == [
        "If such a parcel is found, it goes back.",
        "For safety reasons we cannot accept:",
        "lithium batteries",
        "perfume",
        "live plants",
    ]


@pytest.mark.parametrize("bullet", "-•*–—‣▪●○·")
def test_an_item_is_quoted_without_its_bullet(bullet: str) -> None:
    assert one_line(f"{bullet} two items that\n  go on") == "two items that go on"


def test_an_error_code_keeps_its_cause_and_its_remedy() -> None:
    text = "E4: The filter is full. Clean it.\nE21 - No water. Open the tap. E22: Door open."
    assert split(text) == [
        "E4: The filter is full. Clean it.",
        "E21 - No water. Open the tap.",
        "E22: Door open.",
    ]


def test_what_follows_a_long_remedy_of_a_code_stands_alone() -> None:
    remedy = "E4: The filter behind the lower panel is full of lint, which you have to take out."
    assert split(f"{remedy} Then close the panel. Call us.")[-1] == "Call us."


def test_wrapped_prose_is_put_together() -> None:
    text = (
        "The limit for a night is higher in the cities of the\n"
        "first grade and may be raised by the manager. Ask\nfirst."
    )
    assert len(split(text)) == 2


@pytest.mark.parametrize(
    ("sentence", "quoted"),
    [
        ("- one item\n  that goes on", "one item that goes on"),
        ("² The rate\nis new.", "The rate is new."),
        ("²", "²"),
    ],
)
def test_a_sentence_is_quoted_without_what_leads_to_it(sentence: str, quoted: str) -> None:
    assert one_line(sentence) == quoted


def test_a_line_that_cannot_end_there_goes_on_with_a_capital_too() -> None:
    long = "That one does not follow what happens within a year, such as it did since the last one."
    first = "The implied long-term inflation rate used in\nBLCC5 is 1.2 %."
    text = f"{first} {long}\nReal 2.2 %\nNominal 4.5 %"
    assert split(text) == [
        first,
        long,
        "Real 2.2 %",
        "Nominal 4.5 %",
    ]


@given(st.text(max_size=300))
def test_spans_are_in_order_trimmed_and_lose_no_word(text: str) -> None:
    spans = sentence_spans(text)
    assert all(first_end <= second_start for (_, first_end), (second_start, _) in pairwise(spans))
    assert all(text[start:end] == text[start:end].strip() for start, end in spans)
    assert "".join("".join(split(text)).split()) == "".join(text.split())
