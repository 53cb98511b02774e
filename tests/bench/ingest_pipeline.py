"""The whole ingest against the plain pipeline, and its parts alone: same files, cores and run.

    OMP_NUM_THREADS=2 python tests/bench/ingest_pipeline.py MODEL_FOLDER [PDF_FOLDER]
    OMP_NUM_THREADS=2 python tests/bench/ingest_pipeline.py MODEL_FOLDER --quick

The plain pipeline is what one writes down first: pypdf's text of each page, langchain's recursive
splitter with the length in tokens, sentence-transformers in fp32, and one insert a chunk into the
same store. It needs `pip install langchain-text-splitters sentence-transformers`. Each part is then
given the same input: the parser the files, the splitter the text that our parser read, the embedder
the chunks of our splitter (more in embedding_speed.py). Our parser works in a process of its own.
At last the same folder is ingested again, of which nothing has changed. On a busy machine go by the
seconds of the CPU: those of the clock hold the time of other work, too.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pypdf
import torch
from embedding_speed import gemm_rate, matrix_weights
from langchain_text_splitters import RecursiveCharacterTextSplitter
from sentence_transformers import SentenceTransformer

from ingest.chunking import chunk_document
from ingest.collection import Collection
from ingest.config import IngestConfig
from ingest.documents import Chunk, Document
from ingest.embedding import Embedder
from ingest.embedding.export import export
from ingest.embedding.onnx import OnnxEmbedder
from ingest.embedding.pytorch import TorchEmbedder
from ingest.events import Finished, Finishing, Report
from ingest.formats import read_document
from ingest.parsing import read_documents
from ingest.pipeline import ingest
from ingest.stores.embedded import LanceStore

TOKENS, OVERLAP = 200, 20


class Plain:
    """The plain pipeline, stage by stage."""

    def __init__(self, model: Path) -> None:
        self.model = SentenceTransformer(str(model), device="cpu")
        tokenizer = self.model.tokenizer
        self.splitter = RecursiveCharacterTextSplitter(
            chunk_size=TOKENS,
            chunk_overlap=OVERLAP,
            add_start_index=True,
            length_function=lambda text: len(tokenizer.tokenize(text)),
        )

    def parse(self, paths: Sequence[Path]) -> list[list[str]]:
        """Read the text of each page."""
        return [[page.extract_text() for page in pypdf.PdfReader(path).pages] for path in paths]

    def split(self, documents: Sequence[Sequence[str]]) -> list[tuple[str, int, int]]:
        """Cut pages into (text, page, start)."""
        return [
            (piece.page_content, number, piece.metadata["start_index"])
            for pages in documents
            for number, page in enumerate(pages, 1)
            for piece in self.splitter.create_documents([page])
        ]

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Embed in fp32."""
        vectors: np.ndarray = self.model.encode(
            list(texts), batch_size=32, normalize_embeddings=True, show_progress_bar=False
        )
        return vectors

    def run(self, paths: Sequence[Path], folder: Path) -> int:
        """Do all, with one insert a chunk; return how many there are."""
        store = LanceStore(folder, collection="plain")
        pieces = self.split(self.parse(paths))
        vectors = self.embed([text for text, _, _ in pieces])
        for number, ((text, page, start), vector) in enumerate(zip(pieces, vectors, strict=True)):
            span = (page, start, start + len(text))
            chunk = Chunk(str(number), text, "document", "source", "", *span, "", "plain")
            store.write([chunk], vector[None])
        store.finish()
        return store.count()


class Ours:
    """This pipeline, stage by stage, with one of its embedders."""

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder

    def parse(self, paths: Sequence[Path]) -> list[Document]:
        """Read documents."""
        read = [outcome for _, outcome in read_documents(paths, IngestConfig(workers=1))]
        return [each for each in read if isinstance(each, Document)]

    def split(self, documents: Sequence[Document]) -> list[Chunk]:
        """Cut documents into chunks."""
        return [chunk for document in documents for chunk in self._chunks(document)]

    def parse_here(self, paths: Sequence[Path]) -> list[Document]:
        """Read documents in this process, which is not what an ingest does."""
        return [read_document(path, max_bytes=1 << 29, max_pages=5000) for path in paths]

    def run(self, paths: Sequence[Path], folder: Path) -> tuple[Report, float]:
        """Do all; also tell how many seconds index, card, tuning and calibration took."""
        collection = Collection(LanceStore(folder, collection="ours"), self.embedder)
        began = time.perf_counter()
        for event in ingest(paths, collection=collection):
            if isinstance(event, Finishing):
                began = time.perf_counter()
        assert isinstance(event, Finished)
        return event.report, time.perf_counter() - began

    def _chunks(self, document: Document) -> list[Chunk]:
        return chunk_document(
            document,
            token_spans=self.embedder.token_spans,
            chunk_tokens=TOKENS,
            embedder=self.embedder.name,
            pipeline="bench",
            window=self.embedder.max_tokens - 2,
        )


class Rounds:
    """Seconds that each way of each part took, and those of the CPU, round by round."""

    def __init__(self) -> None:
        self.seconds: dict[tuple[str, str], list[float]] = {}
        self.spent: dict[tuple[str, str], list[float]] = {}

    def time(self, part: str, way: str, work: Callable[[], Any]) -> Any:
        """Do a part's work in one way, and note how long it took."""
        started, spent = time.perf_counter(), _cpu_seconds()
        result = work()
        self.seconds.setdefault((part, way), []).append(time.perf_counter() - started)
        self.spent.setdefault((part, way), []).append(_cpu_seconds() - spent)
        return result

    def table(self, amounts: dict[str, tuple[float, str]]) -> None:
        """Print medians, with how much of a part's amount was done a second, and the ratios."""
        print(f"| {'part':16} | {'way':29} | {'a second':>18} | median | ratio | CPU | ratio |")
        print("|---|---|---|---|---|---|---|")
        plain: dict[str, tuple[float, float]] = {}
        for (part, way), seconds in self.seconds.items():
            took, spent = median(seconds), median(self.spent[part, way])
            amount, unit = amounts[part]
            before = plain.setdefault(part, (took, spent))
            rate = f"{amount / took:,.1f} {unit}"
            print(
                f"| {part:16} | {way:29} | {rate:>18} | {took:.2f} s | {before[0] / took:.2f} | "
                f"{spent:.2f} s | {before[1] / max(spent, 1e-9):.2f} |",
                flush=True,
            )


def _cpu_seconds() -> float:
    """Tell the seconds that this process and those it has ended spent on the CPU."""
    return sum(os.times()[:4])


def main() -> None:
    """Let the ways take turns, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("pdfs", type=Path, nargs="?", help="[the handbooks of the demo]")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one file, one round")
    arguments = parser.parse_args()
    threads = torch.get_num_threads()
    demo = Path(str(resources.files("agentlab").joinpath("demo", "handbooks")))
    paths = sorted((arguments.pdfs or demo).glob("*.pdf"))[: 1 if arguments.quick else None]
    rounds = 1 if arguments.quick else arguments.rounds
    with tempfile.TemporaryDirectory() as scratch:
        exported = Path(scratch, "int8")
        exported.mkdir()
        export(arguments.model, exported, threads=threads)
        plain = Plain(arguments.model)
        ways = {
            "ours, torch fp32": Ours(TorchEmbedder(arguments.model, name="torch")),
            "ours, onnx int8": Ours(OnnxEmbedder(exported, name="onnx", threads=threads)),
        }
        measure(plain, ways, paths, rounds, arguments.model, Path(scratch), threads)


def measure(
    plain: Plain,
    ways: dict[str, Ours],
    paths: Sequence[Path],
    count: int,
    model: Path,
    scratch: Path,
    threads: int,
) -> None:
    """Measure every part in every way, and print what came of it."""
    rounds, first = Rounds(), next(iter(ways.values()))
    documents = first.parse(paths)
    texts = [[page.text for page in each.pages] for each in documents]
    chunks = first.split(documents)
    embedded = [chunk.embedded for chunk in chunks]
    for way in (plain.embed, *(each.embedder.encode for each in ways.values())):
        way(embedded[:8])  # warm
    pieces: list[tuple[str, int, int]] = []
    report = None
    measuring: dict[str, float] = {}
    for number in range(count):
        rounds.time("parse", "pypdf", lambda: plain.parse(paths))
        rounds.time("parse", "ours, in this process", lambda: first.parse_here(paths))
        rounds.time("parse", "ours, in a process of its own", lambda: first.parse(paths))
        pieces = rounds.time("split", "langchain, in tokens", lambda: plain.split(texts))
        rounds.time("split", "ours", lambda: first.split(documents))
        rounds.time("embed", "sentence-transformers fp32", lambda: plain.embed(embedded))
        for name, ours in ways.items():
            rounds.time("embed", name, lambda ours=ours: ours.embedder.encode(embedded))
        folder = scratch / f"plain{number}"
        rounds.time("all", "plain", lambda folder=folder: plain.run(paths, folder))
        for name, ours in ways.items():
            folder = scratch / f"{name}{number}"
            run = lambda ours=ours, folder=folder: ours.run(paths, folder)  # noqa: E731
            _, measuring[name] = rounds.time("all", name, run)
            report, _ = rounds.time("again, unchanged", name, run)
    assert report is not None
    pages = sum(map(len, texts))
    print(
        f"{len(paths)} files, {pages} pages, {len(chunks)} chunks; {threads} threads, "
        f"{count} rounds"
    )
    lengths = {"parse": (pages, "pages"), "split": (pages, "pages"), "all": (pages, "pages")}
    rounds.table(
        lengths | {"embed": (len(chunks), "chunks"), "again, unchanged": (len(paths), "files")}
    )
    lost = sum(start < 0 for _, _, start in pieces)
    exact = sum(
        documents_text(documents, chunk)[chunk.start : chunk.end] == chunk.text for chunk in chunks
    )
    print(
        f"without an offset: {lost} of langchain's {len(pieces)} chunks; "
        f"exact: {exact} of our {len(chunks)}"
    )
    print(f"again, unchanged: {report.documents} files parsed, {report.embedded} chunks embedded")
    tokens = sum(first.embedder.count_tokens(text) for text in embedded)
    for name, ours in ways.items():
        spent = time.process_time()
        ours.embedder.encode(embedded)
        spent = time.process_time() - spent
        rate = 2 * tokens * matrix_weights(model) / spent / 1e9
        print(f"{name}: {measuring[name]:.1f} s of all are index, card, tuning and calibration")
        print(f"{name}: {rate / gemm_rate():.2f} of this machine's fp32 matrix speed, a CPU second")


def documents_text(documents: Sequence[Document], chunk: Chunk) -> str:
    """Give the text of a chunk's page."""
    document = next(each for each in documents if each.id == chunk.document)
    return document.pages[chunk.page - 1].text


if __name__ == "__main__":
    main()
