import pytest

from ingest.answer_span import whole_span


@pytest.mark.parametrize(
    ("text", "found", "whole"),
    [
        ("It must read below 0.5 percent.", "0.5 percent", "below 0.5 percent"),
        ("Complain within 48 hours.", "48 hours", "within 48 hours"),
        ("Change it after eight hours.", "eight hours", "after eight hours"),
        ("It may last no more than 20 minutes.", "20 minutes", "no more than 20 minutes"),
        ("They gave 1.5 billion yuan.", "1", "1.5"),
        ("The rate is 4.25 %.", "25", "4.25 %"),
        ("It is of 03/14/2024.", "03/14", "03/14/2024"),
        ("It was 2.9 %² of all.", "2.9 %²", "2.9 %"),
        ("Only three annotators⁵ agreed.", "annotators⁵", "annotators"),
        ("A mass of 10⁶ tons.", "10⁶", "10⁶"),
        ("It has 30 m² of floor.", "30 m²", "30 m²"),
        ("Lunch is at noon.", "noon", "noon"),
        ("Pay only the porter.", "the porter", "the porter"),
        ("It holds until the 2025 Rate Memo is out.", "the 2025", "the 2025 Rate Memo"),
        ("Of the 12 Apostles stand eight.", "12", "12"),
        ("In 1950, 30 ships sailed.", "1950", "1950"),
        ("It raised more than US$30 million.", "$30 million", "more than US$30 million"),
        ("Five days are carried over until 31 March.", "31 March", "until 31 March"),
        (
            "It takes 60 seconds (one minute) a time.",
            "60 seconds (one minute",
            "60 seconds (one minute)",
        ),
        ("An internship (PGI, in short", "internship (PGI", "internship"),
        ("(PGI, in short", "(PGI", "(PGI"),
        ("Currency: Austria EUR (€), Vatican -.", "€)", "EUR (€)"),
        ("The U.S. has fifty.", "U.S", "U.S."),
        ("3. Unpack the archive.", "3", "Unpack the archive."),
        ("(3) Unpack 4 of them.", "4", "4"),
    ],
)
def test_a_number_is_whole_and_keeps_its_limit(text: str, found: str, whole: str) -> None:
    at = text.index(found)
    start, end = whole_span(text, (0, len(text)), (at, at + len(found)))
    assert text[start:end] == whole


def test_nothing_is_taken_from_the_sentence_before() -> None:
    text = "Ask only\n40 euros are paid."
    start = text.index("40")
    assert whole_span(text, (start, len(text)), (start, start + 8)) == (start, start + 8)
