"""Goals: what a person wants, told by the words that they use."""

import re

from finetune.situation import Behaviour, Goal, Uplift

# The first line of which a word stands in the goal decides: what can be checked before what is
# liked, what is done before what is known. A word that ends in - stands for all that begin so.
_BEHAVIOURS: tuple[tuple[Behaviour, str], ...] = (
    ("reward", "math- arithmetic proof- puzzle- test- compil- verif- checkable reward- reasoning"),
    ("preference", "prefer- polite- helpful- harmless- safe- friendl- tone feedback thumb- liked"),
    ("preference", "rating- rated rank- complain- refus-"),
    ("tools", "tool- agent- function- api apis call- route- workflow-"),
    (
        "task",
        "classif- label- extract- json yaml sql format- summar- translat- tag- triage",
    ),
    ("task", "rewrit- convert- template- style persona draft- shorten-"),
    ("language", "jargon terminolog- vocabular- dialect- language- domain- clinical legal medical"),
    ("language", "speak- fluen-"),
    ("facts", "answer- fact- know- find- look- document- handbook- manual- policy policies cite-"),
    ("facts", "citation- source- question- current pdf pdfs faq faqs"),
)

_BEST = "best perfect- expert- much far"
_SOME = "little bit slight- some somewhat quick- cheap- prototype-"
_FORGET = "only nothing forget"


def goal_of(words: str) -> Goal:
    """Read a goal from words such as "answer from our handbooks, a little better"."""
    said = words.casefold()
    named: list[Behaviour] = [each for each, stems in _BEHAVIOURS if _any(stems, said)]
    uplift: Uplift = "best" if _any(_BEST, said) else "some" if _any(_SOME, said) else "clear"
    return Goal(named[0] if named else "unclear", uplift, _any(_FORGET, said), words.strip())


def _any(stems: str, said: str) -> bool:
    parts = [stem.removesuffix("-") + r"\w*" * stem.endswith("-") for stem in stems.split()]
    return bool(re.search(rf"\b({'|'.join(parts)})\b", said))
