"""Issuers: whose report a document is, by its first page: the company and its ticker."""

import re
from collections.abc import Sequence

_REGISTRANT = re.compile(r"\(?\s*exact name of (?:the )?(?:registrant|company)", re.IGNORECASE)
_LAST_CAPITALS = re.compile(r"(?:(?:[A-Z0-9][\w&.,'’/-]*|of|and|the|&)\s+){1,8}$")
_FILE_NUMBER = re.compile(r"^(?:.*?\b\d{1,3}-\d{3,7}\b|.*?number:?)\s*", re.IGNORECASE)
_TICKER = re.compile(
    r"\b(?:NYSE|NASDAQ|Nasdaq)(?: ?GS)?\s*[:–-]\s*([A-Z]{1,5})\b"
    r"|\b([A-Z]{2,5})\s+(?:The )?(?:New York Stock Exchange|NYSE|(?:The )?(?:Nasdaq|NASDAQ))\b"
)
_LEGAL_FORMS = frozenset(
    "inc incorporated corp corporation co company companies ltd limited plc llc lp nv sa ag se the"
    " and of & group holdings".split()
)
_LONGEST = 80
_NOT_NAMES = frozenset(
    "US UK EU IT HR RD FY PE AI MA PL DA SGA PPE EPS COGS ROA ROE ROI ROIC USD EUR GAAP IFRS EBIT"
    " EBITDA DPO DSO DIO CEO CFO COO SEC MDA NOT AND THE ALL".split()
)


def company_of(opening: str) -> str:
    """Read the registrant's name above "(Exact name of registrant", or ""."""
    found = _REGISTRANT.search(opening)
    if not found:
        return ""
    before = opening[: found.start()].rstrip()
    line = _FILE_NUMBER.sub("", before.rpartition("\n")[2].strip()).strip(" .:")
    if len(line) > _LONGEST:
        tail = _LAST_CAPITALS.search(f"{line[-_LONGEST:]} ")
        line = tail.group().strip() if tail else ""
    return line if any(map(str.isalpha, line)) else ""


def ticker_of(opening: str) -> str:
    """Read the ticker that stands beside the name of a stock exchange, or ""."""
    found = _TICKER.search(opening)
    return next(filter(None, found.groups())) if found else ""


def is_legal_form(word: str) -> bool:
    """Tell whether a word of a company's name is common to companies: `Inc`, `Group`."""
    return word in _LEGAL_FORMS


def initials(words: Sequence[str]) -> str:
    """Give the capital letters by which people call a name of several words: `AMD`, `JJ`."""
    letters = "".join(word[0] for word in words if not is_legal_form(word.lower())).upper()
    return letters if 2 <= len(letters) <= 5 and letters.isalpha() else ""


def called(word: str) -> str:
    """Give a word of a question as initials or a ticker are kept (`J&J` as `JJ`), or ""."""
    letters = word.replace("’", "'").removesuffix("'s").replace("&", "")
    short = letters.isalpha() and letters.isupper() and 2 <= len(letters) <= 5
    return letters if short and letters not in _NOT_NAMES else ""
