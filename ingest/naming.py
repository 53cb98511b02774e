"""Naming: the words by which a question may name a document, of its title, file and folders."""

import re

from ingest.facts import is_type_word, without_types
from ingest.issuers import initials, is_legal_form
from ingest.words import STOP

_PERIOD = re.compile(
    r"(?:q[1-4])?(?:fy)?\d{2,8}(?:[a-z]{0,2}\d?)?|q[1-4]|[1-4]q(?:\d\d){0,2}|h[12]|[12]h|fy|dated"
)
_DAYS = re.compile(
    r"(?<=[^\W\d_])(?=(?:19|20)\d\d)|[-.](?=\d)|(?<=\d)[-.]|\bdated?\b", re.IGNORECASE
)
# `AT&T` and `Coca-Cola` are one word each.
_NAME_WORD = re.compile(r"[^\W_]+(?:['’&-][^\W_]+)*")
# Letters under which folders are sorted (`A-C`), and what looks like an id.
_NO_SUBJECT = re.compile(r"[a-z](?:-[a-z])?|(?:\D*\d){3}.*", re.IGNORECASE)
# What folders and files are called whatever they are about.
_GENERIC = frozenset(
    """archive archived archives all attachment attachments audited backup companies company
    consolidated copies copy current data dataset doc docs document documents docx download
    downloads draft drafts edgar extra file files filing filings final finance financial financials
    fiscal folder full general half html import important inbox incoming index information input
    interim internal investor investors item items library main md misc miscellaneous month monthly
    new old original originals other others output page pages paper papers part pdf pdfs personal
    press private public quarter raw read recent record records reference relations result results
    review sample samples scan scanned scans sec section set shared sheet shareholder shareholders
    signed source sources statement statements stuff sub temp test text tmp txt unaudited upload
    uploads version versions web work year years ytd
    january february march april may june july august september october november december
    jan feb mar apr jun jul aug sep sept oct nov dec""".split()
)


def naming(text: str) -> tuple[str, ...]:
    """List the words of a name, without years, types of documents, `Inc` and bare numbers."""
    words = (plain(word) for word in _NAME_WORD.findall(text) if word.lower() not in STOP)
    return tuple(word for word in dict.fromkeys(words) if _names(word) and not is_legal_form(word))


def bare(stem: str) -> str:
    """Write a file's name without the days and the types of documents that are in it."""
    return _DAYS.sub(" ", without_types(stem))


def initials_of(text: str) -> str:
    """Give the initials of the words that name something, or ""."""
    return initials([word for word in re.findall(r"[^\W_]+", text) if _names(word.lower())])


def plain(word: str) -> str:
    """Write a word as names are compared: lower-cased letters and digits, without a genitive."""
    word = word.lower().replace("’", "'").removesuffix("'s")
    return "".join(filter(str.isalnum, word))


def names_nothing(stem: str) -> bool:
    """Tell whether a file's name leaves open what it is about: `10-K`, `Q3 2022 results`."""
    return set(naming(bare(stem))) <= _GENERIC


def subject_of(folder: str) -> str:
    """Give what the innermost of nested folders names (`3M` of `filings/3M/2018`), or ""."""
    for part in reversed(folder.split("/")):
        words = bare(part.replace("_", " ")).split()
        told = " ".join(word for word in words if not word.isalnum() or _names(word.lower()))
        if not names_nothing(told) and not any(map(_NO_SUBJECT.fullmatch, told.split())):
            return told
    return ""


def _names(word: str) -> bool:
    alone = is_type_word(word) or _PERIOD.fullmatch(word)
    return any(map(str.isalpha, word)) and not alone
