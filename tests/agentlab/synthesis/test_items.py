from random import Random
from typing import Any

import pytest

from agentlab.synthesis.items import Draft, Refused, read_draft, verify
from agentlab.synthesis.rows import reader_row
from agentlab.synthesis.sentences import draft_of_sentences
from ingest.documents import Chunk

TEXT = (
    "A hotel night in a city of grade A may cost, all in all,\n140 euros at most.  Breakfast is "
    "free for guests of the house."
)


def passage(text: str = TEXT) -> Chunk:
    return Chunk("c1", text, "doc", "/docs/a.pdf", "Handbook", 4, 0, len(text), "Hotels", "words")


def test_a_verified_item_knows_where_its_quote_stands_however_the_lines_are_broken() -> None:
    draft = Draft("What may a hotel night cost?", "140 EUROS", "“all in all, 140 euros at most”")
    item = verify(draft, passage())
    assert TEXT[item.start : item.end] == "all in all,\n140 euros at most"
    assert (item.answer, item.quote) == ("140 euros", "all in all, 140 euros at most")
    assert item.sentence == (
        "A hotel night in a city of grade A may cost, all in all, 140 euros at most."
    )
    assert item.lineage["page"] == 4


@pytest.mark.parametrize(
    ("question", "answer", "quote", "said"),
    [
        ("Cost?", "140 euros", "all in all, 140 euros", "no question"),
        ("What does this passage say of it?", "140 euros", "all in all, 140 euros", "leans"),
        ("What may a night cost?", "140 euros", "all over all, 140 euros", "not in the passage"),
        ("What may a night cost?", "150 euros", "all in all, 140 euros", "answer is not in"),
        ("What may a night cost?", " ", "all in all, 140 euros", "answer is not in"),
        ("What may a night cost?", "euros", "140 euros", "too short"),
        ("Are 140 euros the cost?", "140 euros", "all in all, 140 euros", "holds its answer"),
    ],
)
def test_what_cannot_be_verified_is_refused_with_its_reason(
    question: str, answer: str, quote: str, said: str
) -> None:
    with pytest.raises(Refused, match=said):
        verify(Draft(question, answer, quote), passage())


ALLOWANCE = "The daily meal allowance for 1,600 technicians is 46 euros, and nothing else is paid."


@pytest.mark.parametrize("answer", ["6 euros", "no", ".", "technician", "1", "600 technicians"])
def test_a_part_of_a_word_or_number_is_no_answer(answer: str) -> None:
    with pytest.raises(Refused, match="answer is not in"):
        verify(Draft("What is the daily allowance?", answer, ALLOWANCE), passage(ALLOWANCE))


@pytest.mark.parametrize("answer", ["46", "46 Euros.", "1,600 technicians", "nothing else"])
def test_whole_words_and_numbers_are_an_answer(answer: str) -> None:
    draft = Draft("What is the daily allowance?", answer, ALLOWANCE)
    assert verify(draft, passage(ALLOWANCE)).answer == answer.rstrip(".").lower()


def test_an_answer_stands_where_it_is_a_whole_word() -> None:
    text = "There is nothing to do for 4.6 euros: the answer is no, and 6 is the limit."
    for answer, said in (("no", "is no,"), ("6", "and 6 ")):
        row = reader_row(verify(Draft("Is there more?", answer, text), passage(text)), Random(1))
        start, end = row["answer"]
        assert text[start:end] == answer
        assert start == text.index(said) + said.index(answer)


def test_a_quote_does_not_begin_within_a_number() -> None:
    draft = Draft("What is the daily allowance?", "6 euros", "6 euros, and nothing else")
    with pytest.raises(Refused, match="quote is not in the passage"):
        verify(draft, passage(ALLOWANCE))


@pytest.mark.parametrize("value", [3, {}, {"question": "a", "answer": "", "quote": "b"}])
def test_a_draft_needs_its_three_fields(value: Any) -> None:
    with pytest.raises(Refused, match="no object with"):
        read_draft(value)


def test_a_quote_over_two_sentences_has_no_sentence() -> None:
    draft = Draft("What may a hotel night cost?", "140 euros", "140 euros at most. Breakfast is")
    assert verify(draft, passage()).sentence is None


@pytest.mark.parametrize(
    ("sentence", "question", "answer"),
    [
        (
            "The daily meal allowance for technicians is 46 euros.",
            "What is the daily meal allowance for technicians?",
            "46 euros",
        ),
        ("A lift above 20 tonnes needs the signature of the base leader.",
         "What does a lift above 20 tonnes need?", "the signature of the base leader"),
        ("An amber incident is led by the base leader.",
         "What is an amber incident led by?", "the base leader"),
        ("Apprentices need a named companion for every overnight trip.",
         "What do Apprentices need?", "a named companion for every overnight trip"),
    ],
)  # fmt: skip
def test_what_a_sentence_says_of_something_is_asked(
    sentence: str, question: str, answer: str
) -> None:
    (draft,) = draft_of_sentences(passage(sentence), 2)
    assert (draft.question, draft.answer, draft.quote) == (question, answer, sentence)
    assert verify(draft, passage(sentence))


@pytest.mark.parametrize(
    "sentence",
    [
        "It is the highest price for one night with breakfast.",
        "During the Tidal Week in Halifax the limit is 40 euros higher.",
        "A trip counts as a day trip if it is 11 hours long.",
        "The handover takes place in the hall and is a must for both.",
        "Questions?",
    ],
)
def test_what_would_make_a_wrong_question_makes_none(sentence: str) -> None:
    assert all(draft.form == "keywords" for draft in draft_of_sentences(passage(sentence), 5))


def test_other_sentences_give_the_words_that_one_would_type() -> None:
    sentence = "Emergency call-outs outside working hours leave within 30 minutes from the slipway."
    (draft,) = draft_of_sentences(passage(sentence), 2)
    assert draft.form == "keywords"
    assert draft.question == "Emergency call-outs working hours within minutes"
    assert verify(draft, passage(sentence)).answer == sentence.rstrip(".")
