import pytest

pytest.importorskip("sacrebleu")

from finetune.diversity import distinct, self_bleu


def test_distinct_is_the_share_of_different_pairs() -> None:
    assert distinct([["a", "b", "a", "b"]], 2) == pytest.approx(2 / 3)  # ab ba ab
    assert distinct([["a", "b"], ["a", "b"]], 2) == 0.5
    assert distinct([["a"]], 2) == 0


def test_self_bleu_is_one_for_copies_and_low_for_texts_that_share_nothing() -> None:
    text = "the cat sat on the mat today"
    assert self_bleu([text, text]) == pytest.approx(1)
    assert self_bleu([text, "seven other words that share very little"]) < 0.1
    assert self_bleu([text]) == 0
