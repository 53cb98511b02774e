from hypothesis import given
from hypothesis import strategies as st

from ingest.documents import Chunk
from ingest.matching import match, snippet

TEXT = "Employees may book three hotel nights. Longer stays need the desk's consent."


def chunk(text: str = TEXT, heading: str = "Travel") -> Chunk:
    return Chunk("1", text, "d", "a.pdf", "Handbook", 1, 0, len(text), heading, "m")


def test_a_match_names_the_words_that_are_held_and_those_that_lack() -> None:
    found = match("Which hotels may employees book for travels to Tarn?", chunk())
    assert found.held == ("hotels", "employees", "book", "travels")
    assert found.missing == ("Tarn",)
    assert [TEXT[start:end] for start, end in found.spans] == ["Employees", "book", "hotel"]


def test_a_query_without_a_word_that_says_something_matches_nothing() -> None:
    found = match("what is the", chunk())
    assert (found.held, found.missing, found.spans) == ((), (), ())


def test_a_snippet_shows_the_stretch_that_holds_the_most_words() -> None:
    text = "hotel " + "lorem ipsum " * 50 + "the hotel limit is nine " + "dolor sit " * 50
    spans = match("hotel limit", chunk(text)).spans
    found = snippet(text, spans, width=80)
    assert found.text.startswith("… ")
    assert found.text.endswith(" …")
    assert [found.text[start:end] for start, end in found.spans] == ["hotel", "limit"]
    assert len(found.text) <= 84


def test_a_short_text_is_its_own_snippet_on_one_line() -> None:
    text = "Three\n  hotel\nnights"
    found = snippet(text, match("hotel", chunk(text)).spans, width=80)
    assert found.text == "Three hotel nights"
    assert [found.text[start:end] for start, end in found.spans] == ["hotel"]


@given(st.text(alphabet="ab hotel\n,.…", max_size=200), st.integers(1, 60))
def test_what_is_marked_in_a_snippet_is_a_word_wherever_it_is_cut(text: str, width: int) -> None:
    found = snippet(text, match("hotel a", chunk(text)).spans, width=width)
    assert len(found.text) <= width + 4
    for start, end in found.spans:
        assert found.text[start:end]
        assert not set(found.text[start:end]) & set(" ,.…")
