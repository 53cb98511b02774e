from typing import Any

import numpy as np
import pytest

from ingest.reader import _Tokens
from ingest.sentences import sentence_spans

pytestmark = pytest.mark.slow
TEXT = (
    "The daily meal allowance for technicians is 46 euros. Managers get 58 euros a day. "
    "Receipts are kept for three years."
)


def read(reader: Any, question: str, *texts: str) -> Any:
    spans = [sentence_spans(text) for text in texts]
    return reader.read(question, ["Travel handbook > Meals"] * len(texts), texts, spans)


def best(reply: Any) -> int:
    return max(range(len(reply.sentences)), key=reply.sentences.__getitem__)


@pytest.mark.parametrize(
    ("question", "sentence", "answer"),
    [
        ("How much do managers get for meals?", 1, "58 euros"),
        ("How long must I keep receipts?", 2, "three years"),
    ],
)
def test_the_answer_is_found_in_its_sentence(
    reader: Any, question: str, sentence: int, answer: str
) -> None:
    (reply,) = read(reader, question, TEXT)
    assert best(reply) == sentence
    start, end = reply.answers[sentence]
    assert answer in TEXT[start:end]
    assert reply.sentences[sentence] > 0


def test_a_question_without_an_answer_is_worse_than_none(reader: Any) -> None:
    (reply,) = read(reader, "Who signs the form?", TEXT)
    assert max(reply.sentences) < 0


def test_passages_read_together_score_as_they_do_alone(reader: Any) -> None:
    other = "Ferries sail at noon."
    together = read(reader, "When do ferries sail?", TEXT, other)
    alone = read(reader, "When do ferries sail?", other)[0]
    assert together[1].sentences == pytest.approx(alone.sentences, abs=0.5)
    assert max(together[0].sentences) < max(together[1].sentences)


def test_what_lies_beyond_the_readers_length_cannot_answer(reader: Any) -> None:
    long = " ".join(f"Room {number} has a window." for number in range(200)) + " " + TEXT
    (reply,) = read(reader, "How long must I keep receipts?", long)
    assert reply.sentences[-1] < -1000


def test_a_question_longer_than_any_passage_is_cut_and_read(reader: Any) -> None:
    (reply,) = read(reader, "why " * 500 + "are receipts kept?", TEXT)
    assert len(reply.sentences) == 3


def test_a_passage_without_sentences_has_no_answers(reader: Any) -> None:
    (reply,) = read(reader, "Why?", "")
    assert (reply.sentences, reply.answers) == ((), ())


@pytest.mark.parametrize(("rival", "answer"), [(2.0, (0, 11)), (-3.0, (0, 3))])
def test_the_whole_sentence_stands_for_an_answer_torn_between_two_places(
    rival: float, answer: tuple[int, int]
) -> None:
    spans = np.array([(0, 3), (4, 7), (8, 11)])
    scores = np.array([2.0, -5.0, rival])
    reply = _Tokens(scores, scores, spans).reply([(0, 11)], none=0.0)
    assert reply.answers == (answer,)
    assert reply.sentences == (4.0,)
