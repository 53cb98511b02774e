"""How often each way of searching finds the right passage or page among the first five.

    OMP_NUM_THREADS=2 python tests/bench/retrieval_quality.py MODEL_FOLDER QUESTIONS_FOLDER

QUESTIONS_FOLDER holds sets in SQuAD's form, and Google's QED. Of each, passages become a library
whose documents are the articles; COVID-QA's papers are long documents. The last two are invented
yearly reports (`filings.py`), searched as a whole and with the document known. Vectors are kept in
a temporary folder (--cache), so that a second run takes a minute. A cell is hit@1, hit@3, hit@5 and
mean reciprocal rank, by page.
"""

import argparse
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from alpha_tuning import SETS
from filings import make_questions, make_reports

from ingest.card import build_card
from ingest.collection import Collection
from ingest.documents import Chunk
from ingest.embedding import Embedder
from ingest.embedding.cache import CachedEmbedder, DiskVectors
from ingest.embedding.pytorch import TorchEmbedder
from ingest.profiles import refresh_profiles
from ingest.reranking import LateReranker
from ingest.stores.base import Where
from ingest.stores.embedded import LanceStore
from ingest.tuning import tune

DEPTH = 20
Place = tuple[str, int]


@dataclass(frozen=True)
class Asked:
    """A question, the place (source and page) that answers it, and where it is looked for."""

    text: str
    right: Place
    where: Where = Where()


def passages(name: str, folder: Path, limit: int, asked: int) -> tuple[list[Chunk], list[Asked]]:
    """Make a passage a page of the document that bears its title, and draw questions."""
    file, read = SETS[name]
    pages: dict[str, int] = {}
    chunks, every = [], []
    rows = list(read(folder / file))
    step = max(1, len(rows) // limit)
    for title, text, questions in rows[::step][:limit]:
        source = f"{title}.txt"
        pages[source] = pages.get(source, 0) + 1
        chunks.append(_chunk(source, title, pages[source], "", text))
        every += [Asked(question, (source, pages[source])) for question in questions]
    order = np.random.default_rng(0).permutation(len(every))[:asked]
    return chunks, [every[place] for place in order]


def papers(folder: Path, limit: int, asked: int) -> tuple[list[Chunk], list[Asked]]:
    """Make COVID-QA's papers long documents, of a page for each 1,100 characters."""
    chunks: list[Chunk] = []
    every: list[Asked] = []
    title, page = "", 0
    file, read = SETS["COVID-QA"]
    for _, text, questions in islice(read(folder / file), limit):
        first, _, rest = text.partition("\n")
        if "ncbi.nlm.nih.gov" in rest[:80] or not chunks:
            title, page = first[:100], 0
        page += 1
        chunks.append(_chunk(f"{title}.pdf", title, page, "", text))
        every += [Asked(question, (f"{title}.pdf", page)) for question in questions]
    order = np.random.default_rng(0).permutation(len(every))[:asked]
    return chunks, [every[place] for place in order]


def filings(
    companies: int, years: int, asked: int, *, known: bool
) -> tuple[list[Chunk], list[Asked]]:
    """Make a chunk of each page of invented reports."""
    reports = list(make_reports(companies, years))
    chunks = [
        _chunk(report.source, report.title, number, heading, text)
        for report in reports
        for number, (heading, text) in enumerate(report.pages, 1)
    ]
    questions = make_questions(reports, asked)
    return chunks, [
        Asked(each.text, (each.source, each.page), Where((each.source,)) if known else Where())
        for each in questions
    ]


def _chunk(source: str, title: str, page: int, heading: str, text: str) -> Chunk:
    return Chunk(
        f"{source}#{page:05d}", text, source, source, title, page, 0, len(text), heading, "bench"
    )


def of_pieces(chunks: Sequence[Chunk], embedder: Embedder) -> np.ndarray:
    """Make each chunk's vector the mean of its sentences', in which all numbers are alike.

    Pages of a template share their sentences, so that 50,000 of them are embedded in a minute.
    """
    cut = [
        [re.sub(r"\d[\d.,]*", "10", piece) for piece in re.split(r"(?<=[.?]) |\n", chunk.embedded)]
        for chunk in chunks
    ]
    places = {piece: place for place, piece in enumerate(dict.fromkeys(p for c in cut for p in c))}
    vectors = embedder.encode(list(places))
    means = np.stack([vectors[[places[piece] for piece in pieces]].mean(axis=0) for pieces in cut])
    scaled: np.ndarray = means / np.linalg.norm(means, axis=1, keepdims=True)
    return scaled


def measure(collection: Collection, asked: Sequence[Asked]) -> tuple[float, ...]:
    """Give hit@1, hit@3, hit@5, mean reciprocal rank, and the median milliseconds of a search."""
    places, seconds = [], []
    for each in asked:
        started = time.perf_counter()
        hits = collection.search(each.text, limit=DEPTH, where=each.where)
        seconds.append(time.perf_counter() - started)
        found = list(dict.fromkeys((hit.chunk.source, hit.chunk.page) for hit in hits))
        places.append(found.index(each.right) + 1 if each.right in found else 0)
    ranks = np.array(places)
    hit = [float(((ranks > 0) & (ranks <= k)).mean()) for k in (1, 3, 5)]
    reciprocal = float(np.where(ranks > 0, 1 / np.maximum(ranks, 1), 0.0).mean())
    return (*hit, reciprocal, 1000 * float(np.median(seconds)))


class RankFusion(Collection):
    """Reciprocal rank fusion of both arms (Cormack et al. 2009), with their constant of 60."""

    def search(self, query: str, *, limit: int = 5, where: Where = Where(), **_: object):  # type: ignore[no-untyped-def, override]
        """Find passages by the sum of 1 / (60 + rank)."""
        vector = self.embedder.encode([query])[0]
        scores: dict[str, float] = {}
        hits = {}
        for alpha in (0.0, 1.0):
            arm = self.store.hybrid(query, vector, alpha=alpha, limit=50, where=where)
            for rank, hit in enumerate(arm, 1):
                scores[hit.chunk.id] = scores.get(hit.chunk.id, 0.0) + 1 / (60 + rank)
                hits[hit.chunk.id] = hit
        return [hits[key] for key in sorted(scores, key=lambda key: -scores[key])[:limit]]


def main() -> None:
    """Measure every set in every way, and print a row for each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("questions", type=Path)
    parser.add_argument("--asked", type=int, default=200)
    parser.add_argument("--companies", type=int, default=24)
    parser.add_argument("--years", type=int, default=5)
    parser.add_argument("--only", default="")
    parser.add_argument("--no-rerank", action="store_true")
    parser.add_argument("--alpha", type=float, help="instead of tuning it")
    parser.add_argument("--pieces", action="store_true", help="vectors of sentences, not of pages")
    default = Path(tempfile.gettempdir()) / "agentlab-retrieval-quality.sqlite"
    parser.add_argument("--cache", type=Path, default=default)
    given = parser.parse_args()
    model = TorchEmbedder(given.model, name="bench")
    embedder = CachedEmbedder(model, DiskVectors(given.cache, limit_bytes=2**31), space="bench")
    folder, asked = given.questions, given.asked
    sets: dict[str, Callable[[], tuple[list[Chunk], list[Asked]]]] = {
        "SQuAD, 240 passages": lambda: passages("SQuAD", folder, 240, 2 * asked),
        "SQuADShifts, 240 passages": lambda: passages("SQuADShifts wiki", folder, 240, 2 * asked),
        "QED, 240 passages": lambda: passages("QED (search engine)", folder, 240, 2 * asked),
        "SQuADShifts, 1,600": lambda: passages("SQuADShifts wiki", folder, 1600, asked),
        "QED, 1,355": lambda: passages("QED (search engine)", folder, 1355, asked),
        "COVID papers, 1,200": lambda: papers(folder, 1200, asked),
        "reports, shared": lambda: filings(given.companies, given.years, asked, known=False),
        "reports, document known": lambda: filings(given.companies, given.years, asked, known=True),
    }
    print("| library | words | meaning | RRF | fused, tuned | two steps | re-ranked | ms |")
    print("|---|---|---|---|---|---|---|---|")
    for name, make in sets.items():
        if given.only not in name:
            continue
        chunks, questions = make()
        with tempfile.TemporaryDirectory() as place:
            store = LanceStore(Path(place), collection="bench")
            vectors = (
                of_pieces(chunks, embedder)
                if given.pieces
                else embedder.encode([chunk.embedded for chunk in chunks])
            )
            store.write(chunks, vectors)
            store.finish()
            refresh_profiles(store, build_card(store), {})
            tuned = given.alpha
            if tuned is None:
                tuned = tune(store, embedder).alpha if len(chunks) >= 500 else 0.5
            embedder.encode([each.text for each in questions])
            ways = {
                "words": Collection(store, embedder, alpha=0.0, two_step="never"),
                "meaning": Collection(store, embedder, alpha=1.0, two_step="never"),
                "RRF": RankFusion(store, embedder),
                "fused": Collection(store, embedder, alpha=tuned, two_step="never"),
                "steps": Collection(store, embedder, alpha=tuned, two_step="always"),
            }
            if not given.no_rerank:
                ways["reranked"] = Collection(
                    store, embedder, alpha=tuned, two_step="always", reranker=LateReranker(embedder)
                )
            cells = {way: measure(each, questions) for way, each in ways.items()}
        timed = [f"{cells[way][4]:.0f}" for way in ("fused", "steps", "reranked") if way in cells]
        told = [" ".join(f"{value:.3f}" for value in cell[:4]) for cell in cells.values()]
        print(f"| {name} ({tuned}) | {' | '.join(told)} | {'/'.join(timed)} |", flush=True)


if __name__ == "__main__":
    main()
