"""Which items belong together, and which questions ask for all of them."""

import numpy as np
import pytest

from ingest.lists import FoundList, asked_list
from ingest.sentences import sentence_spans

LENT = """Staff may work from home. The Facilities team lends the following:
• a monitor
• a desk chair
• a lockable box, if you handle
  personnel files
All of it stays the property of the company."""
STEPS = """To restore the settings, proceed as follows:
1. Pull the plug. Wait a minute.
2. Hold the button.
3. Release it. The lamp is green. It stays so.
The manual tells more."""
ATTENDED = """The meeting was opened at seven.
Present:
Maud Ferris (chair)
Colin Okoro
Apologies:
Greta Noakes
Samuel Virtue
Income has risen."""


def items(text: str, start: str) -> list[str]:
    """List the items around the sentence that begins so, which a reader takes for the answer."""
    spans = sentence_spans(text)
    place = next(at for at, span in enumerate(spans) if text[slice(*span)].startswith(start))
    scores = np.full(len(spans), -1.0)
    scores[place] = 0.0
    found = asked_list("things", text, spans, scores, torn=0.0)
    return list(found.items) if found else []


def asked(
    question: str, text: str, best: str, *, above: float, near: str = "-"
) -> FoundList | None:
    """Ask a reader that gives 0 to the sentence with `best`, `above` to the line over the list."""
    spans = sentence_spans(text)
    told = [text[slice(*span)] for span in spans]
    scores = [0.0 if best in each else -1.0 if near in each else -40.0 for each in told]
    heads = [at for at, each in enumerate(told) if each.endswith(":")]
    for at in heads:
        scores[at] = above
    return asked_list(question, text, spans, np.array(scores), torn=2.0)


@pytest.mark.parametrize("start", ["The Facilities team", "• a monitor", "• a lockable box"])
def test_a_list_is_found_from_the_line_above_it_and_from_each_item(start: str) -> None:
    assert items(LENT, start) == [
        "a monitor",
        "a desk chair",
        "a lockable box, if you handle personnel files",
    ]


@pytest.mark.parametrize("start", ["Staff may work", "All of it stays"])
def test_the_prose_around_a_list_is_in_none(start: str) -> None:
    assert items(LENT, start) == []


def test_an_item_keeps_what_goes_on_within_it_and_the_last_one_its_lines() -> None:
    assert items(STEPS, "Wait a minute") == [
        "1. Pull the plug. Wait a minute.",
        "2. Hold the button.",
        "3. Release it. The lamp is green. It stays so.",
    ]


def test_a_sentence_on_a_line_below_the_last_item_is_not_part_of_it() -> None:
    text = (
        "You farm:\n- in the north.\n- in the districts of Annex A.\nTenants ask first. They may."
    )
    assert items(text, "- in the north") == ["in the north.", "in the districts of Annex A."]


def test_in_a_text_without_lines_the_last_item_is_one_sentence() -> None:
    text = "Do this. 1. Pull the plug. 2. Hold the button. The manual tells more. It is long."
    assert items(text, "2. Hold") == ["1. Pull the plug.", "2. Hold the button."]


def test_lines_without_a_mark_are_items_below_a_colon() -> None:
    assert items(ATTENDED, "Colin") == ["Maud Ferris (chair)", "Colin Okoro"]
    assert items(ATTENDED, "Greta") == ["Greta Noakes", "Samuel Virtue"]


@pytest.mark.parametrize(
    "text",
    [
        "The cover ends:\n(a) on death;\n(b) on sale; or\n(c) after a year.\nTell us.",
        "The cover ends:\na) on death,\nb) on sale,\nc) after a year.",
        "The cover ends:\ni. on death\nii. on sale\niii. after a year",
        "The cover ends:\non death,\non sale,\nafter a year.\nTell us at once.",
    ],
)
def test_items_may_be_lettered_or_bare(text: str) -> None:
    found = items(text, "The cover ends")
    assert len(found) == 3
    assert "on death" in found[0]
    assert found[-1].rstrip(".").endswith("after a year")


@pytest.mark.parametrize(
    "above",
    ["What is paid", "These costs are paid.", "What is paid\nThe costs below are paid:"],
)
def test_a_heading_or_a_sentence_right_above_marked_items_announces_them(above: str) -> None:
    assert items(f"{above}\n- the room\n- the meals", above.split("\n", maxsplit=1)[0]) == [
        "the room",
        "the meals",
    ]


def test_two_lists_under_headings_of_their_own_stay_apart() -> None:
    text = "New in 3.2\n- dark mode\n- tags\n\nFixed in 3.2\n- the cursor\n- the search"
    assert items(text, "- tags") == ["dark mode", "tags"]
    assert items(text, "- the cursor") == ["the cursor", "the search"]


def test_below_items_without_a_full_stop_a_sentence_is_not_part_of_the_last() -> None:
    text = (
        "You need:\n- a card\n- the consent form signed by a parent or by whoever brings you up\n"
        "With your card you can borrow up to fifteen items at once, for four weeks."
    )
    assert items(text, "- a card")[-1].endswith("whoever brings you up")


@pytest.mark.parametrize(
    "text",
    [
        "It costs:\n- a lot",
        "(1) It decides within a month.\n(2) It refuses a licence if:\n(a) you are young;",
        "It was sold in May. It was bought in June.",
    ],
)
def test_one_item_and_the_paragraphs_of_a_statute_are_no_list(text: str) -> None:
    assert items(text, text[:5]) == []


def test_who_asks_for_several_things_gets_the_list_with_the_sentence_above_it() -> None:
    found = asked("What equipment can I borrow?", LENT, "monitor", above=-20.0)
    assert found
    assert found.quote.startswith("The Facilities team lends the following: • a monitor • a desk")
    assert found.quote.endswith("personnel files")
    assert found.items[1] == "a desk chair"


@pytest.mark.parametrize(
    ("question", "above"),
    [
        ("How big is the monitor?", -1.0),
        ("Which company lends the monitor?", -20.0),
        ("On what day did they lend the monitor?", -1.0),
        ("What is the price of the monitor?", -1.0),
        ("Where is the desk chair?", -1.0),
        ("Is there a monitor to borrow?", -20.0),
        ("What equipment can I borrow?", -30.0),
    ],
)
def test_who_asks_for_one_item_or_far_from_the_line_above_gets_no_list(
    question: str, above: float
) -> None:
    assert asked(question, LENT, "monitor", above=above) is None


@pytest.mark.parametrize("question", ["What limits does it have?", "What information has it?"])
def test_a_plural_before_the_verb_asks_for_several_things(question: str) -> None:
    assert asked(question, LENT, "monitor", above=-20.0)


def test_the_heading_of_a_passage_leads_to_its_only_list() -> None:
    text = f"Home office\n{LENT}"
    assert asked("What things can I borrow?", text, "Home office", above=-30.0)
    other = f"{text}\nNot lent are:\n- lamps\n- chairs for guests"
    assert asked("What things can I borrow?", other, "Home office", above=-30.0) is None


def test_where_the_grammar_does_not_tell_the_line_above_decides() -> None:
    assert asked("equipment for home office", LENT, "monitor", above=-10.0)


def test_a_list_whose_item_comes_near_the_best_sentence_is_given_to_who_asks_for_steps() -> None:
    said = "The manual"
    assert asked("How do I restore the settings?", STEPS, said, near="Hold", above=-9.0)
    assert asked("restore the settings", STEPS, said, near="Hold", above=-9.0) is None


def test_a_list_with_nothing_above_it_is_none() -> None:
    assert asked("What can I borrow?", "• a monitor\n• a chair", "monitor", above=0.0) is None
