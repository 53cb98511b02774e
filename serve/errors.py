"""The errors of serve.

ServeError
├── ModelNotFoundError    (LookupError)      no such folder, and nowhere to get it from
├── ModelFolderError      (ValueError)       a folder that is no complete model
├── ModelFetchError       (ConnectionError)  the model has a source, and the source failed
├── CacheWriteError       (OSError)          the model cache cannot be written
├── PromptTooLongError    (ValueError)       a conversation longer than the model's context
├── EngineMissingError    (ImportError)      the server's program is not installed
├── ServerFailedError     (RuntimeError)     the server ended on its own
└── ServerTimeoutError    (TimeoutError)     the server did not become healthy in time
"""


class ServeError(Exception):
    """The root of everything that serve raises."""


class ModelNotFoundError(ServeError, LookupError):
    """Say which model is unknown and what can be given instead."""


class ModelFolderError(ServeError, ValueError):
    """Say what a model folder lacks."""


class ModelFetchError(ServeError, ConnectionError):
    """Say which sources were tried and how each failed."""


class CacheWriteError(ServeError, OSError):
    """Say which file of the model cache could not be written."""


class PromptTooLongError(ServeError, ValueError):
    """Say how many tokens the prompt has and how many fit."""


class EngineMissingError(ServeError, ImportError):
    """Say which program is missing and how to install it."""


class ServerFailedError(ServeError, RuntimeError):
    """Say how the server ended, with the end of its log."""


class ServerTimeoutError(ServeError, TimeoutError):
    """Say how long the server had, with the end of its log."""
