"""Wholes: requests that no single passage answers, since they ask for a document as a whole.

"Summarise the memo", "What is the handbook about?", "Who wrote the report?" and "Which documents
mention hotels?" are recognised by their words, in English, and only where a document or a passage
fits them; any other question goes its usual way.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

from agentlab.probing import Wording
from ingest.card import CardEntry
from ingest.collection import Collection
from ingest.documents import Chunk
from ingest.words import content_words

LONGEST = 120
"""Characters of a subject beyond which it is no name of anything."""
_NOUN = (
    r"(?:documents?|docs?|files?|papers?|pdfs?|memos?|reports?|handbooks?|manuals?|guides?"
    r"|articles?|books?|notes|faqs?|policy|policies|contracts?|procedures?)"
)
_POLITE = re.compile(
    r"^(?:(?:please|hi|hello|ok|now|then|and)[,!]?\s+|(?:can|could|would|will) you\s+(?:please\s+)?"
    r"|i(?:'d| would) like\s+|i want\s+)+",
    re.IGNORECASE,
)
_SUMMARY = (
    r"(?:summari[sz]e|sum up|outline|recap)\s+(.+)"
    r"|(?:(?:give|write|show|make)\s+(?:me\s+)?)?(?:an?\s+|the\s+)?(?:[a-z]+\s+)?"
    r"(?:summary|overview|outline|gist)\s+(?:of|about|on)\s+(.+)"
    r"|tl;?dr:?\s+(.+)"
    r"|what\s+(?:is|are)\s+(?:the\s+)?(?:main|key)\s+(?:points?|ideas?|message)\s+(?:of|in)\s+(.+)"
)
_ABOUT = r"what(?:\s+is|\s+are|'s)\s+(.+?)\s+(?:all\s+)?about"
_HOLDS = (
    r"what\s+(?:does|do)\s+(.+?)\s+(?:say|contain|cover|describe|deal with)"
    r"|what(?:\s+is|'s)\s+in\s+(.+)"
    r"|how\s+many\s+pages\s+(?:does|do|has|have|are\s+in)\s+(.+?)(?:\s+have)?"
)
_WRITTEN = (
    r"who\s+(?:wrote|published|issued|authored|edited)\s+(.+)"
    r"|(?:who|what)(?:\s+is|\s+are|'s)\s+the\s+(?:authors?|editors?|publishers?)\s+of\s+(.+)"
)
_DATED = (
    r"when\s+(?:was|were)\s+(.+?)\s+(?:last\s+)?"
    r"(?:written|published|issued|released|dated|updated|revised|changed|modified)"
    r"|what(?:\s+is|'s)\s+the\s+(?:date|version|edition)\s+of\s+(.+)"
    r"|how\s+(?:old|recent|current|up[\s-]to[\s-]date)\s+is\s+(.+)"
)
_DATE = re.compile(r"\b(?:1[5-9]|20)\d\d\b|\bversion\b", re.IGNORECASE)
_VERB = (
    r"(?:mentions?|mentioning|talks?\s+about|says?\s+(?:something|anything)\s+(?:about|on)"
    r"|discuss(?:es)?|covers?|deals?\s+with|refers?\s+to|contains?|(?:is|are)\s+about(?!\s+to\b))"
)
_MENTIONS = (
    rf"(?:which|what)\s+(?:of\s+(?:the|my|these)\s+)?{_NOUN}\s+{_VERB}\s+(.+)"
    rf"|(?:list|find|show|name)\s+(?:me\s+)?(?:all\s+)?(?:the\s+|my\s+)?{_NOUN}\s+"
    rf"(?:(?:that|which)\s+{_VERB}|mentioning|about|on)\s+(.+)"
    rf"|(?:does|do)\s+any\s+(?:of\s+(?:the|my|these)\s+)?{_NOUN}\s+{_VERB}\s+(.+)"
    rf"|in\s+(?:which|what)\s+{_NOUN}\s+(?:is|are)\s+(.+?)\s+"
    r"(?:mentioned|discussed|covered)"
    r"|where\s+(?:is|are)\s+(.+?)\s+mentioned"
)
_FORMS = {
    name: re.compile(rf"(?:{form})", re.IGNORECASE)
    for name, form in (
        ("summary", _SUMMARY),
        ("about", _ABOUT),
        ("holds", _HOLDS),
        ("mentions", _MENTIONS),
        ("written", _WRITTEN),
        ("dated", _DATED),
    )
}
_EVERY = re.compile(
    r"(?:(?:all|everything|these|those|the|my|your|our|of|in)\s+)*"
    r"(?:library|collection|documents|docs|files|papers|pdfs|them|everything|all|these|those)",
    re.IGNORECASE,
)
_GENERIC = content_words(
    "document doc file pdf docx md html txt paper text whole entire complete content contents main "
    "key point idea page library collection"
)
_NOUNS = content_words("memo report handbook manual guide article book note faq policy contract")
_ARTICLE = re.compile(r"^(?:the|our|my|an?)\s+", re.IGNORECASE)
_DEPTH = 60
"""How many passages are looked through for the words of a subject."""
_HAS_NOUN = re.compile(rf"\b{_NOUN}\b|\.(?:pdf|docx|md|html?|txt)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Whole:
    """What a request is for: a document, or how it begins, by its source; mentions; the list."""

    kind: Literal["outline", "opening", "mentions", "list"]
    subject: str = ""


def whole_of(asked: Wording, library: Collection) -> Whole | None:
    """Tell what a request for a whole is for; None for any other question."""
    found = _parsed(asked.question)
    card = library.card if found else None
    if found is None or card is None or not card.entries:
        return None
    form, subject = found
    if form == "mentions":
        # Several words that stand together nowhere may be said in others, which a search finds.
        nowhere = len(content_words(subject)) > 1 and not _is_held(subject, library)
        return None if nowhere else Whole("mentions", subject)
    if form != "holds" and _EVERY.fullmatch(subject):
        return Whole("list")
    fitting = _fitting(subject, card.entries)
    if form in ("written", "dated"):
        return _opening(asked, form, subject, library, fitting)
    if form == "summary":
        return _summary(asked, subject, library, fitting or card.entries, known=bool(fitting))
    sure = len(fitting) == 1 and _is_named(form, subject, fitting[0])
    return Whole("outline", fitting[0].source) if sure else None


def _summary(
    asked: Wording,
    subject: str,
    library: Collection,
    entries: Sequence[CardEntry],
    *,
    known: bool,
) -> Whole | None:
    """Outline the one document, or what holds the words; of several, list them to choose from.

    "It" and "the document" are the one that the question before found.
    """
    if not known and _telling(subject):
        return Whole("mentions", subject) if _is_held(subject, library) else None
    if len(entries) > 1 and not known and asked.earlier:
        hits = library.search(asked.earlier, limit=1)
        return Whole("outline", hits[0].chunk.source) if hits else Whole("list")
    return Whole("outline", entries[0].source) if len(entries) == 1 else Whole("list")


def _opening(
    asked: Wording, form: str, subject: str, library: Collection, fitting: Sequence[CardEntry]
) -> Whole | None:
    """Look at how the one document that is named begins, unless a passage surely answers.

    There stand its authors and its date, in lines that a reader of sentences makes little of.
    """
    if len(fitting) != 1 or not _HAS_NOUN.search(subject) or library.answers(asked.own):
        return None
    source = fitting[0].source
    if form == "dated" and not any(map(_shows_date, in_order(library, source)[:1])):
        return None
    return Whole("opening", source)


def _shows_date(chunk: Chunk) -> bool:
    return bool(_DATE.search(chunk.embedded))


def in_order(library: Collection, source: str) -> list[Chunk]:
    """List the passages of a document as they stand in it."""
    chunks = (chunk for chunk, _ in library.store.rows(source))
    return sorted(chunks, key=lambda each: (each.page, each.start))


def _is_held(words: str, library: Collection) -> bool:
    """Tell whether one of the passages that a search finds holds all words."""
    return any(holds(words, hit.chunk) for hit in library.search(words, limit=_DEPTH))


def holds(words: str, chunk: Chunk) -> bool:
    """Tell whether a passage, with its title and heading, holds all words that say something."""
    wanted = content_words(words)
    return bool(wanted) and wanted <= content_words(chunk.embedded)


def bare_request(question: str) -> str:
    """Give a request without its courtesies, spare blanks and closing marks."""
    text = _POLITE.sub("", " ".join(question.split()))
    return re.sub(r"[,\s]*(?:please)?[\s?.!]*$", "", text, flags=re.IGNORECASE)


def _parsed(question: str) -> tuple[str, str] | None:
    """Give the form of a request and its subject."""
    text = bare_request(question)
    for form, pattern in _FORMS.items():
        match = pattern.fullmatch(text)
        if match:
            subject = next(filter(None, match.groups())).strip(" \"'“”‘’«»")
            if not _EVERY.fullmatch(subject):
                subject = _ARTICLE.sub("", subject)
            return (form, subject) if 0 < len(subject) <= LONGEST else None
    return None


def _fitting(subject: str, entries: Sequence[CardEntry]) -> list[CardEntry]:
    """List the documents whose title or file name holds all telling words of the subject.

    One that holds fewer others than the rest stands alone.
    """
    names = [(entry, _names(entry)) for entry in entries]
    told = _telling(subject)
    for wanted in (told, told - _NOUNS):
        fitting = [(len(own - wanted), entry) for entry, own in names if wanted and wanted <= own]
        if fitting:
            fewest = min(others for others, _ in fitting)
            return [entry for others, entry in fitting if others == fewest]
    return []


def _is_named(form: str, subject: str, entry: CardEntry) -> bool:
    """Tell whether a subject is surely a document: it says so, or gives the whole title."""
    return form == "about" or bool(_HAS_NOUN.search(subject)) or _names(entry) == _telling(subject)


def _telling(subject: str) -> set[str]:
    return content_words(_spaced(subject)) - _GENERIC


def _names(entry: CardEntry) -> set[str]:
    stem = PurePath(entry.source).stem
    title = content_words(_spaced(entry.title))
    return (title | content_words(_spaced(stem))) - _GENERIC


def _spaced(name: str) -> str:
    return re.sub(r"[-_.]+", " ", name)
