"""Errors of ingest: what went wrong, and what to do about it.

IngestError
├── PathMissingError          (FileNotFoundError)  a path that was given is not there
├── NothingToIngestError      (ValueError)         the paths hold no file that can be read
├── CollectionBusyError       (BlockingIOError)    another process is changing the collection
├── RemovalsHeldError         (ValueError)         a sync would remove too much
├── UnknownDocumentError      (LookupError)        no document has that name
├── UnknownFilterError        (ValueError)         a filter names no date, or unknown metadata
├── DocumentError             (ValueError)         one file cannot be read; `reason` is its slug
│   ├── UnsupportedError                           not of its kind, or an empty file
│   ├── EncryptedError        (PermissionError)    locked by a password
│   ├── CorruptError                               broken beyond repair
│   ├── NoTextError                                a scan, or another file without text
│   ├── TooLargeError                              beyond the limits of bytes, pages or memory
│   ├── TooSlowError          (TimeoutError)       not read within its time
│   └── GoneError             (PathMissingError)   it was there when the files were listed
├── RerankerError             (ValueError)         a model cannot compare a question with passages
├── OcrError                  (RuntimeError)       OCR is asked for and cannot be done
├── ClusterMissingError       (ImportError)        Ray is asked for and not installed
├── ClusterError              (RuntimeError)       the Ray cluster failed
└── StoreError                (RuntimeError)       the store failed
    ├── StoreUnreachableError (ConnectionError)    no answer from its server
    ├── StoreAccessError      (PermissionError)    missing or wrong key, or no right to the folder
    ├── StoreMismatchError    (ValueError)         made by another embedder, or not a store
    ├── StoreWriteError                            some chunks were refused
    └── StoreFullError        (OSError)            no space is left on the disk
"""

from typing import ClassVar


class IngestError(Exception):
    """Root of all errors of this package."""


class PathMissingError(IngestError, FileNotFoundError):
    """A path that was given does not exist."""


class NothingToIngestError(IngestError, ValueError):
    """The paths hold no file of a kind that can be read."""


class CollectionBusyError(IngestError, BlockingIOError):
    """Another process is changing the collection."""


class RemovalsHeldError(IngestError, ValueError):
    """A sync would remove a large share of the documents; nothing was changed."""


class UnknownDocumentError(IngestError, LookupError):
    """No document of the collection has that name, or several have."""


class UnknownFilterError(IngestError, ValueError):
    """A filter is no date, or names metadata that no document has."""


class DocumentError(IngestError, ValueError):
    """One file cannot be read; the others go on."""

    reason: ClassVar[str] = "unreadable"
    remedy: ClassVar[str] = "open it in its own program to see whether it is whole"

    def __init__(self, source: str, detail: str, remedy: str | None = None) -> None:
        self.source = source
        self.detail = detail
        self.advice = remedy or self.remedy
        super().__init__(source, detail, self.advice)

    def __str__(self) -> str:
        return f"{self.source}: {self.detail}; {self.advice}."


class UnsupportedError(DocumentError):
    """The file is of no kind that can be read, or not of the kind that its name says."""

    reason = "unsupported"
    remedy = (
        "PDF, Markdown (.md), HTML (.html), plain text (.txt) and Word (.docx) can be ingested: "
        "convert it to one of them, or leave it out"
    )


class EncryptedError(DocumentError, PermissionError):
    """The file is locked by a password."""

    reason = "encrypted"
    remedy = (
        "give its password (--password), or unlock it (qpdf --decrypt --password=... locked.pdf "
        "open.pdf) and ingest the copy"
    )


class CorruptError(DocumentError):
    """The file is broken beyond what its readers can repair."""

    reason = "corrupt"
    remedy = "get a fresh copy, or try to repair it (qpdf broken.pdf repaired.pdf)"


class NoTextError(DocumentError):
    """There is no text in the file: of a PDF, it is a scan."""

    reason = "no_text"
    remedy = "it looks like a scan: add a text layer (ocrmypdf scan.pdf text.pdf) and ingest that"


class TooLargeError(DocumentError):
    """The file goes beyond the limits of IngestConfig."""

    reason = "too_large"
    remedy = "split it (qpdf --split-pages=500 big.pdf part.pdf), or raise the limit"


class TooSlowError(DocumentError, TimeoutError):
    """Reading the file takes longer than a file may take."""

    reason = "timeout"
    remedy = "split it (qpdf --split-pages=100 slow.pdf part.pdf), or raise the limit (--timeout)"


class GoneError(DocumentError, PathMissingError):
    """The file is no longer there."""

    reason = "missing"
    remedy = "check whether it was moved"


class RerankerError(IngestError, ValueError):
    """The model that is named cannot re-rank."""


class OcrError(IngestError, RuntimeError):
    """OCR is asked for, and cannot be done."""


class ClusterMissingError(IngestError, ImportError):
    """Ray is asked for, and not installed."""


class ClusterError(IngestError, RuntimeError):
    """The Ray cluster failed."""


class StoreError(IngestError, RuntimeError):
    """The store failed."""


class StoreUnreachableError(StoreError, ConnectionError):
    """The store's server does not answer."""


class StoreAccessError(StoreError, PermissionError):
    """The store refuses the key, or the folder may not be written."""


class StoreMismatchError(StoreError, ValueError):
    """What is stored was made by another embedder, or is no store."""


class StoreWriteError(StoreError):
    """The store refused some of the chunks."""


class StoreFullError(StoreError, OSError):
    """No space is left where the store lies."""
