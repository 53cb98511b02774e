"""Naming: what the names of files and folders tell of a document, and what they do not."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from ingest_fakes import WordEmbedder, hurry

from ingest.collection import Collection
from ingest.facts import gather
from ingest.folders import below
from ingest.naming import bare, names_nothing, naming, subject_of
from ingest.pipeline import ingest
from ingest.profiles import Profiles
from ingest.routing import Route, route
from ingest.stores.embedded import LanceStore


@pytest.mark.parametrize(
    ("folder", "subject"),
    [
        ("3M/2018", "3M"),
        ("2018/3M", "3M"),
        ("A-C/Apple/FY2022", "Apple"),
        ("SEC filings/Coca-Cola/10-K", "Coca-Cola"),
        ("Alder_Mills_Inc/Investor Relations/2020", "Alder Mills Inc"),
        ("Johnson & Johnson FY2022/Q3", "Johnson & Johnson"),
        ("General Mills", "General Mills"),
        ("", ""),
        ("reports/2020", ""),
        ("Annual Reports/March 2020", ""),
        ("docs/pdf/A", ""),
        ("0001-20-7/a1b2c3d4", ""),
    ],
)
def test_the_innermost_folder_that_names_something_is_the_subject(
    folder: str, subject: str
) -> None:
    assert subject_of(folder) == subject


@pytest.mark.parametrize("stem", ["10-K", "Q3", "2022", "Form 10-Q Q3 signed", "annual report"])
def test_a_file_named_for_its_period_or_type_leaves_open_what_it_is_about(stem: str) -> None:
    assert names_nothing(stem)
    assert not names_nothing(f"Acme {stem}")
    assert naming(bare(f"ACME_{stem}"))[0] == "acme"


@pytest.mark.parametrize(
    ("source", "folder", "years", "quarter", "kind"),
    [
        ("3M/2018/10-K.pdf", "3M/2018", (2018,), None, "10-K"),
        ("Apple/FY2022/Q3.pdf", "Apple/FY2022", (2022,), "Q3", None),
        ("Apple/FY22/2Q/results.pdf", "Apple/FY22/2Q", (2022,), "Q2", None),
        ("10-K/x.pdf", "10-K", (), None, "10-K"),
        ("2015-2019/2018/x.pdf", "2015-2019/2018", (2018,), None, None),
        ("2020/acme 2019.pdf", "2020", (2019,), None, None),
        ("reports/2020/x.pdf", "reports/2020", (2020,), None, None),
        ("travel/x.pdf", "travel", (), None, None),
    ],
)
def test_folders_tell_the_year_quarter_and_type_that_the_name_does_not(
    source: str, folder: str, years: tuple[int, ...], quarter: str | None, kind: str | None
) -> None:
    facts, found = gather({"folder": folder}, source=source, title="", opening="")
    assert (found, facts.get("quarter"), facts.get("type")) == (years, quarter, kind)


def test_a_folder_speaks_louder_than_title_and_end_of_the_period_and_gives_no_month() -> None:
    opening = "Form 10-K for the fiscal year ended February 2, 2019"
    title = "Acme 10-K filed in 2020"
    facts, years = gather({"folder": "2018"}, source="10-K.pdf", title=title, opening=opening)
    assert (facts["date"], years) == ("2019-02-02", (2018,))
    facts, _ = gather({"folder": "2018-10-K"}, source="x.pdf", title="", opening="")
    assert "date" not in facts


def test_only_what_lies_below_a_given_folder_counts(tmp_path: Path) -> None:
    file = tmp_path / "filings" / "3M" / "2018" / "10-K.pdf"
    assert below(file, [tmp_path / "filings"]) == "3M/2018"
    assert below(file, [tmp_path / "other", tmp_path / "filings" / "3M"]) == "2018"
    assert below(file, [file]) == below(file, [file.parent]) == ""
    assert below(Path("3M/10-K.pdf"), [Path()]) == "3M"


@pytest.fixture(scope="module")
def profiles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Profiles]:
    folder = tmp_path_factory.mktemp("filings")
    for company, year in product(("3M", "Apple", "best buy"), (2017, 2018, 2019)):
        for name in ("10-K", "Q2"):
            path = folder / "reports" / company / f"FY{year}" / f"{name}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"Purchases of property were {len(company) * year} million. {name}.")
    (folder / "travel").mkdir()
    (folder / "travel" / "norway.txt").write_text("Trains to Norway are booked in May.")
    store = LanceStore(folder / "library", collection="t")
    collection = Collection(store, WordEmbedder())  # type: ignore[arg-type]
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        list(ingest([folder], collection=collection))
    yield Profiles.of(store)
    collection.close()


def routed(question: str, profiles: Profiles) -> Route:
    return route(question, np.zeros(WordEmbedder.dimension), profiles)


@pytest.mark.parametrize(
    ("question", "report"),
    [
        ("What did 3M spend on property in 2018?", "3M/FY2018/10-K.txt"),
        ("Apple's purchases of property in FY19", "Apple/FY2019/10-K.txt"),
        ("Best Buy property, Q2 2017", "best buy/FY2017/Q2.txt"),
    ],
)
def test_a_report_is_found_by_the_folders_that_it_lies_in(
    profiles: Profiles, question: str, report: str
) -> None:
    found = routed(question, profiles)
    assert found.sure == "certain"
    best = next(source for source, degree in found.degrees.items() if degree == 1.0)
    assert best.endswith(report)


def test_the_facts_tell_the_folder_and_of_a_report_the_company(profiles: Profiles) -> None:
    facts = {
        each.facts["folder"]: profiles.facts_of(each.source)
        for each in profiles.all
        if "10-K" in each.source or "norway" in each.source
    }
    assert facts["reports/3M/FY2018"]["company"] == "3M"
    assert facts["reports/3M/FY2018"]["years"] == "2018"
    assert "company" not in facts["travel"]
