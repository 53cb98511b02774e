import json
import random
import re

import pytest

from agentlab.demo import FRESH
from agentlab.small_talk import all_said
from agentlab.starter import live
from agentlab.starter.live import LiveQuestion, live_question, small_talk, timely
from ingest.sentences import sentence_spans

TOPICS = ["Normans", "Sierra Nevada (U.S.)", "iPod", "Marrowfin Travel and Expense Handbook"]
KINDS = pytest.mark.parametrize("held_out", [False, True], ids=["training", "held out"])


def drawn(held_out: bool, count: int = 3000) -> list[LiveQuestion]:
    rng = random.Random(5)
    return [live_question(rng, TOPICS, held_out=held_out) for _ in range(count)]


def plain(text: str) -> str:
    """Reduce a text to its letters and digits, or to its marks where it has neither."""
    return re.sub(r"[^\w]+", " ", text.casefold()).strip() or text


TEMPLATES = (*live._templates(held_out=False), *live._templates(held_out=True))
TALK = (*all_said(), *all_said(held_out=True))


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda each: each[0][:40])
def test_every_template_holds_its_answer(
    template: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_templates", lambda **_: (template,))
    assert len(template) == 5
    for seed in range(25):
        made = live_question(random.Random(seed), TOPICS)
        assert made.answer
        assert made.answer in made.sentence
        assert made.sentence[0] == made.sentence[0].upper()
        spans = sentence_spans(made.snippet)
        assert made.sentence in [made.snippet[start:end] for start, end in spans]
        filled = [made.text, made.title, made.site, made.snippet, made.answer]
        assert not re.search(r"[{}|]| {2}", "".join(filled))
        assert made.answer != made.sentence
        assert len(made.snippet.split()) <= 75


def test_the_templates_are_many_and_often_on_what_the_library_covers() -> None:
    questions = [question for question, *_ in TEMPLATES]
    assert len({plain(each) for each in questions}) == len(TEMPLATES) >= 490
    assert sum("{topic}" in question for question in questions) >= 220
    held_out = [question for question, *_ in live._templates(held_out=True)]
    assert sum("{topic}" in question for question in held_out) >= 12


def test_no_held_out_question_is_trained_on() -> None:
    trained = {plain(each.text) for each in drawn(held_out=False)}
    held_out = {plain(each.text) for each in drawn(held_out=True)}
    assert len(trained) > 2000
    assert len(held_out) > 300
    assert not trained & held_out


@KINDS
def test_a_question_names_its_subject_as_the_library_writes_it(held_out: bool) -> None:
    rng = random.Random(8)
    made = [live_question(rng, ["Kelp"], held_out=held_out).text for _ in range(400)]
    share = sum("kelp" in text.casefold() for text in made) / len(made)
    assert 0.3 < share < 0.7


def test_the_same_seed_asks_the_same() -> None:
    assert drawn(held_out=False, count=20) == drawn(held_out=False, count=20)
    first, second = random.Random(1), random.Random(1)
    assert [small_talk(first) for _ in range(20)] == [small_talk(second) for _ in range(20)]


def test_talk_is_varied_and_each_intent_has_one_reply() -> None:
    assert len({plain(text) for text, *_ in TALK}) == len(TALK) >= 1500
    replies = {said.reply for said in TALK}
    assert len(replies) >= 28
    assert all(len(reply.split()) <= 20 for reply in replies)
    assert {said.reply for said in all_said(held_out=True)} <= replies
    assert any("`agentlab ingest PATH`" in reply for reply in replies)
    assert any("/sources" in reply for reply in replies)


def test_no_held_out_talk_is_trained_on() -> None:
    rng = random.Random(3)
    trained = {plain(small_talk(rng)[0]) for _ in range(6000)}
    held_out = {plain(small_talk(rng, held_out=True)[0]) for _ in range(2000)}
    assert len(trained) > 1200
    assert len(held_out) > 60
    assert not trained & held_out


@pytest.mark.parametrize("kind", ["live", "small_talk"])
def test_nothing_trained_on_comes_close_to_the_demos_exam(kind: str) -> None:
    rows = json.loads(FRESH.read_text(encoding="utf-8"))
    asked = [set(plain(row["question"]).split()) for row in rows if row["kind"] == kind]
    trained = [said.text for said in all_said()]
    if kind == "live":
        trained = [made.text for made in drawn(held_out=False)]
    assert asked
    for text in trained:
        words = set(plain(text).split())
        assert max(len(words & each) / len(words | each) for each in asked) < 0.75, text


@KINDS
def test_talk_keeps_its_reply_however_it_is_typed(held_out: bool) -> None:
    replies = {plain(said.text): said.reply for said in TALK}
    rng = random.Random(4)
    for _ in range(2000):
        text, reply, _ = small_talk(rng, held_out=held_out)
        assert text
        assert replies[plain(text)] == reply


@pytest.mark.parametrize(
    ("question", "forms"),
    [
        ("What is the meal allowance?", {
            "What is the current meal allowance?", "What is the meal allowance now?",
            "As things stand, what is the meal allowance?",
        }),
        ("Who approves a trip abroad?", {
            "Who currently approves a trip abroad?",
            "Under the present rules, who approves a trip abroad?",
        }),
        ("When are the accounts closed?", {
            "When are the accounts closed at present?",
            "At the moment, when are the accounts closed?",
        }),
        ("how many days of leave do trainees get", {
            "how many days of leave do trainees get now",
            "as things stand, how many days of leave do trainees get",
        }),
        ("Can you tell me the fee for guests?", {"Can you tell me the current fee for guests?"}),
        ("price of the hall in winter", {"current price of the hall in winter"}),
        ("How much is the deposit?", {"How much is the latest deposit?"}),
    ],
)  # fmt: skip
def test_words_of_time_fit_the_form_of_the_question(question: str, forms: set[str]) -> None:
    rng = random.Random(0)
    made = {timely(question, rng) for _ in range(400)}
    assert forms <= made
    assert question not in made


@pytest.mark.parametrize(
    "question",
    [
        "Who was the first mayor?",
        "When did the election take place?",
        "What is the current allowance?",
        "meal allowance abroad",
        "In 1914 who was king?",
        "",
    ],
)
def test_a_question_on_the_past_or_without_a_verb_stays_as_it_is(question: str) -> None:
    assert timely(question, random.Random(0)) == question


def test_current_does_not_stand_before_a_superlative() -> None:
    rng = random.Random(0)
    made = {timely("What is the highest refund?", rng) for _ in range(200)}
    assert not any("highest" in each and re.search(r"the \w+ highest", each) for each in made)


def test_a_condition_keeps_its_own_time() -> None:
    rng = random.Random(0)
    made = {timely("What happens if a guest cancels late?", rng) for _ in range(200)}
    assert all(each.endswith("late?") for each in made)
