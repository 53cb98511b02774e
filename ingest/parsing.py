"""Parsing: files become documents, each with one outcome, in the order they are given.

for path, outcome in read_documents(paths, IngestConfig()):
    if isinstance(outcome, DocumentError):
        print(outcome.reason, outcome.detail, outcome.advice)

Nothing that is wrong with a file is raised.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from ingest.config import IngestConfig
from ingest.documents import Document
from ingest.errors import CorruptError, DocumentError, TooLargeError
from ingest.formats import read_document
from ingest.formats.files import brief


def read_documents(
    paths: Iterable[Path], config: IngestConfig
) -> Iterator[tuple[Path, Document | DocumentError]]:
    """Read files in order; what is wrong with one is its outcome, never raised."""
    for path in paths:
        try:
            outcome: Document | DocumentError = read_document(
                path, max_bytes=config.max_bytes, max_pages=config.max_pages
            )
        except DocumentError as error:
            outcome = error
        except MemoryError:
            outcome = TooLargeError(str(path), "reading it takes more memory than there is")
        except Exception as error:  # noqa: BLE001 - one hostile file must not end the run
            outcome = CorruptError(str(path), f"reading it failed ({brief(error)})")
        yield path, outcome
