"""Content words: what two texts can share."""

import re

from ingest.raised import RAISED

STOP = frozenset(
    """a about above after again all also am an and any are as at be because been before being
    below between both but by can could did do does doing down during each few for from further
    get give had has have having he her here hers him his how i if in into is it its just kind
    let long many may me might more most much must my no nor not now of off on once only or other
    our out over own same say says shall she should so some such tell than that the their them
    then there these they this those through to too under until up us very was we were what when
    where which while who whom whose why will with would you your please""".split()
)
CALENDAR = (
    r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day|january|february|march|april|may|june|july|august"
    r"|september|october|november|december)s?"
)
"""The names of days and months, as they stand in a regular expression."""
NUMBER_WORDS = (
    r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty"
    r"|sixty|ninety|half)"
)
"""The words for numbers that answers are likeliest to hold."""
_POWER = re.compile(r"(?:(?<=^m)|(?<=^[kcdm]m)|(?<=^ft))[23]$")
_WORD = re.compile(rf"[^\W_{RAISED}]+(?:['’-][^\W_{RAISED}]+)*")


def content_words(text: str) -> set[str]:
    """Collect the words that carry meaning, lower-cased, with plural and verb endings cut."""
    return {word for _, _, word in word_spans(text)}


def word_spans(text: str) -> list[tuple[int, int, str]]:
    """List where the words that carry meaning stand, start and end, each with its stem."""
    found = ((*match.span(), match.group().lower()) for match in _WORD.finditer(text))
    return [(start, end, stem(word)) for start, end, word in found if word not in STOP]


def stem(word: str) -> str:
    """Cut the commonest English endings: enough for matching, no more.

    A unit's power is cut, too, as it is where its digit is raised: "km2" is "km²".
    """
    word = _POWER.sub("", word.replace("’", "'").removesuffix("'s"))
    for ending, least in (("ies", 5), ("ing", 6), ("ed", 5), ("s", 4)):
        if word.endswith(ending) and len(word) >= least and not word.endswith("ss"):
            word = word[: -len(ending)] + ("y" if ending == "ies" else "")
            break
    return word.removesuffix("e") if len(word) > 3 else word
