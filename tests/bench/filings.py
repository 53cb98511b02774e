"""Invented yearly reports: one template for many companies and years, and questions that name both.

The pages of one company's reports differ in hardly more than numbers, as those of real filings do;
each question asks in other words than its page has, and other pages touch the subject. Companies
share words of their names, close their years in different months and have tickers; questions call
them by name, by its beginning or by ticker, and the year as people do.
"""

import random
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FIRST = """
    Alder Bright Cobalt Dover Elm Falcon Granite Harbor Iron Juniper Keystone Lark Maple North
    Oak Pine Quartz River Summit Timber Union Vale West Amber Birch Cedar Delta Ember Frost
    Garnet Hazel Indigo Jasper Kestrel Linden Marble Nova Onyx Pearl Raven Silver Thorn Umber
    Violet Willow Zephyr
"""
_SECOND = "haven field stone bridge port crest well ford gate mark wood ton"
_COMMON = "American General United National First Pacific".split()
_CLOSES = ("December 31", "June 30", "September 30", "January 31")
_TRADES = {
    "Foods": ("packaged foods", "grocery chains", "wheat, sugar and cocoa"),
    "Energy": ("electric power", "municipal utilities", "natural gas and coal"),
    "Devices": ("surgical devices", "hospitals", "titanium and polymers"),
    "Retail": ("household goods", "households", "imported goods"),
    "Systems": ("industrial controls", "manufacturers", "semiconductors"),
    "Airlines": ("air travel", "leisure travellers", "jet fuel"),
    "Chemicals": ("coatings and resins", "car makers", "titanium dioxide"),
    "Media": ("streaming services", "subscribers", "licensed programmes"),
}
_BOILERPLATE = (
    "The accompanying notes are an integral part of these consolidated financial statements.",
    "Amounts are in millions, except per share data, unless otherwise stated.",
    "Certain prior period amounts have been reclassified to conform to the current presentation.",
    "Actual results could differ materially from those estimates and assumptions.",
    "Management believes that the following discussion helps readers to understand the results.",
    "See Item 1A for a discussion of the risks that could affect the company.",
    "The company assesses these estimates regularly and revises them as circumstances change.",
    "These matters are described further in the notes to the consolidated financial statements.",
    "No single matter is expected to have a material effect on the financial position.",
    "The board of directors reviews this policy at least once a year with its advisers.",
)


@dataclass(frozen=True)
class Subject:
    """A page of the template: its heading, its lines, and two wordings of a question on it."""

    heading: str
    lines: str
    asked: tuple[str, str]


SUBJECTS = [
    Subject(each["heading"], each["lines"], tuple(each["asked"]))
    for each in tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))[
        "subjects"
    ]
]


@dataclass(frozen=True)
class Report:
    """One company's report of one year: file name, title, and pages as (heading, text)."""

    source: str
    title: str
    pages: tuple[tuple[str, str], ...]
    company: str
    ticker: str
    year: int


@dataclass(frozen=True)
class Question:
    """A question, and the file and page (from 1) that answer it."""

    text: str
    source: str
    page: int


def make_reports(companies: int, years: int, *, seed: int = 0) -> Iterator[Report]:
    """Write reports of so many companies for so many years, of 21 pages each."""
    dice = random.Random(seed)
    firsts, seconds = _FIRST.split(), _SECOND.split()
    own = [f"{a}{b} {t}" for a in firsts for b in seconds for t in _TRADES]
    common = [f"{a} {b} {t}" for a in _COMMON for b in firsts for t in _TRADES]
    names = dice.sample(own, companies - companies // 3) + dice.sample(common, companies // 3)
    for number, company in enumerate(names):
        style, close = dice.randrange(3), dice.choice(_CLOSES)
        ticker = "".join(chr(65 + number // 26**place % 26) for place in (1, 0)) + company[0]
        for year in range(2024 - years, 2024):
            chance = random.Random(f"{seed} {company} {year}")
            yield _report(company, ticker, year, style, close, chance)


def make_questions(reports: list[Report], number: int, *, seed: int = 0) -> list[Question]:
    """Ask about pages of a sample of reports, each question naming company and year in some way."""
    dice = random.Random(seed)
    asked = []
    begun = Counter(name.rpartition(" ")[0] for name in {report.company for report in reports})
    for _ in range(number):
        report, place = dice.choice(reports), dice.randrange(len(SUBJECTS))
        short = report.year % 100
        year = dice.choice(
            [f"FY{report.year}", f"{report.year}", f"fiscal year {report.year}", f"FY{short:02}"]
        )
        beginning = report.company.rpartition(" ")[0]
        known = beginning if begun[beginning] == 1 else report.company
        name = dice.choice([report.company, known, known, report.ticker])
        text = dice.choice(SUBJECTS[place].asked).format(c=name, fy=year)
        asked.append(Question(text, report.source, place + 2))
    return asked


def _report(
    company: str, ticker: str, year: int, style: int, close: str, dice: random.Random
) -> Report:
    short = company.replace(" ", "")
    source, title = (
        (f"{short.upper()}_{year}_10K.pdf", "UNITED STATES SECURITIES AND EXCHANGE COMMISSION"),
        (f"{company} annual report {year}.pdf", f"{company}, Inc. Annual Report"),
        (f"{ticker.lower()}-{year}1231.pdf", f"Form 10-K {company} {year}"),
    )[style]
    cover = (
        "UNITED STATES SECURITIES AND EXCHANGE COMMISSION\nFORM 10-K\nAnnual report for the fiscal "
        f"year ended {close}, {year}\n{company}, Inc.\n(Exact name of registrant)\n"
        f"Common Stock {ticker} New York Stock Exchange"
    )
    pages = [("", cover)] + [(each.heading, _page(each, company, year, dice)) for each in SUBJECTS]
    return Report(source, title, tuple(pages), company, ticker, year)


def _page(subject: Subject, company: str, year: int, dice: random.Random) -> str:
    goods, buyers, inputs = _TRADES[company.rsplit(maxsplit=1)[-1]]
    numbers = {name: dice.randrange(2, 99) for name in "nm"}
    numbers |= {name: dice.randrange(1_000, 90_000) for name in ("k", "k2", "j", "j2")}
    # Tables have a column for the year before.
    columns = f"{year} {year - 1}\n" if "\n" in subject.lines.strip() else ""
    said = columns + subject.lines.format(
        company=company, year=year, goods=goods, buyers=buyers, inputs=inputs, **numbers,
        e=dice.randrange(100, 999) / 100, e2=dice.randrange(100, 999) / 100,
    )  # fmt: skip
    other = dice.choice([each for each in SUBJECTS if each is not subject])
    touch = f"For {other.heading.split('. ')[-1].lower()}, see the pages on that subject."
    rest = dice.sample(_BOILERPLATE, 4)
    head = (
        f"{company} {year} Form 10-K\n{subject.heading}\n"
        if dice.random() < 0.5
        else f"{subject.heading}\n"
    )
    return f"{head}{rest[0]} {rest[1]}\n{said}\n{touch} {rest[2]} {rest[3]}"
