"""Chunks a second of the embedders against sentence-transformers: same texts, cores and run.

    OMP_NUM_THREADS=2 python tests/bench/embedding_speed.py MODEL_FOLDER [PDF_FOLDER]

Each round lets every way embed the same chunks; what is told are medians over the rounds, in wall
time and in the CPU time of the process, which other work on the machine disturbs less. Without
PDF_FOLDER the handbooks of the demo are cut. Where sentence-transformers is not installed, its
loop is written out here: texts sorted by length in characters, 32 a batch, fp32, mean, norm.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib import metadata, resources
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import numpy as np
import torch

from ingest.chunking import chunk_document
from ingest.embedding import Embedder
from ingest.embedding.cache import CachedEmbedder, DiskVectors
from ingest.embedding.export import export
from ingest.embedding.onnx import OnnxEmbedder
from ingest.embedding.pytorch import TorchEmbedder, pooled_model
from ingest.errors import DocumentError
from ingest.formats import read_document

Encode = Callable[[Sequence[str]], np.ndarray]
CHUNK_TOKENS = 200


def chunks_of(folder: Path, embedder: Embedder) -> list[str]:
    """Cut a folder's PDFs as an ingest does; files that cannot be read are left out."""
    texts: list[str] = []
    for path in sorted(folder.glob("*.pdf")):
        try:
            document = read_document(path, max_bytes=1 << 29, max_pages=60)
        except DocumentError:
            continue
        chunks = chunk_document(
            document,
            token_spans=embedder.token_spans,
            chunk_tokens=CHUNK_TOKENS,
            embedder=embedder.name,
            pipeline="bench",
            window=embedder.max_tokens - 2,
        )
        texts += [chunk.embedded for chunk in chunks]
    return texts


def sentence_transformers(folder: Path) -> tuple[str, Encode]:
    """Give sentence-transformers in fp32, or its loop written out, and what it is."""
    if find_spec("sentence_transformers"):
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(str(folder), device="cpu")
        name = f"sentence-transformers {metadata.version('sentence-transformers')}"
        return name, lambda texts: model.encode(
            list(texts), batch_size=32, normalize_embeddings=True, show_progress_bar=False
        )
    return "its loop, written out", _loop(folder)


def _loop(folder: Path) -> Encode:
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()

    def encode(texts: Sequence[str]) -> np.ndarray:
        order = sorted(range(len(texts)), key=lambda row: -len(texts[row]))
        vectors = np.zeros((len(texts), model.config.hidden_size), dtype=np.float32)
        for start in range(0, len(order), 32):
            rows = order[start : start + 32]
            batch = tokenizer(
                [texts[row] for row in rows],
                padding=True, truncation=True, max_length=256, return_tensors="pt",
            )  # fmt: skip
            with torch.inference_mode():
                hidden = model(**batch).last_hidden_state
            mask = batch["attention_mask"].unsqueeze(-1).float()
            mean = (hidden * mask).sum(1) / mask.sum(1)
            vectors[rows] = torch.nn.functional.normalize(mean, dim=1).numpy()
        return vectors

    return encode


def timed(encode: Encode, texts: Sequence[str]) -> tuple[np.ndarray, float, float]:
    """Embed once; return the vectors, the seconds and the CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    vectors = encode(texts)
    return vectors, time.perf_counter() - wall, time.process_time() - cpu


def gemm_rate() -> float:
    """Measure the machine's fp32 matrix speed in 10^9 operations a second, at the model's sizes."""
    left, right = torch.randn(6400, 384), torch.randn(384, 1536)
    left @ right
    spans = []
    for _ in range(10):
        started = time.process_time()
        left @ right
        spans.append(time.process_time() - started)
    return 2 * 6400 * 384 * 1536 / median(spans) / 1e9


def main() -> None:
    """Print one line for each way, and what a second run with the cache takes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("pdfs", type=Path, nargs="?")
    parser.add_argument("--chunks", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    threads = int(os.environ.get("OMP_NUM_THREADS", "2"))
    torch.set_num_threads(threads)
    demo = Path(str(resources.files("agentlab").joinpath("demo", "handbooks")))
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch, "int8")
        out.mkdir()
        export(arguments.model, out, threads=threads)
        ours = TorchEmbedder(arguments.model, name="bench")
        int8 = OnnxEmbedder(out, name="bench", threads=threads)
        texts = chunks_of(arguments.pdfs or demo, ours)
        texts = texts[:: max(1, len(texts) // arguments.chunks)][: arguments.chunks]
        name, theirs = sentence_transformers(arguments.model)
        ways: dict[str, Encode] = {
            name: theirs,
            "torch fp32": ours.encode,
            "onnx int8": int8.encode,
        }
        tokens = [ours.count_tokens(text) for text in texts]
        print(
            f"{len(texts)} chunks of {np.mean(tokens):.0f} tokens, {threads} threads, "
            f"{arguments.rounds} rounds"
        )
        compare(ways, texts, arguments.rounds)
        cache = DiskVectors(Path(scratch, "embeddings.sqlite"), limit_bytes=1 << 30)
        cached = CachedEmbedder(int8, cache)
        _, first, _ = timed(cached.encode, texts)
        _, again, _ = timed(CachedEmbedder(int8, cache).encode, texts)
        print(f"the same again with the cache: {100 * again / first:.2f} % of the first time")
        operations = 2 * sum(tokens) * matrix_weights(arguments.model)
        _, _, spent = timed(int8.encode, texts)
        print(
            f"onnx int8 against this machine's fp32 matrix speed: "
            f"{operations / spent / 1e9 / gemm_rate():.2f} a CPU second"
        )


def matrix_weights(folder: Path) -> int:
    """Count the weights that each token is multiplied with."""
    layers = pooled_model(folder).encoder.encoder
    return sum(weight.numel() for weight in layers.parameters() if weight.dim() == 2)


def compare(ways: dict[str, Encode], texts: Sequence[str], rounds: int) -> None:
    """Let the ways take turns, and print their speed and how near their vectors are."""
    exact = {name: encode(texts) for name, encode in ways.items()}  # also warms them up
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, encode in ways.items():
            spent[name].append(timed(encode, texts)[1:])
    first = next(iter(ways))
    print(f"{'':28}{'chunks/s':>10}{'ratio':>8}{'CPU ratio':>11}{'cosine min':>12}{'mean':>8}")
    base = [median(each[kind] for each in spent[first]) for kind in (0, 1)]
    for name in ways:
        wall, cpu = (median(each[kind] for each in spent[name]) for kind in (0, 1))
        cosines = np.sum(exact[first] * exact[name], axis=1)
        print(
            f"{name:28}{len(texts) / wall:10.1f}{base[0] / wall:8.2f}{base[1] / cpu:11.2f}"
            f"{cosines.min():12.4f}{cosines.mean():8.4f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
