"""Profiles, routing and the search in two steps: documents first, then passages within them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ingest_fakes import WordEmbedder

from ingest.card import build_card
from ingest.collection import Collection
from ingest.documents import Chunk
from ingest.errors import UnknownFilterError
from ingest.profiles import NOTE, Only, Profile, Profiles, make_profile, refresh_profiles
from ingest.routing import route
from ingest.stores.base import Where
from ingest.stores.embedded import LanceStore

EMBEDDER = WordEmbedder()
PAGES = (
    "Annual report for the fiscal year ended December 31, {year}. {name}, Inc.",
    "Purchases of property, plant and equipment were {n} million. Dividends were paid.",
    "The company repurchased shares for {n} million and expects more of them.",
)
REPORTS = [
    (f"{name.replace(' ', '').upper()}_{year}_10K.pdf", name, year)
    for name in ("Best Buy", "Acme", "Alderfield Foods")
    for year in (2017, 2018, 2019)
]


def report(source: str, name: str, year: int) -> list[Chunk]:
    texts = [page.format(year=year, name=name, n=len(source) + year % 7) for page in PAGES]
    return [
        Chunk(f"{source}{n}", text, source, source, "UNITED STATES", n, 0, len(text), "", "words")
        for n, text in enumerate(texts, 1)
    ]


def filled(folder: Path, metadata: dict[str, dict[str, str]] | None = None) -> LanceStore:
    store = LanceStore(folder, collection="reports")
    chunks = [chunk for each in REPORTS for chunk in report(*each)]
    store.write(chunks, EMBEDDER.encode([chunk.embedded for chunk in chunks]))
    store.finish()
    refresh_profiles(store, build_card(store), metadata or {})
    return store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> LanceStore:
    metadata = {
        source: {"author": name, "keywords": "sales, stores"} for source, name, _ in REPORTS
    }
    return filled(tmp_path_factory.mktemp("reports"), metadata)


@pytest.fixture(scope="module")
def profiles(store: LanceStore) -> Profiles:
    return Profiles.of(store)


def routed(question: str, profiles: Profiles) -> list[str]:
    found = route(question, EMBEDDER.encode([question])[0], profiles)
    return sorted(found.degrees, key=lambda source: -found.degrees[source])


def test_a_profile_survives_json_and_keeps_the_direction_of_its_chunks(store: LanceStore) -> None:
    rows = store.rows("ACME_2018_10K.pdf")
    profile = make_profile(rows, metadata={"author": "A"}, sections=["Shares"])
    assert Profile.from_dict(profile.source, profile.to_dict()) == profile
    mean = np.mean([vector for _, vector in rows], axis=0)
    kept = np.frombuffer(profile.vector, dtype=np.int8).astype(np.float32)
    cosine = kept @ mean / (np.linalg.norm(kept) * np.linalg.norm(mean))
    assert cosine > 0.999
    assert (profile.years, profile.facts["type"]) == ((2018,), "10-K")


@pytest.mark.parametrize(
    ("question", "first", "others"),
    [
        ("What did Acme spend on property in 2018?", "ACME_2018_10K.pdf", 2),
        ("What were Best Buy's FY19 share repurchases?", "BESTBUY_2019_10K.pdf", 2),
        ("Alderfield dividends, annual report of 2017", "ALDERFIELDFOODS_2017_10K.pdf", 2),
    ],
)
def test_a_question_that_names_company_and_year_leads_to_the_report(
    profiles: Profiles, question: str, first: str, others: int
) -> None:
    assert routed(question, profiles)[0] == first
    found = route(question, EMBEDDER.encode([question])[0], profiles)
    assert (found.sure, len(found.degrees)) == ("certain", 1 + others)
    assert found.degrees[first] == 1.0
    assert max(v for source, v in found.degrees.items() if source != first) < 0.9


def test_what_names_the_document_is_left_out_of_the_search_within_it(profiles: Profiles) -> None:
    question = "What were Best Buy's share repurchases in 2019?"
    assert route(question, EMBEDDER.encode([question])[0], profiles).rest == (
        "What were share repurchases in ?"
    )
    short = "Acme 2018?"
    assert route(short, EMBEDDER.encode([short])[0], profiles).rest == short


def test_a_name_that_all_documents_bear_and_a_year_alone_name_none(profiles: Profiles) -> None:
    for question in ("What do the UNITED STATES demand?", "What was paid in 2018?"):
        assert route(question, EMBEDDER.encode([question])[0], profiles).sure == "alike"
    empty = Profiles([])
    assert route("Acme", EMBEDDER.encode(["Acme"])[0], empty).degrees == {}


def test_two_steps_find_the_page_that_one_loses_among_its_like(store: LanceStore) -> None:
    question = "Purchases of property, plant and equipment of Best Buy in 2018"
    one = Collection(store, EMBEDDER, two_step="never")
    two = Collection(store, EMBEDDER, two_step="always")
    hit, *_ = two.search(question, limit=3)
    assert (hit.chunk.source, hit.chunk.page) == ("BESTBUY_2018_10K.pdf", 2)
    assert hit.why == ("its document: name bestbuy, 2018",)
    assert all(each.why == () for each in one.search(question, limit=3))
    assert 0 <= hit.score <= 1


def test_a_filter_of_sources_holds_in_two_steps(store: LanceStore) -> None:
    collection = Collection(store, EMBEDDER, two_step="always")
    where = Where(sources=("ACME_2017_10K.pdf",))
    for question in ("Dividends of Best Buy in 2018", "Dividends of Acme", "dividends"):
        hits = collection.search(question, limit=5, where=where)
        assert {hit.chunk.source for hit in hits} == {"ACME_2017_10K.pdf"}


def test_small_collections_are_searched_in_one_step_and_know_no_profiles(
    store: LanceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = Collection(store, EMBEDDER)
    assert collection.steps == 1
    assert "profiles" not in vars(collection)
    monkeypatch.setattr("ingest.collection.LARGE", 5)
    monkeypatch.setattr("ingest.collection.LEAST_DOCUMENTS", 5)
    assert Collection(store, EMBEDDER).steps == 2


@pytest.mark.parametrize(
    ("only", "years"),
    [
        (Only(since="2018"), {2018, 2019}),
        (Only(until="2018-06"), {2017, 2018}),
        (Only(date="2019"), {2019}),
        (Only(since="2018", until="2018"), {2018}),
        (Only(meta={"author": ("ACME",)}, since="2019"), {2019}),
        (Only(meta={"Keywords": ("stores",), "type": ("10-k", "8-k")}), {2017, 2018, 2019}),
        (Only(meta={"author": ("Nobody",)}), set()),
        (Only(since="2030"), set()),
    ],
)
def test_documents_are_filtered_by_date_and_metadata(
    store: LanceStore, only: Only, years: set[int]
) -> None:
    hits = Collection(store, EMBEDDER).search("dividends", limit=100, only=only)
    assert {int(hit.chunk.source.split("_")[1]) for hit in hits} == years
    assert {hit.chunk.source.split("_")[0] for hit in hits} <= (
        {"ACME"} if "author" in (only.meta or {}) else {"ACME", "BESTBUY", "ALDERFIELDFOODS"}
    )


def test_a_filter_that_means_nothing_says_what_there_is(store: LanceStore) -> None:
    collection = Collection(store, EMBEDDER)
    with pytest.raises(UnknownFilterError, match=r"'colour': known are author, .*type"):
        collection.search("dividends", only=Only(meta={"colour": ("red",)}))
    with pytest.raises(UnknownFilterError, match="'soon' is no date: write 2021"):
        collection.search("dividends", only=Only(since="soon"))


def test_only_new_and_changed_documents_are_read_for_their_profiles(tmp_path: Path) -> None:
    store = filled(tmp_path)
    read: list[str] = []
    rows = store.rows
    store.rows = lambda source: read.append(source) or rows(source)  # type: ignore[method-assign, func-returns-value]
    card = build_card(store)
    refresh_profiles(store, card, {})
    assert read == []
    first = card.entries[0]
    changed = replace(card, entries=(replace(first, document="other"), *card.entries[2:]))
    refresh_profiles(store, changed, {})
    assert read == [first.source]
    documents = (store.note(NOTE) or {})["documents"]
    assert len(documents) == len(REPORTS) - 1
    store.put_note(NOTE, {"documents": documents})
    read.clear()
    refresh_profiles(store, changed, {})
    assert len(read) == len(documents), "profiles made by an older version are made anew"
    refresh_profiles(store, changed, {card.entries[2].source: {"author": "New"}})
    assert Profiles.of(store).facts_of(card.entries[2].source)["author"] == "New"
