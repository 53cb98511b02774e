"""Outcomes: what became of a file, a document or an error, as JSON between two processes.

JSON and not pickle: whoever takes over a reader by a hostile file can say things, and do nothing.
"""

import json
from dataclasses import asdict

from ingest.documents import Document, Heading, Page
from ingest.errors import DocumentError, TooLargeError

Outcome = Document | DocumentError
MOST_BYTES = 256 * 1024 * 1024
OUT_OF_MEMORY = 86
"""The exit code of a reader that has used up its memory."""

_KINDS: list[type[DocumentError]] = [DocumentError, *DocumentError.__subclasses__()]
_ERRORS = {kind.__name__: kind for kind in _KINDS}


def to_json(outcome: Outcome) -> bytes:
    """Write an outcome down."""
    if isinstance(outcome, Document):
        told = json.dumps({"document": asdict(outcome)}).encode()
        if len(told) <= MOST_BYTES:
            return told
        outcome = TooLargeError(outcome.source, f"more than {MOST_BYTES:,} bytes of text")
    named = {
        "error": type(outcome).__name__,
        "source": outcome.source,
        "detail": outcome.detail,
        "advice": outcome.advice,
    }
    return json.dumps(named).encode()


def from_json(data: bytes) -> Outcome:
    """Read an outcome; what is none raises ValueError, KeyError or TypeError."""
    told = json.loads(data)
    if "error" in told:
        kind = _ERRORS[told["error"]]
        return kind(str(told["source"]), str(told["detail"]), str(told["advice"]))
    document = told["document"]
    return Document(
        **document
        | {
            "pages": tuple(Page(**page) for page in document["pages"]),
            "headings": tuple(Heading(**heading) for heading in document["headings"]),
        }
    )
