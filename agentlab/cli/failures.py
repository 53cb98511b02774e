"""Failures: what the command line says and which code it ends with when something goes wrong."""

import errno
import sys
import traceback

from agentlab.errors import (
    BACKEND_DOWN,
    FAILED,
    INTERRUPTED,
    LIBRARY_FAILED,
    NO_KEY,
    OUT_OF_TIME,
    USAGE,
    AgentlabError,
)

_FULL = {
    errno.ENOSPC: ("No space is left on the disk", "free some"),
    errno.EDQUOT: ("Your share of the disk is used up", "free some"),
    errno.EFBIG: ("A file would grow beyond the limit", "raise it (ulimit -f)"),
}
EXIT_CODES = """\b
Exit codes:
  0    done, or answered
  1    an error, or some files were left out; the message says what to do
  2    wrong usage: a flag, a setting, or a path where there is nothing to read
  3    a key is missing or refused, or no right to the library's folder
  4    a server is down: store, model, web search or cluster
  5    answered that the sources hold no answer
  6    the library failed, is busy, or a sync was held back
  124  the time budget ran out
  130  interrupted
"""


def exit_code(error: BaseException) -> int:
    """Choose the exit code of an error by whom it asks to act."""
    from finetune.errors import ConfigError
    from ingest.errors import (
        ClusterError,
        ClusterMissingError,
        CollectionBusyError,
        NothingToIngestError,
        OcrError,
        PathMissingError,
        RemovalsHeldError,
        RerankerError,
        StoreAccessError,
        StoreError,
        UnknownDocumentError,
        UnknownFilterError,
    )
    from serve.errors import ModelNotFoundError, ServerFailedError, ServerTimeoutError

    if isinstance(error, AgentlabError):
        return error.exit_code
    kinds: list[tuple[tuple[type[BaseException], ...], int]] = [
        ((KeyboardInterrupt,), INTERRUPTED),
        ((ConfigError, PathMissingError, UnknownDocumentError, UnknownFilterError), USAGE),
        ((NothingToIngestError, OcrError, RerankerError, ClusterMissingError), USAGE),
        ((ModelNotFoundError,), USAGE),
        ((ServerFailedError, ServerTimeoutError, ConnectionError, ClusterError), BACKEND_DOWN),
        ((TimeoutError,), OUT_OF_TIME),
        ((StoreAccessError,), NO_KEY),
        ((StoreError, CollectionBusyError, RemovalsHeldError), LIBRARY_FAILED),
    ]
    for classes, code in kinds:
        if isinstance(error, classes):
            return code
    return NO_KEY if isinstance(error, PermissionError) and is_ours(error) else FAILED


def is_ours(error: BaseException) -> bool:
    """Tell whether an error is one that these packages raise on purpose."""
    from finetune.errors import FinetuneError
    from ingest.errors import IngestError
    from serve.errors import ServeError

    return isinstance(error, AgentlabError | FinetuneError | IngestError | ServeError)


def explain(error: BaseException) -> str:
    """Say in one line what happened and what to do."""
    if is_ours(error):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "Interrupted."
    if isinstance(error, OSError) and error.errno in _FULL:
        said, advice = _FULL[error.errno]
        place = f" ({error.filename})" if error.filename else ""
        return f"{said}{place}: {advice} and run the command again."
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}. Check the path and its permissions."
    kind = type(error).__name__
    said = str(error).rstrip(".")
    return f"Unexpected {kind}: {said}. Run again with --debug to see where it comes from."


def report(error: BaseException, *, debug: bool) -> int:
    """Print one line about an error on stderr (the traceback too with `debug`)."""
    if debug and not isinstance(error, KeyboardInterrupt):
        traceback.print_exception(error)
    sys.stderr.write(f"agentlab: {explain(error)}\n")
    return exit_code(error)
