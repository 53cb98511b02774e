"""Answer kinds: what an answer to "how much does it cost" must hold, such as a number.

A reader takes "for 41 questions" for what people were paid. The wording of a question tells what
kind of answer it wants; a sentence without any word of that kind does not give it. The lists are
wide: of sentences that answer, hardly one in five hundred is without.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ingest.sentences import last_sentence
from ingest.words import CALENDAR, NUMBER_WORDS

_NUMBERS = (
    rf"\d|\b(?:{NUMBER_WORDS}|\w+teen|seventy|eighty|third|quarter|hundred|thousand|million|dozen"
    r"|pair|couple)"
)
_COUNTS = (
    rf"{_NUMBERS}|\b(?:both|single|double|triple|twice|once|not?|none|nobody|zero|several|few|many"
    r"|most|all|every|each|multiple|various|numerous|only|an?|another|first|second|\w+th|unlimited"
    r"|entire|whole|any|without|number)\b"
)
_SHARES = (
    rf"{_NUMBERS}|%|percent|per cent|\b(?:majority|minority|most|all|none|no|nobody|every\w*|each"
    r"|whole|entire|both|few|some|equal\w*|only|never|always|an?)\b"
)
_SPANS = (
    r"seconds?|minutes?|mins?|hours?|hrs?|days?|nights?|weeks?|fortnights?|months?|years?|yrs?"
    r"|decades?|centur\w+|millenni\w+|generations?|semesters?|terms?|seasons?|lifetimes?|period"
    r"|daily|weekly|monthly|quarterly|yearly|annual\w*|overnight"
)
_LASTING = (
    rf"\b(?:{CALENDAR}|{_SPANS}|forever|indefinite\w*|permanent\w*|temporar\w*|until|till|while"
    r"|when|since|long|longer|short\w*)\b"
    r"|\b(?:k?m|cm|mm|ft|pages?|words?|characters?|letters?|digits?|bytes|nucleotides?|feet|foot"
    r"|inch\w*|miles?|yards?|paces|\w*met(?:er|re)s?)\b"
)
_MOMENTS = (
    rf"{_NUMBERS}|\b(?:{CALENDAR}|{_SPANS}|today|tomorrow|yesterday|now|ago|soon|after|before"
    r"|until|till|when\w*|where|once|during|while|as|within|every|each|if|unless|since|upon|from|at"
    r"|on|by|spring|summer|autumn|winter|\w*morning|\w*evening|noon|midnight|easter|christmas|war"
    r"|reign|time|age|early|earlier|late\w*|recent\w*|always|never|era|no|unknown)\b"
)
_YEARS = (
    r"(?<![\d.,])\d{3,4}(?![\d.,]?\d)|\b(?:\d{1,4} (?:ad|bc|bce|ce)|\d{2,4}['’]?s|['’]?\d\d"
    r"|fy\s?\d\d|years?|decades?|centur\w+|seasons?|no|not|unknown)\b"
)
_RATES = (
    rf"{_SHARES}|\b(?:{_SPANS}|times?|once|twice|nightly|per|rarely|seldom|frequent\w*|regular\w*"
    r"|often|usual\w*|occasional\w*|when\w*|continu\w*|any|after|before|during|on)\b"
)
_MONEY = (
    r"[$€£¥₹]|\b(?:usd|eur|gbp|chf|dollars?|euros?|pounds?|cents?|pence|francs?|yen|rupees?|crowns?"
    r"|guilders?|marks?|coins?|shillings?|money|free|charg\w*|paid|pay\w*|unpaid|prices?\w*|priced"
    r"|costs?|fees?|fines?|salar\w+|wages?|rent\w*|compensat\w*|earn\w*|worth|tickets?|admission"
    r"|sold|due|rates?|tax\w*|lev(?:y|ies)|grant\w*)\b"
)
_WEIGHTS = (
    r"\b(?:k?g|kilo\w*|\w*gram\w*|pounds?|lbs?|ounces?|oz|tons?|tonn\w+|stones?|weigh\w*|heav\w+"
    r"|light\w*)\b|\dk?g\b"
)
_SPEEDS = (
    r"\b(?:speed|fast|slow|quick|pace|veloc|rate|knots?\b|m?ph\b|k?m/|per\b"
    r"|an? (?:hour|minute|second)\b)|\w/[hs]\b|hz\b"
)


def _pattern(words: str) -> re.Pattern[str]:
    return re.compile(words, re.IGNORECASE)


_ANYTHING = _pattern("")


@dataclass(frozen=True)
class _Kind:
    """A kind of answer: how it is asked for, and what its sentence and its text must hold."""

    asked: re.Pattern[str]
    sentence: re.Pattern[str]
    text: re.Pattern[str] = _ANYTHING


_KINDS = (
    _Kind(
        _pattern(
            r"\bhow much\b(?=.*\b(?:paid|pays?|costs?|price|fees?|salary|earns?|earned|worth"
            r"|spends?|spent|charged?|money|rent|fine)\b)"
            r"|\bwhat (?:does|did|do|would) [^?]*\bcost\b"
            r"|\bwhat (?:is|was|are|were) the (?:price|fee|salary|rent|fine)\b"
        ),
        _pattern(rf"{_COUNTS}|free|nothing|charge|cost"),
        _pattern(_MONEY),
    ),
    _Kind(
        _pattern(r"\b(?:what|which) (?:share|percentage|per ?cent|proportion|fraction)\b"),
        _pattern(_SHARES),
    ),
    _Kind(
        _pattern(r"\bhow long\b(?! ago)"),
        _pattern(rf"{_COUNTS}|{_LASTING}"),
        _pattern(_LASTING),
    ),
    _Kind(_pattern(r"\bhow (?:often|frequently)\b"), _pattern(_RATES)),
    _Kind(
        # Not "when it rains, what ...".
        _pattern(
            r"^(?:and |but |so )?(?:since |until |till |by |from )?when\b"
            r"(?!.*,.*\bw(?:hat|ho|hich)\b)"
            r"|\b(?:what|which) (?:month|day|date|century|decade)\b|\bwhat time\b"
            r"|\bwhat (?:is|was) the (?:date|deadline)\b"
        ),
        _pattern(_MOMENTS),
    ),
    _Kind(_pattern(r"\b(?:what|which) year\b"), _pattern(_YEARS)),
    _Kind(_pattern(r"\bhow many\b"), _pattern(_COUNTS)),
    _Kind(
        _pattern(r"\bhow (?:far|tall|high|deep|wide|old|thick)\b"),
        _pattern(rf"{_COUNTS}|\b(?:height|size|level)\b"),
    ),
    _Kind(
        _pattern(r"\bhow heavy\b|\b(?:what|how much) (?:does|did|do) [^?]*\bweigh\b"),
        _pattern(_COUNTS),
        _pattern(_WEIGHTS),
    ),
    _Kind(
        _pattern(r"\b(?:what|top|maximum|average|cruising) speed\b"),
        _pattern(rf"{_COUNTS}|{_SPEEDS}"),
        _pattern(_SPEEDS),
    ),
)


def of_another_kind(
    question: str, texts: Sequence[str], sentences: Sequence[Sequence[str]]
) -> list[list[bool]]:
    """Tell which sentences of each text give no answer of the kind that a question asks for.

    The texts are with their headers. Where the question's last sentence asks for several kinds, one
    of them is enough; where it asks for none, every sentence will do.
    """
    last = last_sentence(question)
    asked = [kind for kind in _KINDS if kind.asked.search(last)]
    return [_of_others(asked, *each) for each in zip(texts, sentences, strict=True)]


def _of_others(asked: Sequence[_Kind], text: str, sentences: Sequence[str]) -> list[bool]:
    held = [kind.sentence for kind in asked if kind.text.search(text)]
    return [bool(asked) and not any(kind.search(each) for kind in held) for each in sentences]
