"""Routing by what a question names: companies in short forms, years, quarters and types."""

import numpy as np
import pytest

from ingest.facts import gather
from ingest.profiles import Profile, Profiles
from ingest.routing import Route, route

COMPANIES = """
    3M ACTIVISIONBLIZZARD ADOBE AES AMAZON AMCOR AMD AMERICANEXPRESS AMERICANWATERWORKS BESTBUY
    BLOCK BOEING COCACOLA CORNING COSTCO CVSHEALTH FEDEX FOOTLOCKER GENERALMILLS GENERALELECTRIC
    INTEL JOHNSON&JOHNSON JOHNSONCONTROLS JPMORGAN KRAFTHEINZ LOCKHEEDMARTIN MGMRESORTS
    MICROSOFT NETFLIX NIKE ORACLE PAYPAL PEPSICO PFIZER TARGET ULTABEAUTY VERIZON WALMART AT&T
    PG&E UNITEDHEALTH UNITEDPARCELSERVICE CAPITALONE
""".split()
SOURCES = [
    *(f"{name}_{year}_10K.pdf" for name in COMPANIES for year in range(2015, 2024)),
    *(f"{name}_2023Q{quarter}_10Q.pdf" for name in COMPANIES for quarter in (1, 2, 3)),
    "AMCOR_2022_8K_dated-2022-07-01.pdf",
    "FOOTLOCKER_2022_8K_dated-2022-05-20.pdf",
    "JOHNSON_JOHNSON_2022Q4_EARNINGS.pdf",
    "ULTABEAUTY_2023Q4_EARNINGS.pdf",
    "PEPSICO_2023_8K_dated-2023-05-05.pdf",
]
COVER = """UNITED STATES
SECURITIES AND EXCHANGE COMMISSION
FORM 10-K
For the fiscal year ended December 31, 2020
Commission file number 1-10
ALDER MILLS & SONS, INC.
(Exact name of registrant as specified in its charter)
Common Stock, Par Value $.01 Per Share AMS New York Stock Exchange
"""
TITLE = "UNITED STATES SECURITIES AND EXCHANGE COMMISSION"


def profile(source: str, opening: str = "") -> Profile:
    facts, years = gather({}, source=source, title=TITLE, opening=opening)
    return Profile(source, source, TITLE, facts, years, (), bytes(8))


def routed(question: str, profiles: Profiles) -> Route:
    return route(question, np.zeros(8), profiles)


@pytest.fixture(scope="module")
def filings() -> Profiles:
    return Profiles([*map(profile, SOURCES), profile("0001-20-7.pdf", COVER)])


@pytest.mark.parametrize(
    ("question", "report"),
    [
        ("How much capex (USD millions) did 3M have in FY2018?", "3M_2018_10K"),
        (
            "By its quick ratio for FY22, could AMD pay its bills?",
            "AMD_2022_10K",
        ),
        ("Why did the operating margin of 3M move in FY2022?", "3M_2022_10K"),
        ("What is Amcor's net sales in the second quarter of FY2023?", "AMCOR_2023Q2_10Q"),
        ("What did AMCOR report in Q2 2023?", "AMCOR_2023Q2_10Q"),
        ("As of Q2'23, what is Pfizer's debt?", "PFIZER_2023Q2_10Q"),
        ("How many shops did Best Buy have at the end of 2Q23?", "BESTBUY_2023Q2_10Q"),
        ("What was American Express's effective tax rate in FY2021?", "AMERICANEXPRESS_2021_10K"),
        (
            "In how many states was American Water Works active in 2020?",
            "AMERICANWATERWORKS_2020_10K",
        ),
        ("How fast did General Mills grow, FY2019 - FY2020?", "GENERALMILLS_2020_10K"),
        ("What is Johnson & Johnson's inventory in FY2022?", "JOHNSON&JOHNSON_2022_10K"),
        ("What was J&J's R&D spend in FY22?", "JOHNSON&JOHNSON_2022_10K"),
        ("Johnson Controls 2021 backlog", "JOHNSONCONTROLS_2021_10K"),
        ("How did JPM's net interest income change in 2022?", "JPMORGAN_2022_10K"),
        ("MGM Resorts: 2018 capex by the cash flow statement?", "MGMRESORTS_2018_10K"),
        ("MGM FY20 EBITDA?", "MGMRESORTS_2020_10K"),
        (
            "Activision Blizzard: mean capex, FY2017 to FY2019?",
            "ACTIVISIONBLIZZARD_2019_10K",
        ),
        ("What was Coca Cola's dividend payout ratio in FY2022?", "COCACOLA_2022_10K"),
        ("What was Coca-Cola's COGS % margin in 2021?", "COCACOLA_2021_10K"),
        (
            "By how much did the credit line of Pepsico grow, says its 2023 8-K?",
            "PEPSICO_2023_8K_dated-2023-05-05",
        ),
        (
            "Whom does the 2022 8-K of Foot Locker put forward?",
            "FOOTLOCKER_2022_8K_dated-2022-05-20",
        ),
        (
            "How many shares did Ulta Beauty buy back, by the Q4 FY2023 earnings release?",
            "ULTABEAUTY_2023Q4_EARNINGS",
        ),
        ("what did best buy spend in fy 2018 on capital expenditures", "BESTBUY_2018_10K"),
        ("Did AT&T's net debt fall in fiscal '21?", "AT&T_2021_10K"),
        ("PG&E wildfire liabilities 2019", "PG&E_2019_10K"),
        ("What is CVS Health's 2018 gross margin?", "CVSHEALTH_2018_10K"),
        ("What target did 3M set for 2022 capital spending?", "3M_2022_10K"),
        (
            "Block (once called Square): cost of sales in fiscal year 2016?",
            "BLOCK_2016_10K",
        ),
        (
            "Per its 10K for 2021, did the cash of Verizon grow?",
            "VERIZON_2021_10K",
        ),
        ("What are UPS's 2020 revenues? (United Parcel Service)", "UNITEDPARCELSERVICE_2020_10K"),
        ("Nike fiscal year 2021-22 revenue", "NIKE_2022_10K"),
        ("Has 3M paid its dividends steadily?", "3M_2023_10K"),
        ("Capital expenditures of Lockheed Martin in FY2020?", "LOCKHEEDMARTIN_2020_10K"),
        ("What is Microsoft's net income for the year ended June 30, 2016?", "MICROSOFT_2016_10K"),
        ("Inventory turnover of WalMart for FY2017?", "WALMART_2017_10K"),
        ("What were the 2020 sales of Alder Mills?", "0001-20-7"),
        ("AMS dividends in 2020", "0001-20-7"),
    ],
)
def test_a_question_leads_to_the_report_however_it_names_the_company(
    filings: Profiles, question: str, report: str
) -> None:
    degrees = routed(question, filings).degrees
    assert [each for each, degree in degrees.items() if degree == 1.0] == [f"{report}.pdf"]


def test_a_ticker_that_is_a_word_too_must_stand_in_capitals(filings: Profiles) -> None:
    costs = Profiles([*filings.all, profile("x.pdf", COVER.replace("AMS", "COST"))])
    assert "x.pdf" in routed("COST 2020", costs).degrees
    assert "x.pdf" not in routed("cost of sales of 3M in 2020", costs).degrees


def test_of_a_series_the_newest_report_comes_first_where_no_year_is_asked(
    filings: Profiles,
) -> None:
    found = routed("Does Boeing depend on few suppliers?", filings)
    assert found.sure == "series"
    assert next(iter(found.degrees)) == "BOEING_2023_10K.pdf"


def test_the_first_page_tells_company_and_ticker() -> None:
    facts, years = gather({}, source="0001-20-7.pdf", title=TITLE, opening=COVER)
    assert (facts["company"], facts["ticker"]) == ("ALDER MILLS & SONS, INC", "AMS")
    assert years == (2020,)
    line = (
        "Commission file number 001-5 " + "x " * 60 + "Alder Mills Inc. (Exact name of registrant"
    )
    assert gather({}, source="a.pdf", title="", opening=line)[0]["company"] == "Alder Mills Inc"
