"""What a stream of tokens may show, and when."""

import random

from serve.text import StopText, TextPieces


def decode(tokens: list[int]) -> str:
    """Stand in for a tokenizer whose every token is one byte."""
    return bytes(tokens).decode("utf-8", errors="replace")


def streamed(text: str) -> list[str]:
    pieces = TextPieces(decode)
    return [*(pieces.add(byte) for byte in text.encode()), pieces.flush()]


def test_half_a_character_is_never_shown() -> None:
    pieces = streamed("é🌊 naïve 日本語")

    assert "".join(pieces) == "é🌊 naïve 日本語"
    assert not any("\N{REPLACEMENT CHARACTER}" in piece for piece in pieces)


def test_text_comes_as_soon_as_it_is_whole() -> None:
    assert streamed("ab") == ["a", "b", ""]


def test_an_answer_cut_inside_a_character_ends_before_it() -> None:
    pieces = TextPieces(decode)
    shown = [pieces.add(byte) for byte in "a🌊".encode()[:-1]]

    assert "".join([*shown, pieces.flush()]) == "a"


def passed(pieces: list[str], *stops: str) -> tuple[str, bool]:
    stop = StopText(stops)
    text = "".join(stop.pass_on(piece) for piece in pieces)
    return text + stop.flush(), stop.seen


def test_without_stop_texts_everything_passes() -> None:
    assert passed(["a", "b"]) == ("ab", False)


def test_the_stop_text_and_what_follows_are_not_shown() -> None:
    assert passed(["one", " END", " two"], "END") == ("one ", True)


def test_a_stop_text_in_several_pieces_is_recognised() -> None:
    assert passed(["one <", "st", "op", "> two"], "<stop>") == ("one ", True)


def test_what_only_begins_like_a_stop_text_is_shown() -> None:
    assert passed(["a <st", "art"], "<stop>") == ("a <start", False)
    assert passed(["a <st"], "<stop>") == ("a <st", False)


def test_the_first_of_several_stop_texts_counts() -> None:
    assert passed(["x Y z X"], "X", "Y") == ("x ", True)


def test_any_cut_into_pieces_gives_the_same_text() -> None:
    text, rng = "the cat <sto <stop> sat", random.Random(0)
    for _ in range(200):
        cuts = sorted(rng.sample(range(1, len(text)), 5))
        pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        assert passed(pieces, "<stop>") == ("the cat <sto ", True)
