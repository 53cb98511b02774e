"""Errors of embedding: what went wrong, and what to do about it.

EmbedderError          (IngestError, RuntimeError)
├── MissingPartError   (ImportError)      a backend's libraries are not installed
├── ExportError        (ValueError)       a model cannot become int8, or would lose too much
└── EndpointError      (ConnectionError)  the server of the embeddings failed or refused
"""

from ingest.errors import IngestError


class EmbedderError(IngestError, RuntimeError):
    """Texts cannot be embedded."""


class MissingPartError(EmbedderError, ImportError):
    """The libraries of a backend are not installed."""


class ExportError(EmbedderError, ValueError):
    """A model cannot be exported, or its int8 vectors are too far from those in fp32."""


class EndpointError(EmbedderError, ConnectionError):
    """The server of the embeddings does not answer, refuses, or answers nonsense."""
