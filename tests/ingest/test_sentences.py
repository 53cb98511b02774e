from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.sentences import sentence_spans


def split(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two!  Three?", ["One.", "Two!", "Three?"]),
        ("The historian Frederick W. Mote wrote.", ["The historian Frederick W. Mote wrote."]),
        ("It was 5 p.m. in the U.S. Army.", ["It was 5 p.m. in the U.S. Army."]),
        ('Dr. Smith said: "Go." Then he left.', ['Dr. Smith said: "Go."', "Then he left."]),
        ("It weighs 12 g. It runs on 5 V. Go.", ["It weighs 12 g.", "It runs on 5 V.", "Go."]),
        ("It was built c. 1950 by monks.", ["It was built c. 1950 by monks."]),
        ("At most 9 Mbit/s. Pro: more.", ["At most 9 Mbit/s.", "Pro: more."]),
        ("It costs 3.50 euros. Ask first.", ["It costs 3.50 euros.", "Ask first."]),
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


def test_wrapped_prose_is_put_together() -> None:
    text = (
        "The limit for a night is higher in the cities of the\n"
        "first grade and may be raised by the manager. Ask\nfirst."
    )
    assert len(split(text)) == 2


@given(st.text(max_size=300))
def test_spans_are_in_order_trimmed_and_lose_no_word(text: str) -> None:
    spans = sentence_spans(text)
    assert all(first_end <= second_start for (_, first_end), (second_start, _) in pairwise(spans))
    assert all(text[start:end] == text[start:end].strip() for start, end in spans)
    assert "".join("".join(split(text)).split()) == "".join(text.split())
