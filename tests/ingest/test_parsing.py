"""Parsing: each file has one outcome, in order, whatever it does to its reader."""

from pathlib import Path

from ingest_fakes import write_pdf

from ingest.config import IngestConfig
from ingest.documents import Document
from ingest.errors import DocumentError
from ingest.parsing import read_documents


def outcomes(paths: list[Path], **config: object) -> list[str]:
    """Name each file's outcome, "ok" or the reason."""
    read = list(read_documents(paths, IngestConfig.model_validate(config)))
    assert [path for path, _ in read] == paths
    return ["ok" if isinstance(each, Document) else each.reason for _, each in read]


def test_each_file_has_its_outcome_in_the_order_given(tmp_path: Path) -> None:
    good = write_pdf(tmp_path / "good.pdf", [[("Leave", "Thirty days a year for everyone.")]])
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing else")
    (tmp_path / "notes.txt").write_text("Ask the desk before you book a room.")
    paths = [tmp_path / "broken.pdf", good, tmp_path / "gone.pdf", tmp_path / "notes.txt"]
    assert outcomes(paths) == ["corrupt", "ok", "missing", "ok"]


def test_real_and_hostile_files_each_have_an_outcome(shared_pdfs: Path) -> None:
    paths = sorted(shared_pdfs.glob("*.pdf"))
    for _, outcome in read_documents(paths, IngestConfig()):
        assert isinstance(outcome, Document | DocumentError)
