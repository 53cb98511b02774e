"""Diversity: how much what a model writes repeats itself."""

from collections.abc import Sequence

from sacrebleu.metrics.bleu import BLEU


def distinct(texts: Sequence[Sequence[str]], n: int) -> float:
    """Return the share of n-grams that are different ones (Li et al. 2016, "distinct-n").

    The texts come as words; 0 where none is as long as `n`.
    """
    grams = [tuple(words[at : at + n]) for words in texts for at in range(len(words) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 0.0


def self_bleu(texts: Sequence[str]) -> float:
    """Return the mean BLEU-4 of each text against all others, 0 to 1 (Zhu et al. 2018, "Texygen").

    The higher, the more alike the texts are; 0 for fewer than two.
    """
    bleu = BLEU(effective_order=True)
    others = [
        bleu.sentence_score(text, [*texts[:at], *texts[at + 1 :]]).score / 100
        for at, text in enumerate(texts)
        if len(texts) > 1
    ]
    return sum(others) / len(others) if others else 0.0
