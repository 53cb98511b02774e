"""What is drawn of a run: steps, answer, verdicts, and nothing that drives the terminal."""

import io
from dataclasses import replace

import pytest
from fake_agent import BAD, FOUND, GOOD, PAGE, STEP, WEB, answer, events
from rich.console import Console

from agentlab import console as drawing
from agentlab.answer import Observed, Step, Thought, Token, ToolCalled
from agentlab.health import Check
from ingest.documents import Chunk
from ingest.evidence import Evidence
from ingest.stores.base import Hit


@pytest.fixture
def screen():
    return Console(file=io.StringIO(), width=100, theme=drawing.THEME, highlight=False)


def shown(screen: Console) -> str:
    return screen.file.getvalue()


def test_a_run_shows_the_match_the_tool_its_sources_the_answer_and_its_quote(screen):
    drawn = drawing.RunScreen(screen, screen).draw(iter(events(answer())))
    lines = [line.rstrip() for line in shown(screen).splitlines() if line.strip()]
    assert lines == [
        "  library match: strong — Travel Handbook › Hotels",
        "  search_documents “hotel nights”",
        "    [1] Travel Handbook, p. 7 · Hotels",
        "Three nights [1]",
        "  ✓ [1] “Employees may book up to three nights without approval.”",
        "        Travel Handbook, p. 7 · Hotels",
        "  4.2 s · 2 model calls · 1,234 tokens · starter",
    ]
    assert drawn.answer == answer()


def test_off_a_terminal_no_line_is_filled_up_with_blanks(screen):
    drawing.draw_answer(screen, answer(text="- Three nights [1]\n- Two by rail"))
    drawing.draw_rows(screen, ("name", "what"), [("a", "short"), ("b", "longer")])
    assert [line for line in shown(screen).split("\n") if line != line.rstrip()] == []


def test_an_unsupported_quote_is_marked_and_never_ticked(screen):
    drawing.draw_answer(screen, answer(citations=(BAD,), sources=(WEB,)))
    assert "✗ [2] “The fare is 50 euros.” (unsupported: not in the source)" in shown(screen)
    assert "✓" not in shown(screen)
    assert "Fares today (recorded 2026-11-01) · https://example.org/fares" in shown(screen)


def test_an_answer_without_citations_says_so_unless_it_abstains(screen):
    drawing.draw_answer(screen, answer(citations=()))
    assert "no source is cited" in shown(screen)


def test_small_talk_which_searched_for_nothing_needs_no_source(screen):
    drawing.draw_answer(screen, answer(citations=(), steps=()))
    assert "no source is cited" not in shown(screen)


def test_a_list_of_the_library_needs_no_source_and_shows_how_it_begins(screen):
    listed = Step("list_documents", {}, "The library holds 2 documents:\n- A\n- B")
    drawing.draw_answer(screen, answer(citations=(), steps=(listed,)))
    assert "no source is cited" not in shown(screen)
    assert [str(line) for line in drawing.event_lines(Observed(listed))] == [
        "    The library holds 2 documents:"
    ]
    searched = replace(listed, tool="search_documents")
    lines = [str(line) for line in drawing.event_lines(Observed(searched))]
    assert lines == ["    nothing found"]


@pytest.mark.parametrize(
    "words", ["Set <timeout>", "__init__.py", "# of rooms: 5", "+ 46 30 123", "5. Mai 2020"]
)
def test_words_of_a_source_stand_as_they_stand_there(screen, words):
    quoted = replace(GOOD, quote=f"It says: {words}, no more.")
    drawing.draw_answer(screen, answer(text=f"{words} [1]", citations=(quoted,)))
    assert f"{words} [1]" in shown(screen)


def test_a_word_in_angle_brackets_is_shown_in_what_a_model_worded(screen):
    drawing.draw_answer(screen, answer(text="**Run** `run <a>` on <PATH> [1]"))
    assert "Run run <a> on <PATH> [1]" in shown(screen)


def test_an_abstention_needs_no_source(screen):
    drawing.draw_answer(screen, answer(citations=(), abstained=True))
    assert "no source is cited" not in shown(screen)


def test_an_abstention_shows_the_sentence_that_came_nearest(screen):
    near = replace(PAGE, best="Book three nights at most.", score=0.1)
    drawing.draw_answer(screen, answer(citations=(), sources=(near,), abstained=True))
    assert "  nearest: [1] “Book three nights at most.”\n" in shown(screen)
    assert "        Travel Handbook, p. 7 · Hotels\n" in shown(screen)


@pytest.mark.parametrize(
    "found",
    [replace(PAGE, best="Far off.", score=0.01), PAGE, replace(PAGE, best="Read by nobody.")],
)
def test_an_abstention_shows_nothing_where_nothing_came_near(screen, found):
    drawing.draw_answer(screen, answer(citations=(), sources=(found,), abstained=True))
    assert "nearest" not in shown(screen)


@pytest.mark.parametrize(("score", "told"), [(0.31, True), (0.5, False), (None, False)])
def test_an_answer_of_which_the_reader_is_not_sure_says_so(screen, score, told):
    unsure = replace(GOOD, source=replace(PAGE, score=score))
    drawing.draw_answer(screen, answer(citations=(unsure,)))
    assert ("  not sure (31%): check it\n" in shown(screen)) == told


def test_how_sure_the_reader_is_of_the_first_quote_stands_for_the_answer():
    unsure = replace(GOOD, source=replace(PAGE, score=0.31))
    claim = replace(GOOD, quote="", source=replace(PAGE, score=0.9))
    assert answer(citations=(claim, unsure)).confidence == 0.31
    assert answer(citations=(claim,)).confidence is None


def test_an_answer_shows_no_sentence_that_came_near(screen):
    near = replace(PAGE, best="Book three nights at most.", score=0.9)
    drawing.draw_answer(screen, answer(sources=(near,)))
    assert "nearest" not in shown(screen)


@pytest.mark.parametrize("reason", ["steps", "time", "repeat", "interrupted"])
def test_an_answer_that_was_cut_short_says_why(screen, reason):
    drawing.draw_answer(screen, answer(stopped=reason))
    assert "stopped" in shown(screen)


def test_a_failed_tool_shows_its_first_line(screen):
    step = replace(STEP, observation="SerpAPI answered HTML (502).\nmore", error=True, sources=())
    assert [str(line) for line in drawing.event_lines(Observed(step))] == [
        "    failed: SerpAPI answered HTML (502)."
    ]


def test_many_sources_are_counted_not_listed():
    step = replace(STEP, sources=tuple(replace(PAGE, number=n) for n in range(1, 6)))
    assert [str(line) for line in drawing.event_lines(Observed(step))][-1] == "    and 2 more"


def test_only_a_pdf_is_cited_by_page():
    notes = replace(PAGE, location="/papers/travel.md")
    assert drawing.source_text(PAGE) == "Travel Handbook, p. 7 · Hotels"
    assert drawing.source_text(notes) == "Travel Handbook, part 7 · Hotels"


def test_a_page_is_cited_by_the_label_that_a_reader_sees_and_its_number(screen):
    preface = replace(PAGE, page_label="iv")
    assert drawing.source_text(preface) == "Travel Handbook, p. iv (7th page) · Hotels"
    drawing.draw_source(screen, preface)
    assert "p. iv (7th page)" in shown(screen)


def test_escape_sequences_of_a_document_do_not_reach_the_terminal(screen):
    evil = "a\x1b]0;owned\x07b\x9b31mc\rd"
    source = replace(PAGE, title=evil, heading=evil, text=evil, location=evil, page_label=evil)
    given = answer(text=evil, citations=(replace(GOOD, source=source, quote=evil),))
    drawing.draw_answer(screen, given)
    drawing.draw_source(screen, source)
    for event in (Thought(evil), ToolCalled("t", {"query": evil}), Observed(replace(STEP))):
        for line in drawing.event_lines(event):
            screen.print(line)
    assert not set(shown(screen)) & set("\x1b\x07\x9b\r")


def test_markup_in_a_document_is_shown_as_it_is(screen):
    drawing.draw_source(screen, replace(PAGE, text="[bold]not ours[/bold]"))
    assert "[bold]not ours[/bold]" in shown(screen)


def test_an_interrupted_run_keeps_what_was_written_and_closes_the_stream(screen):
    closed = []

    def stream():
        try:
            yield Token("Three ")
            yield Token("nights")
            raise KeyboardInterrupt
        finally:
            closed.append(True)

    drawn = drawing.RunScreen(screen, screen).draw(stream())
    assert (drawn.answer, drawn.partial, drawn.interrupted) == (None, "Three nights", True)
    assert closed


def test_words_before_a_tool_call_are_not_kept_as_the_answer(screen):
    def stream():
        yield Token("Let me search")
        yield ToolCalled("search_web", {"query": "x"})
        yield Token("Forty")
        raise KeyboardInterrupt

    assert drawing.RunScreen(screen, screen).draw(stream()).partial == "Forty"


def test_no_match_names_no_titles():
    assert drawing.evidence_text(Evidence("none", 0.1)) == "library match: none"
    assert drawing.evidence_text(FOUND).endswith("Travel Handbook › Hotels")


def test_a_transcript_is_markdown_with_the_sources():
    text = drawing.transcript([answer(), answer("And then?", citations=(BAD,))])
    assert text.startswith("## How many nights?\n\nThree nights [1]\n")
    assert "(unsupported)\n  Fares today" in text


TEXT = "Employees may book up to three hotel nights. " + "Nothing more is said of it. " * 30
HIT = Hit(
    Chunk("1", TEXT, "d", "travel.pdf", "Travel Handbook", 7, 0, len(TEXT), "Hotels", "m"),
    score=0.913,
    cosine=0.61,
    keyword=7.26,
)


def draw(screen, query="hotel limit", **changes):
    given = {"evidence": Evidence("good", 0.9, ("Travel Handbook",)), "alpha": "alpha 0.5"}
    drawing.draw_hits(screen, query, [HIT], **(given | changes))
    return [line.rstrip() for line in shown(screen).splitlines()]


@pytest.fixture
def narrow():
    return Console(file=io.StringIO(), width=80, theme=drawing.THEME, highlight=False)


def test_a_found_passage_says_why_in_80_columns(narrow):
    lines = draw(narrow)
    assert lines[:7] == [
        "  library match: good — Travel Handbook",
        "  (good: 97 of 100 unrelated questions match less, or an answer was read)",
        "  alpha 0.5",
        "",
        "  1. Travel Handbook, p. 7 · Hotels",
        "     score 0.91 · cosine 0.61 · BM25 7.3 · holds hotel · lacks limit",
        "     Employees may book up to three hotel nights. Nothing more is said of it.",
    ]
    assert lines[-1].endswith(" …")
    assert max(len(line) for line in lines) <= 80


def test_what_goes_on_in_another_line_begins_below_its_own_text():
    screen = Console(file=io.StringIO(), width=40, theme=drawing.THEME, highlight=False)
    drawing.draw_hits(screen, "hotel limit", [HIT], evidence=FOUND, alpha="alpha 0.5 " * 5)
    lines = [line for line in shown(screen).splitlines() if line]
    at = next(number for number, line in enumerate(lines) if line.startswith("  1. "))
    assert all(line.startswith("  ") for line in lines[:at])
    assert all(line.startswith(" " * 5) for line in lines[at + 1 :])
    assert all(line == line.rstrip() and len(line) < 40 for line in lines)


def test_on_a_narrow_terminal_a_check_and_its_advice_go_on_below_their_own_words():
    terminal = Console(
        file=io.StringIO(), width=34, theme=drawing.THEME, force_terminal=True, color_system=None
    )
    drawing.draw_check(
        terminal, Check("disk", "problem", "/data cannot be written", "free it " * 5)
    )
    assert [line.rstrip() for line in shown(terminal).splitlines()] == [
        "  ✗ disk: /data cannot be",
        "      written",
        "      free it free it free it",
        "          free it free it",
    ]


def test_on_a_narrow_terminal_a_long_source_goes_on_below_its_own_words():
    terminal = Console(file=io.StringIO(), width=34, force_terminal=True, color_system=None)
    drawing.draw_sources(terminal, [replace(PAGE, heading="The night in a hotel")])
    first, *others = terminal.file.getvalue().splitlines()
    assert first.startswith(f"  [{PAGE.number}] ")
    assert others
    assert all(line.startswith(" " * 6) and len(line) <= 34 for line in others)


def test_a_found_passage_names_its_page_as_citations_do(narrow):
    hit = replace(HIT, chunk=replace(HIT.chunk, page_label="A-1"))
    drawing.draw_hits(narrow, "hotel", [hit], evidence=FOUND, alpha="")
    assert "1. Travel Handbook, p. A-1 (7th page) · Hotels" in shown(narrow)


def test_the_querys_words_are_marked_in_the_snippet_on_a_terminal():
    terminal = Console(
        file=io.StringIO(), width=80, theme=drawing.THEME, force_terminal=True, highlight=False
    )
    draw(terminal)
    assert "\x1b[1;4mhotel\x1b[0m" in shown(terminal)


def test_a_passage_is_shown_whole_where_that_is_asked_for(narrow):
    assert " ".join(" ".join(draw(narrow, full=True)).split()).endswith(TEXT.strip())


def test_control_characters_of_a_passage_move_no_mark(narrow):
    evil = replace(HIT.chunk, text="a\x1b]0;owned\x07 hotel\x9b31m")
    drawing.draw_hits(
        narrow, "hotel", [replace(HIT, chunk=evil)], evidence=Evidence("none", 0.0), alpha=""
    )
    assert not set(shown(narrow)) & set("\x1b\x07\x9b")
    assert "hotel" in shown(narrow).splitlines()[-1]
