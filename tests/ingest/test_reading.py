from collections.abc import Sequence
from typing import Any

import numpy as np

from ingest.reader import Calibrated, Reply
from ingest.reading import BEST, NEXT, Passage, mark


class WordEncoder:
    """Embeds a text as the words it holds out of a small vocabulary."""

    vocabulary = ("hotel", "meal", "limit", "euro", "train", "flight")

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        rows = [[float(word in text.lower()) for word in self.vocabulary] for text in texts]
        vectors = np.array(rows, dtype=np.float32) + 1e-6
        unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit


def passages(*texts: str) -> list[Passage]:
    return [Passage("Rules", text) for text in texts]


class KeenReader:
    """A reader that knows what answers."""

    calibration = Calibrated(likeness=0.0, order=0.0, within=0.0, fair=0.5, strong=0.9)

    def __init__(self, answer: str, odds: float) -> None:
        self.answer, self.odds = answer, odds

    def read(
        self,
        question: str,
        titles: Sequence[str],
        passages: Sequence[str],
        sentences: Sequence[Sequence[tuple[int, int]]],
    ) -> list[Reply]:
        assert len(titles) == len(passages)
        return [self._reply(*each) for each in zip(passages, sentences, strict=True)]

    def _reply(self, text: str, sentences: Sequence[tuple[int, int]]) -> Reply:
        at = text.find(self.answer)
        odds = [self.odds if a <= at < b else -5.0 for a, b in sentences]
        answers = [(at, at + len(self.answer)) for _ in sentences]
        return Reply(tuple(odds), tuple(answers))


PASSAGE = "Trains come first. The hotel limit is 90 euros. Flights need a reason. Meals are paid."


def test_the_sentence_that_answers_is_marked_best() -> None:
    reading = mark("What is the hotel limit in euros?", passages(PASSAGE), WordEncoder())
    assert f"{BEST}The hotel limit is 90 euros." in reading.passages[0].shown
    assert reading.strength == "strong"


def test_one_best_and_two_next_sentences_are_marked_over_all_passages() -> None:
    reading = mark(
        "hotel limit", passages(PASSAGE, "A hotel near the station. No limit."), WordEncoder()
    )
    shown = "".join(passage.shown for passage in reading.passages)
    assert (shown.count(BEST), shown.count(NEXT)) == (1, 2)


def test_a_window_keeps_whole_sentences_around_the_best_one() -> None:
    reading = mark("hotel limit in euros", passages(PASSAGE), WordEncoder(), words=10)
    passage = reading.passages[0]
    assert "The hotel limit is 90 euros." in PASSAGE[passage.start : passage.end]
    assert len(PASSAGE[passage.start : passage.end].split()) <= 10
    assert PASSAGE[passage.start : passage.end].endswith((".", "!"))


def test_nothing_to_read_is_weak_evidence() -> None:
    assert mark("hotel", [], WordEncoder()).strength == "weak"
    assert mark("hotel", passages(""), WordEncoder()).passages[0].best is None


def test_a_reader_puts_the_passage_that_answers_first_and_names_the_answer() -> None:
    other = "Ferries sail at noon. Rooms cost 70 euros on islands."
    reading = mark(
        "hotel limit", passages(PASSAGE, other), WordEncoder(), KeenReader("70 euros", 4.0), limit=1
    )
    (passage,) = reading.passages
    assert (passage.index, passage.best_sentence) == (1, "Rooms cost 70 euros on islands.")
    assert (reading.strength, reading.likely) == ("strong", "70 euros")
    assert passage.score is not None
    assert passage.score > 0.9


def test_a_passage_like_the_question_comes_first_and_is_no_surer_for_that() -> None:
    def read(order: float) -> tuple[int, float]:
        reader = KeenReader("nothing", 0.0)
        reader.calibration = Calibrated(likeness=0.0, order=order, within=0.0)
        reading = mark(
            "hotel limit", passages("Ferries sail at noon.", PASSAGE), WordEncoder(), reader
        )
        return reading.passages[0].index, reading.score

    plain, ordered = read(0.0), read(20.0)
    assert (plain[0], ordered[0]) == (0, 1)
    assert plain[1] == ordered[1]


def test_two_wordings_of_a_question_count_alike() -> None:
    class TwoMinds(KeenReader):
        def read(self, question: str, *given: Any) -> list[Reply]:
            self.answer, self.odds = ("Flights", 3.0) if question == "flights" else ("Meals", 9.0)
            return super().read(question, *given)

    given, encoder, reader = passages(PASSAGE), WordEncoder(), TwoMinds("", 0.0)
    assert mark("flights", given, encoder, reader).likely == "Flights"
    both = mark("flights", given, encoder, reader, also=["meals"])
    assert both.likely == "Meals"
    assert mark("meals", given, encoder, reader, also=["flights"]) == both


class TornReader(KeenReader):
    """A reader that finds the answer, and another sentence about as good."""

    def __init__(self, answer: str, odds: float, *, other: str, behind: float) -> None:
        super().__init__(answer, odds)
        self.other, self.behind = other, behind

    def _reply(self, text: str, sentences: Sequence[tuple[int, int]]) -> Reply:
        reply = super()._reply(text, sentences)
        odds = [
            self.odds - self.behind if self.other in text[a:b] else own
            for own, (a, b) in zip(reply.sentences, sentences, strict=True)
        ]
        return Reply(tuple(odds), reply.answers)


FERRIES = "Ferries sail at noon. A hotel on an island has a limit of 70 euros."


def rivals(reader: KeenReader, *texts: str) -> list[str | None]:
    reading = mark("hotel limit", passages(*texts), WordEncoder(), reader)
    return [passage.rival for passage in reading.passages]


def test_a_reader_torn_between_two_passages_names_the_second_sentence() -> None:
    torn = TornReader("90 euros", 4.0, other="70 euros", behind=1.5)
    assert rivals(torn, PASSAGE, FERRIES) == [None, "A hotel on an island has a limit of 70 euros."]


def test_a_reader_torn_within_a_passage_names_the_second_sentence() -> None:
    assert rivals(TornReader("90 euros", 4.0, other="Meals", behind=1.5), PASSAGE) == [
        "Meals are paid."
    ]


def test_a_reader_that_is_sure_names_no_second_sentence() -> None:
    assert rivals(TornReader("90 euros", 4.0, other="70 euros", behind=2.5), PASSAGE, FERRIES) == [
        None,
        None,
    ]


def test_the_same_sentence_on_another_page_is_no_second_one() -> None:
    assert rivals(KeenReader("90 euros", 4.0), PASSAGE, PASSAGE) == [None, None]


def test_where_nothing_answers_no_second_sentence_is_named() -> None:
    assert rivals(TornReader("90 euros", -4.0, other="70 euros", behind=0.5), PASSAGE, FERRIES) == [
        None,
        None,
    ]


def test_a_passage_that_never_names_whom_a_question_is_about_is_less_sure_and_comes_later() -> None:
    other = "Denmark: the hotel limit is 90 euros."
    asked = "What is the hotel limit in Denmark?"
    reading = mark(asked, passages(PASSAGE, other), WordEncoder(), KeenReader("90 euros", 4.0))
    assert [each.index for each in reading.passages] == [1, 0]
    sure, strange = (each.score or 0.0 for each in reading.passages)
    assert strange < sure


def test_a_passage_that_never_names_the_year_that_is_asked_of_is_less_sure() -> None:
    found = "The hotel limit is 90 euros."
    sure = {
        year: mark(
            f"hotel limit in {year}",
            passages(f"2031. {found}"),
            WordEncoder(),
            KeenReader("90", 6.0),
        ).score
        for year in (2031, 2030)
    }
    assert sure[2031] > 0.9 > 0.5 > sure[2030]


def test_a_sentence_without_the_kind_of_answer_that_is_asked_for_is_passed_over() -> None:
    text = "The raters judged the questions. It took two minutes each."
    reader = TornReader("judged", 4.0, other="two minutes", behind=1.0)
    for question, best in (
        ("How long did it take?", "It took two minutes each."),
        ("What did they do?", "The raters judged the questions."),
    ):
        reading = mark(question, passages(text), WordEncoder(), reader)
        assert reading.passages[0].best_sentence == best


def test_a_list_that_is_asked_for_is_named_and_no_rival_beside_it() -> None:
    text = "Limits in force are:\n- 90 euros for a hotel\n- 20 euros for a meal\nAll is paid."
    torn = TornReader("90 euros", 4.0, other="20 euros", behind=1.0)
    (passage,) = mark("What limits are there?", passages(text), WordEncoder(), torn).passages
    assert passage.listed
    assert passage.listed.items == ("90 euros for a hotel", "20 euros for a meal")
    assert passage.rival is None


def test_a_list_that_is_asked_for_is_shown_whole_and_all_of_it_is_the_likely_answer() -> None:
    items = [f"{amount} euros for a meal of {amount} people" for amount in range(20, 30)]
    text = "\n- ".join(["Limits in force are:", *items])
    torn = TornReader("24 euros", 4.0, other="25 euros", behind=1.0)
    for question, whole in (("What limits are there?", True), ("How many euros for 24?", False)):
        reading = mark(question, passages(text), WordEncoder(), torn, words=20)
        shown = reading.passages[0].shown
        assert all(item in shown for item in items) == whole
        assert (reading.likely == "; ".join(items)) == whole


def test_where_the_reader_finds_nothing_the_evidence_is_weak_and_no_answer_is_named() -> None:
    reading = mark("hotel limit", passages(PASSAGE), WordEncoder(), KeenReader("nowhere", 4.0))
    assert (reading.strength, reading.likely) == ("weak", None)


def test_a_list_item_is_quoted_without_its_bullet() -> None:
    text = "Limits:\n- The hotel limit is 90 euros.\n- Meals are paid."
    (passage,) = mark("hotel limit", passages(text), WordEncoder()).passages
    assert passage.best_sentence == "The hotel limit is 90 euros."
    assert f"{BEST}- The hotel limit" in passage.shown


def test_a_whole_sentence_as_answer_has_no_footnotes_mark() -> None:
    text = "² The hotel limit is 90 euros."
    reading = mark("hotel limit", passages(text), WordEncoder(), KeenReader(text, 4.0))
    assert reading.likely == "The hotel limit is 90 euros."


def test_a_question_in_a_text_is_never_taken_for_the_answer() -> None:
    text = "What is the hotel limit in euros? It is 90 euros."
    (passage,) = mark("What is the hotel limit in euros?", passages(text), WordEncoder()).passages
    assert passage.best_sentence == "It is 90 euros."


def test_the_heading_over_a_passage_is_never_taken_for_the_answer() -> None:
    given = [Passage("Guide > 5 Hotel limit", "5 Hotel limit\nA night may cost 90 euros.")]
    (passage,) = mark("hotel limit", given, WordEncoder()).passages
    assert passage.best_sentence == "A night may cost 90 euros."


def test_a_reader_that_is_torn_within_a_tables_row_reads_the_cell_that_is_asked_for() -> None:
    class Torn(KeenReader):
        def _reply(self, text: str, sentences: Sequence[tuple[int, int]]) -> Reply:
            return Reply(tuple(self.odds for _ in sentences), tuple(sentences))

    row = "30-Year: Real 2.5 %, Nominal 4.7 %."
    reader = Torn("", 4.0)
    assert mark("the nominal rate?", passages(row), WordEncoder(), reader).likely == "Nominal 4.7 %"
    assert mark("the rate?", passages(row), WordEncoder(), reader).likely == row


def test_the_row_that_is_named_wins_over_another_that_reads_like_an_answer() -> None:
    rows = "3-Year: Real 2.2 %, Nominal 4.5 %.\n5-Year: Real 2.1 %, Nominal 4 %."
    given = passages(f"The real rate is 3.0 %.\n{rows}")
    reader = KeenReader("3.0 %", 1.0)
    reading = mark("What is the real rate over three years?", given, WordEncoder(), reader)
    assert str(reading.passages[0].best_sentence).startswith("3-Year")


def test_the_line_whose_label_is_named_wins_over_a_note_that_gives_another_value() -> None:
    text = "Inflation rate: 1.2 %\nCalculated inflation rate: 2.9 %\nOnce the rate was 3.0 %."
    reader = KeenReader("3.0 %", 1.0)
    for question, line in (
        ("What is the calculated inflation rate?", "Calculated inflation rate: 2.9 %"),
        ("What is the inflation rate?", "Inflation rate: 1.2 %"),
    ):
        reading = mark(question, passages(text), WordEncoder(), reader)
        assert reading.passages[0].best_sentence == line


def test_a_line_loses_its_name_to_a_sentence_that_says_more_of_what_is_asked() -> None:
    text = "Real discount rate: 3.0 %\nThe real discount rate for public investment is 7 %."
    reader = KeenReader("7 %", 1.0)
    for question, answer in (
        ("What is the real discount rate for public investment?", "7 %"),
        ("What is the real discount rate?", "3.0 %"),
    ):
        reading = mark(question, passages(text), WordEncoder(), reader)
        assert answer in str(reading.passages[0].best_sentence)


def test_a_sentence_on_another_year_does_not_answer_what_is_asked_of_one() -> None:
    text = "Real rate of the fund: 3.0 %\nThe real rate of the fund in Oru was 1.2 % in 2023."
    reader = KeenReader("1.2 %", 1.0)
    for question, answer in (
        ("What is the real rate of the fund in Oru for 2024?", "3.0 %"),
        ("What is the real rate of the fund in Oru for 2023?", "1.2 %"),
        ("What is the real rate of the fund in Oru?", "1.2 %"),
    ):
        reading = mark(question, passages(text), WordEncoder(), reader)
        assert answer in str(reading.passages[0].best_sentence)


def test_what_a_sentence_announces_is_the_answer_and_not_the_sentence() -> None:
    text = "The hotel limits of the year are as follows:\n- Islands, 70 euros.\n- Else 90 euros."
    torn = TornReader("The hotel limits", 4.0, other="Islands", behind=1.0)
    assert mark("hotel limit", passages(text), WordEncoder(), torn).passages[0].best_sentence == (
        "Islands, 70 euros."
    )


def test_an_answer_that_leaves_the_cell_which_is_asked_for_is_read_in_the_cell_again() -> None:
    class Loose(KeenReader):
        def _reply(self, text: str, sentences: Sequence[tuple[int, int]]) -> Reply:
            found = [text.find(self.answer), *(text.find("4.7 %") for _ in sentences[1:])]
            ends = [found[0] + len(self.answer), *(at + len("4.7 %") for at in found[1:])]
            return Reply(tuple(self.odds for _ in sentences), tuple(zip(found, ends, strict=True)))

    row = "30-Year: Real 2.5 %, Nominal 4.7 %, Inflation 2.1 %."
    for loose in ("2.5 %", "2.5 %, Nominal 4.7 %"):
        reading = mark("the nominal rate?", passages(row), WordEncoder(), Loose(loose, 4.0))
        assert reading.likely == "4.7 %"
    reading = mark("how long, nominal?", passages(row), WordEncoder(), Loose("30-Year", 4.0))
    assert reading.likely == "30-Year"


def test_the_cell_whose_column_is_named_is_read_again_also_where_it_holds_no_number() -> None:
    class Loose(KeenReader):
        def _reply(self, text: str, sentences: Sequence[tuple[int, int]]) -> Reply:
            names = ("the euro", *("the krone" for _ in sentences[1:]))
            spans = tuple((text.find(name), text.find(name) + len(name)) for name in names)
            return Reply(tuple(self.odds for _ in sentences), spans)

    row = "Money: Norway the krone, Austria the euro."
    for asked, answer in (("What do they pay with in Norway?", "the krone"), ("krone", "the euro")):
        assert mark(asked, passages(row), WordEncoder(), Loose("", 4.0)).likely == answer


class Rating:
    """A rater to whom a question is likely after a text that holds a word."""

    def __init__(self, word: str) -> None:
        self.word = word
        self.texts: list[str] = []

    def rate(self, question: str, texts: Sequence[str]) -> np.ndarray:
        self.texts = list(texts)
        return np.array([-10.0 if text.endswith(f"{self.word}.") else -40.0 for text in texts])


def rated(word: str, *texts: str) -> Any:
    reader = KeenReader("90 euros", odds=4.0)
    return mark("Where to?", passages(*texts), WordEncoder(), reader, rater=Rating(word))


def test_the_passage_after_which_the_question_is_likeliest_comes_first() -> None:
    found = rated("noon", PASSAGE, "Ferries sail at noon.")
    assert [each.index for each in found.passages] == [1, 0]
    assert found.passages[0].best_sentence == "Ferries sail at noon."


def test_the_sentence_within_a_passage_stays_the_readers_choice() -> None:
    assert rated("paid", PASSAGE).passages[0].best_sentence == "The hotel limit is 90 euros."


def test_how_sure_the_reader_is_stays_its_own_and_is_told_of_the_first_passage() -> None:
    plain = mark("Where to?", passages(PASSAGE), WordEncoder(), KeenReader("90 euros", odds=4.0))
    texts = (PASSAGE, "Ferries sail at noon.")
    assert rated("euros", *texts).score == rated("paid", *texts).score == plain.score
    assert rated("noon", *texts).score == rated("noon", texts[1]).score < 0.5


def test_a_passage_is_rated_by_its_best_sentence_under_its_header() -> None:
    rater, reader = Rating("noon"), KeenReader("90 euros", odds=4.0)
    mark("Where to?", passages(PASSAGE, "", "Sail."), WordEncoder(), reader, rater=rater)
    assert rater.texts == ["Rules\nTrains come first. The hotel limit is 90 euros.", "Rules\nSail."]


def test_only_passages_that_may_still_come_first_are_rated() -> None:
    rater, texts = Rating("noon"), (PASSAGE, "It costs 90 euros.", "Ferries sail at noon.")
    reading = mark(
        "Where to?", passages(*texts), WordEncoder(), KeenReader("90 euros", 12.0), rater=rater
    )
    assert len(rater.texts) == 2
    assert reading.passages[-1].index == 2
    rater = Rating("noon")
    mark(
        "Where to?", passages(*texts[1:]), WordEncoder(), KeenReader("90 euros", 12.0), rater=rater
    )
    assert rater.texts == []
