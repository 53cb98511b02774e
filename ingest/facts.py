"""Facts: what a document says of itself beside its text, with its dates, years and type made plain.

They come from the file's metadata, its name, its folders, its title and its first lines, in that
order of trust.
"""

import calendar
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import PurePath

from ingest.issuers import company_of, ticker_of
from ingest.periods import asked_quarters, asked_years

MOST_FACTS = 30
LONGEST_FACT = 300
OPENING = 600
"""The characters of a document's beginning that may tell its date and type."""

FOLDER = "folder"
"""The fact that names the folders of a file, below the one that was ingested."""

# Not those of `calendar`, which speak the language of the process.
_MONTHS = {
    name: number
    for number, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)
}
_MONTH = r"(?P<month>jan|feb|mar|apr|may|jun|jul|aug|sep|sept|oct|nov|dec)[a-z]*\.?"
_YEAR = r"(?P<year>(?:19|20)\d\d)"
_DATES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?<!\d)D?:?{_YEAR}(?P<sep>[-/.]?)(?P<m>0[1-9]|1[0-2])(?P=sep)(?P<d>[0-2]\d|3[01])(?!\d\d?\b)",
        rf"(?<!\d)(?P<d>\d{{1,2}})(?:st|nd|rd|th)?[ .]+{_MONTH},?[ .]+{_YEAR}(?!\d)",
        rf"\b{_MONTH} +(?P<d>\d{{1,2}})(?:st|nd|rd|th)?,? +{_YEAR}(?!\d)",
        rf"(?<![\d.])(?P<d>[0-2]?\d|3[01])\.(?P<m>0?[1-9]|1[0-2])\.{_YEAR}(?!\d)",
        rf"\b{_MONTH},? +{_YEAR}(?!\d)",
        rf"(?<!\d){_YEAR}-(?P<m>0[1-9]|1[0-2])(?!\d)",
    )
)
_YEARS = re.compile(
    r"(?<![\d.,-])(?:fy)?((?:19|20)\d\d(?:[-–/](?:\d\d){1,2}(?![-–/\d]))?)(?!\d|[.,]\d)",
    re.IGNORECASE,
)
_PERIOD = re.compile(
    r"(?:year|period|quarter|months|date|dated|as of)\W+(?:\w+\W+){0,4}?$", re.IGNORECASE
)
_DASH = "[- \u2010-\u2013]"
_TYPES = {
    "10-K": rf"10{_DASH}?k(?:405|sb)?|annual (?:report|filing)s?",
    "10-Q": rf"10{_DASH}?q|quarterly (?:report|filing)s?",
    "8-K": rf"8{_DASH}?k|current reports?",
    "20-F": rf"20{_DASH}?f",
    "proxy statement": r"def ?14a|proxy statements?",
    "earnings release": r"earnings(?: (?:press )?(?:release|report|call|presentation)s?)?",
    "minutes": r"minutes of",
    "agreement": r"agreements?|contracts?",
    "policy": r"polic(?:y|ies)",
    "handbook": r"handbooks?",
    "manual": r"manuals?",
    "guide": r"guides?|guidelines?",
    "memorandum": r"memo(?:randum|s)?",
    "invoice": r"invoices?",
    "price list": r"price lists?",
    "specification": r"specifications?|data ?sheets?",
    "presentation": r"presentations?|slides?",
    "report": r"reports?",
}
_TYPE = {
    name: re.compile(rf"(?<![^\W_])(?:{p})(?![^\W_])", re.IGNORECASE) for name, p in _TYPES.items()
}
_ANY_TYPE = re.compile(rf"(?<![^\W_])(?:{'|'.join(_TYPES.values())})(?![^\W_])", re.IGNORECASE)
_TOLD_BY_THE_OPENING = ("10-K", "10-Q", "8-K", "20-F", "proxy statement", "minutes", "memorandum")
_WRITTEN = ("date", "published", "created", "modified")


@dataclass(frozen=True)
class Span:
    """A stretch of days, both ends inclusive, in ISO form."""

    first: str
    last: str


def kept_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Keep a file's metadata under lower-cased keys, bounded in number and length."""
    kept = {
        key.strip().lower(): " ".join(str(value).split())[:LONGEST_FACT]
        for key, value in list(metadata.items())[:MOST_FACTS]
    }
    return {key: value for key, value in kept.items() if key and value}


def gather(
    metadata: Mapping[str, str], *, source: str, title: str, opening: str
) -> tuple[dict[str, str], tuple[int, ...]]:
    """Give a document's facts, with `date`, `type` and the like where known, and its years."""
    name, folders = stem_of(source), metadata.get(FOLDER, "").split("/")[::-1]
    facts = dict(metadata)
    written = {key: iso_date(metadata[key]) for key in _WRITTEN if key in metadata}
    told = map(without_types, (name, title, *folders))
    said = next(filter(None, map(iso_date, told)), "")
    period = _period(opening[:OPENING])
    day = written.get("date", "") or said or period
    years = next(filter(None, map(_named_years, (name, *folders))), set())
    years = years or _years(title) or _years(day[:4])
    stamped = "" if years else next(filter(None, written.values()), "")
    facts.pop("date", None)
    if found := day or stamped:
        facts["date"] = found
    read = {
        "type": _type(name, title, opening[:OPENING]) or _type_of_folders(folders),
        "quarter": next(
            iter(quarters for each in (name, *folders, title) for quarters in asked_quarters(each)),
            "",
        ),
        "company": company_of(opening),
        "ticker": ticker_of(opening),
    }
    for key, value in read.items():
        if value:
            facts.setdefault(key, value)
    return facts, tuple(sorted(years))


def stem_of(source: str) -> str:
    """Give a file's name as words, without its ending."""
    return re.sub(r"_+", " ", PurePath(source).stem)


def iso_date(text: str) -> str:
    """Read the first date in a text as `YYYY-MM-DD` or `YYYY-MM`; "" where there is none."""
    for pattern in _DATES:
        for match in pattern.finditer(text):
            if day := _iso(match.groupdict()):
                return day
    return ""


def span_of(text: str) -> Span | None:
    """Give the days that `2021`, `2021-05` or `2021-05-07` names, or None where it names none."""
    match = re.fullmatch(r"(\d{4})(?:-(\d\d?))?(?:-(\d\d?))?", text.strip())
    if not match:
        day = iso_date(text)
        return span_of(day) if day else None
    year, month, day_number = (int(each) if each else 0 for each in match.groups())
    try:
        first = date(year, month or 1, day_number or 1)
        last_month = month or 12
        last = date(year, last_month, day_number or calendar.monthrange(year, last_month)[1])
    except ValueError:
        return None
    return Span(first.isoformat(), last.isoformat())


def asked_types(question: str) -> dict[str, tuple[int, int]]:
    """Find the types of documents that a question names, and where each stands."""
    found: dict[str, tuple[int, int]] = {}
    taken: list[tuple[int, int]] = []
    for name, pattern in _TYPE.items():
        match = pattern.search(question)
        if match and not any(a < match.end() and match.start() < b for a, b in taken):
            found[name] = match.span()
            taken.append(match.span())
    return found


def without_types(text: str) -> str:
    """Cut out what names a type of document."""
    return _ANY_TYPE.sub(" ", text)


def is_type_word(word: str) -> bool:
    """Tell whether a word names a type of document, and no document."""
    return bool(_ANY_TYPE.fullmatch(word)) or word in {"annual", "quarterly", "form", "release"}


def _iso(parts: Mapping[str, str | None]) -> str:
    month = int(parts.get("m") or 0) or _MONTHS[str(parts["month"]).lower()[:3]]
    day = int(parts.get("d") or 0)
    try:
        date(int(parts["year"] or 0), month, day or 1)
    except ValueError:
        return ""
    return f"{parts['year']}-{month:02d}" + (f"-{day:02d}" if day else "")


def _period(opening: str) -> str:
    """Find the date that the first lines give as that of the document or of its period."""
    for pattern in _DATES:
        for match in pattern.finditer(opening):
            if _PERIOD.search(opening[: match.start()]) and (day := _iso(match.groupdict())):
                return day
    return ""


def _type(name: str, title: str, opening: str) -> str:
    told: Iterator[str] = (
        kind for text in (name, title) for kind, pattern in _TYPE.items() if pattern.search(text)
    )
    begun = (kind for kind in _TOLD_BY_THE_OPENING if _TYPE[kind].search(opening))
    return next(told, "") or next(begun, "")


def _type_of_folders(folders: Sequence[str]) -> str:
    """Give the type that folders are named for; any file may lie among `reports`."""
    kinds = (_type(each, "", "") for each in folders)
    return next((kind for kind in kinds if kind not in {"", "report"}), "")


def _named_years(name: str) -> set[int]:
    """Find the years in the name of a file or folder."""
    return _years(name) or set(asked_years(name))


def _years(text: str) -> set[int]:
    """Find the years that stand apart, and those of spans such as 2021-22."""
    told = _YEARS.findall(re.sub(r"q[1-4]", " ", text, flags=re.IGNORECASE))
    return {year for each in told for year in asked_years(each)}
