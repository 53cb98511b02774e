"""Privacy: what in a text identifies a person or opens an account, found and masked.

What has a check digit or a number plan is checked by it (libphonenumber, python-stdnum), so that
dates, prices and order numbers stay. Names, postal addresses and birthdays are not found: that
takes a trained model, and none comes with this package. Everything happens on this machine.
"""

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from finetune.errors import ConfigError, MissingPackageError

Secret = Literal["key", "email", "iban", "card", "ssn", "ip", "phone"]
SECRETS: tuple[Secret, ...] = ("key", "email", "iban", "card", "ssn", "ip", "phone")
"""In the order in which they are looked for; of two that overlap the first is taken."""

_EMAIL = re.compile(
    r"(?<![\w.+-])[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}"
    r"(?![\w-])"
)
_IBAN = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)")
_CARD = re.compile(r"(?<![\w.,-])[3-6]\d{3}(?:[ -]?\d{2,6}){2,4}(?![\w-]|[.,]\d)")
_SSN = re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])")
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])")
# Four numbers with points are a section or a version where a word says so.
_NUMBERED = re.compile(
    r"(?:§|\bv|version|release|section|chapter|clause|article|annex|appendix|part|table|figure"
    r"|abschnitt|kapitel|\w/)\s*$",
    re.IGNORECASE,
)
_KEY = re.compile(
    r"(?<!\w)(?:sk-[A-Za-z0-9_-]{20,}|(?:AKIA|ASIA)[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36,}"
    r"|github_pat_\w{22,}|glpat-[\w-]{20,}|hf_[A-Za-z0-9]{30,}|xox[abprs]-[A-Za-z0-9-]{10,}"
    r"|AIza[\w-]{35}|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,})(?![\w-])"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    re.DOTALL,
)
_CARD_DIGITS = range(13, 20)
_LEAST_GROUPS = 3  # of an IPv6 address: fewer are met in other writing


@dataclass(frozen=True)
class Finding:
    """What was found, and between which characters."""

    kind: Secret
    start: int
    end: int


class PrivacyFilter:
    """Finds and masks. `region` (such as "DE") is where numbers without a country code belong.

    Without a region only phone numbers with their country code are found.
    """

    def __init__(self, kinds: Collection[Secret] = SECRETS, *, region: str | None = None) -> None:
        _require()
        import phonenumbers

        self.region = region.upper() if region else None
        if self.region and self.region not in phonenumbers.SUPPORTED_REGIONS:
            raise ConfigError(
                f"{region!r} is no region of phone numbers. Give two letters such as US or DE."
            )
        finders: dict[Secret, Callable[[str], Iterator[tuple[int, int]]]] = {
            "key": lambda text: _spans(_KEY, text),
            "email": lambda text: _spans(_EMAIL, text),
            "iban": _ibans,
            "card": _cards,
            "ssn": _ssns,
            "ip": _addresses,
            "phone": self._phones,
        }
        self._finders = {kind: finders[kind] for kind in SECRETS if kind in kinds}

    def find(self, text: str) -> list[Finding]:
        """Find all, in the order of the text; they never overlap."""
        found: list[Finding] = []
        for kind, finder in self._finders.items():
            for start, end in finder(text):
                if all(end <= each.start or start >= each.end for each in found):
                    found.append(Finding(kind, start, end))
        return sorted(found, key=lambda each: each.start)

    def mask(self, text: str) -> tuple[str, Counter[str]]:
        """Put `[EMAIL]` and the like for what is found; tell how many there were of each."""
        found = self.find(text)
        for each in reversed(found):
            text = f"{text[: each.start]}[{each.kind.upper()}]{text[each.end :]}"
        return text, Counter(each.kind for each in found)

    def _phones(self, text: str) -> Iterator[tuple[int, int]]:
        import phonenumbers

        if not any(letter.isdigit() for letter in text):
            return
        valid = phonenumbers.Leniency.VALID
        for match in phonenumbers.PhoneNumberMatcher(text, self.region, leniency=valid):
            yield match.start, match.end


def _require() -> None:
    try:
        import phonenumbers
        import stdnum  # noqa: F401
    except ImportError as error:
        raise MissingPackageError(
            f"Personal data is found with packages that are not installed ({error.name}): "
            "pip install 'agentlab-rag[data]', or leave it with --pii keep."
        ) from error
    del phonenumbers


def _spans(pattern: re.Pattern[str], text: str) -> Iterator[tuple[int, int]]:
    return (match.span() for match in pattern.finditer(text))


def _ibans(text: str) -> Iterator[tuple[int, int]]:
    from stdnum import iban

    for start, most in _spans(_IBAN, text):
        end = most  # words in capitals behind it look like more of it
        while end > start and not iban.is_valid(text[start:end], check_country=False):
            end = max(start, text.rfind(" ", start, end))
        if end > start:
            yield start, end


def _cards(text: str) -> Iterator[tuple[int, int]]:
    from stdnum import luhn

    for start, end in _spans(_CARD, text):
        digits = re.sub(r"\D", "", text[start:end])
        if len(digits) in _CARD_DIGITS and len(set(digits)) > 1 and luhn.is_valid(digits):
            yield start, end


def _ssns(text: str) -> Iterator[tuple[int, int]]:
    from stdnum.us import ssn

    return (span for span in _spans(_SSN, text) if ssn.is_valid(text[slice(*span)]))


def _addresses(text: str) -> Iterator[tuple[int, int]]:
    for start, end in _spans(_IPV4, text):
        if _is_public(text[start:end]) and not _NUMBERED.search(text[max(0, start - 12) : start]):
            yield start, end
    for start, end in _spans(_IPV6, text):
        groups = list(filter(None, text[start:end].split(":")))
        if len(groups) >= _LEAST_GROUPS and _is_public(text[start:end]):
            yield start, end


def _is_public(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified)
