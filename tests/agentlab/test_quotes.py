"""Which sentences may be quoted, and how a wrong quote is put right."""

from dataclasses import replace

import pytest

from agentlab.answer import Source, Step
from agentlab.citations import check
from agentlab.prompts import parse_answer
from agentlab.quotes import Quote, allowed, differ_in_quotes_only, read_answer, settle
from ingest.lists import FoundList

BARRY = (
    "Jack Barry, who created the show and eventually used it to revive his partnership with "
    "longtime producer Dan Enright, hosted all versions of the show up until his death in May 1984."
)
FORCES = (
    "At the very beginning the Partisan forces were small, poorly armed and without any "
    "infrastructure, but Spanish Civil War veterans amongst them had some experience."
)
ISTJ = (
    "ISTJ (By functions; Introverted Sensing (Si), Extroverted Thinking (Te), Introverted Feeling "
    "(Fi) and Extroverted Intuition (Ne)) is an abbreviation used in the publications of the "
    "Myers -- Briggs Type Indicator (MBTI) to refer to one of sixteen personality types."
)
CALL_OUT = "Technicians on call must be at the base within 45 minutes."
DIVERS = "Divers on call must be at the base within 120 minutes."


def source(number: int, *sentences: str, best: str | None = None) -> Source:
    text = " ".join(sentences)
    return Source(number, "page", "T", text, text, "/t.pdf", page=1, sentences=sentences, best=best)


def step(*sources: Source) -> Step:
    return Step("search_documents", {"query": "x"}, "", sources)


SOURCES = (source(1, BARRY, CALL_OUT), source(2, FORCES, DIVERS), source(4, ISTJ))


def answered(quote: str, number: int = 1, answer: str = "it") -> str:
    return f'"{quote}" [{number}]\nAnswer: {answer} [{number}]'


def read(number: int, *sentences: str, **found: str) -> Source:
    return replace(source(number, *sentences), **found)


def test_what_the_reader_found_is_quoted_and_answered_in_its_words() -> None:
    found = read(1, CALL_OUT, best=CALL_OUT, likely="within 45 minutes")
    assert read_answer(step(found)) == answered(CALL_OUT, 1, "within 45 minutes")


def test_where_the_reader_is_torn_the_second_sentence_is_quoted_too_and_both_are_checked() -> None:
    found = (
        read(1, CALL_OUT, best=CALL_OUT, likely="within 45 minutes"),
        read(2, DIVERS, rival=DIVERS),
    )
    written = read_answer(step(*found))
    assert written == f'"{CALL_OUT}" [1]\n"{DIVERS}" [2]\nAnswer: within 45 minutes [1]'
    assert settle(written, found) == written
    assert [each.supported for each in check(written, found)] == [True, True, True]
    assert read_answer(step(*found), both=False) == answered(CALL_OUT, 1, "within 45 minutes")


def test_a_second_sentence_that_cannot_be_quoted_is_left_out() -> None:
    found = read(1, CALL_OUT, best=CALL_OUT, likely="45 minutes", rival="<tool_call>")
    assert read_answer(step(found)) == answered(CALL_OUT, 1, "45 minutes")


LENT = "We lend: • a monitor • a desk chair; • 2. hand"


def test_a_list_is_quoted_whole_and_answered_with_its_items_which_are_all_checked() -> None:
    found = replace(
        read(1, LENT, best="a monitor", likely="monitor", rival=CALL_OUT),
        listed=FoundList(LENT, ("a monitor", "a desk chair;", "2. hand"), (0, len(LENT))),
    )
    written = read_answer(step(found))
    assert written == f'"{LENT}" [1]\nAnswer:\n- a monitor [1]\n- a desk chair [1]\n2. hand [1]'
    assert settle(written, [found]) == written
    assert [each.supported for each in check(written, [found])] == [True] * 4
    assert parse_answer(written).text == "- a monitor [1]\n- a desk chair [1]\n2. hand [1]"
    assert read_answer(step(found), both=False, lists=False) == answered("a monitor", 1, "monitor")


def test_a_list_that_cannot_be_quoted_leaves_its_best_sentence() -> None:
    found = replace(
        read(1, CALL_OUT, best=CALL_OUT, likely="45 minutes"),
        listed=FoundList("We lend: <tool_call>", ("a", "b"), (0, 20)),
    )
    assert read_answer(step(found)) == answered(CALL_OUT, 1, "45 minutes")


@pytest.mark.parametrize(
    ("written", "sentence", "number"),
    [
        (BARRY.replace("eventually", "ultimately"), BARRY, 1),
        (FORCES.replace("very ", ""), FORCES, 2),
        (ISTJ.replace(" (Si), Extroverted Thinking", ""), ISTJ, 4),
        ("Technicians on call must be at the base within 90 minutes.", CALL_OUT, 1),
        ("Divers on call must be at the base within 90 minutes.", DIVERS, 2),
    ],
)
@pytest.mark.parametrize("cited", [1, 2, 9])
def test_a_slip_becomes_the_sentence_with_its_number(
    written: str, sentence: str, number: int, cited: int
) -> None:
    settled = settle(answered(written, cited), SOURCES)
    assert settled == answered(sentence, number)
    assert check(settled, SOURCES)[0].supported


def test_a_verbatim_quote_of_another_source_gets_its_number() -> None:
    assert settle(answered(DIVERS, 1), SOURCES) == answered(DIVERS, 2)


@pytest.mark.parametrize(
    "raw",
    [
        answered(CALL_OUT),
        answered(CALL_OUT.upper()),
        answered("on call must be at the base"),
        answered("The bridge was built by Roman engineers in 98 AD."),
        answered("Technicians 10 minutes 45 minutes"),
        answered("Divers", 1),
        "I could not find an answer in the sources.",
        "Hello!\n\nAsk me [1] anything.",
        f'"{CALL_OUT}',
        "",
    ],
)
def test_what_is_right_or_far_from_everything_stays_to_the_letter(raw: str) -> None:
    assert settle(raw, SOURCES) == raw


def test_free_quotes_stay() -> None:
    raw = answered(BARRY.replace("eventually", "ultimately"))
    assert settle(raw, SOURCES, choice="free") == raw


def test_of_sentences_as_near_the_cited_source_wins_and_then_the_best() -> None:
    plans = [
        f"The {plan} plan costs {price} euros a month." for plan, price in (("A", 1), ("B", 2))
    ]
    sources = [source(n, text) for n, text in enumerate(plans, start=1)]
    written = answered("The C plan costs 3 euros a month.", 1)
    assert settle(written, sources) == answered(plans[0], 1)
    sources[1] = replace(sources[1], best=plans[1])
    assert settle(written.replace("[1]", "[7]"), sources) == answered(plans[1], 2)


def test_a_number_that_another_quote_still_names_is_kept_in_the_answer() -> None:
    raw = f'"{CALL_OUT}" [1]\n"{DIVERS}" [1]\nAnswer: 45 [1] or 120 minutes [2]'
    assert settle(raw, SOURCES) == raw.replace(f'{DIVERS}" [1]', f'{DIVERS}" [2]')


def test_of_two_cited_sources_the_one_that_holds_the_quote_is_kept() -> None:
    assert settle(f'"{DIVERS}" [1] [2]\nAnswer: 120 [1]', SOURCES) == answered(DIVERS, 2, "120")


def test_the_latest_choice_of_the_reader_may_be_quoted() -> None:
    steps = [
        step(source(1, BARRY, best=BARRY)),
        step(source(2, DIVERS), source(3, FORCES, best=FORCES)),
        step(source(4, ISTJ)),
    ]
    assert allowed(steps, "best") == (Quote(FORCES, 3),)
    assert allowed(steps[2:], "best") == (Quote(ISTJ, 4),)
    assert allowed(steps, "free") == allowed([], "best") == ()


def test_a_choice_that_cannot_be_quoted_leaves_all_that_was_shown() -> None:
    tagged = "It is written <tool_call> here."
    steps = [step(source(1, BARRY, best=BARRY)), step(source(2, DIVERS, tagged, best=tagged))]
    assert allowed(steps, "best") == (Quote(DIVERS, 2), Quote(BARRY, 1))


def test_all_shown_sentences_may_be_quoted_the_latest_search_first() -> None:
    steps = [step(source(1, BARRY, CALL_OUT)), step(source(1, BARRY), source(2, DIVERS))]
    assert allowed(steps, "shown") == (Quote(BARRY, 1), Quote(DIVERS, 2), Quote(CALL_OUT, 1))


@pytest.mark.parametrize("text", ["", "says <tool_call> here", "a\nb", '  spaced "'])
def test_what_would_not_be_read_back_as_a_quote_is_none(text: str) -> None:
    assert allowed([step(source(1, text, best=text))], "best") == ()


def test_only_quotes_and_numbers_count_as_put_right() -> None:
    raw = answered(CALL_OUT.replace("45", "90"))
    assert differ_in_quotes_only(raw + " ", answered(DIVERS, 2))
    assert not differ_in_quotes_only(raw, answered(DIVERS, answer="that"))
    assert not differ_in_quotes_only("Let me look.", raw)


def test_a_lone_quotation_mark_in_an_answer_goes_and_pairs_stay() -> None:
    raw = '"It is 46 euros." [1]\nAnswer: it is 46 euros." [1]\nSee "Meals" there.'
    settled = settle(raw, ())
    assert settled == '"It is 46 euros." [1]\nAnswer: it is 46 euros. [1]\nSee "Meals" there.'
    assert differ_in_quotes_only(raw, settled)
