"""Errors of agentlab, split by who must act.

AgentlabError                                     exit code 1
|-- UserError                                     the person who asked
|   |-- SettingsError        (ValueError)       2  a setting is unknown or unusable
|   |-- KeyRejectedError     (PermissionError)  3  a key is missing, wrong or out of credit
|   |-- EngineMissingError   (ImportError)      2  the chosen engine is not installed
|   `-- UnknownThreadError   (LookupError)      2  no conversation has that name
|-- OperatorError                                 whoever runs the servers
|   |-- BackendDownError     (ConnectionError)  4  a model, store or search server does not answer
|   |-- ModelRefusedError    (ValueError)       1  the endpoint refuses the request or the model
|   |   `-- ToolsUnsupportedError                  the model cannot call tools
|   |-- BudgetError          (TimeoutError)   124  a time limit passed before anything was said
|   |-- JournalError         (OSError)          1  the journal cannot be written or read
|   `-- MemoryStoreError     (OSError)          1  the conversations cannot be written or read
`-- ToolError                (RuntimeError)     1  the model, which may try another way: its kin
                                                  are in agentlab.tools.errors
"""

from typing import ClassVar

OK, FAILED, USAGE, NO_KEY, BACKEND_DOWN, ABSTAINED, LIBRARY_FAILED = 0, 1, 2, 3, 4, 5, 6
OUT_OF_TIME, INTERRUPTED = 124, 130


class AgentlabError(Exception):
    """Root of all errors of this package; `exit_code` is what the command line ends with."""

    exit_code: ClassVar[int] = FAILED


class UserError(AgentlabError):
    """The person who asked can mend it: a setting, a key, a name."""


class SettingsError(UserError, ValueError):
    """A setting is unknown, unusable or missing its partner."""

    exit_code = USAGE


class KeyRejectedError(UserError, PermissionError):
    """A key is missing, wrong or out of credit."""

    exit_code = NO_KEY


class EngineMissingError(UserError, ImportError):
    """The chosen engine, or a package it needs, is not installed."""

    exit_code = USAGE


class UnknownThreadError(UserError, LookupError):
    """No conversation has that name."""

    exit_code = USAGE


class OperatorError(AgentlabError):
    """Whoever runs the machine or its servers can mend it."""


class BackendDownError(OperatorError, ConnectionError):
    """A server does not answer, or died in the middle of an answer."""

    exit_code = BACKEND_DOWN


class ModelRefusedError(OperatorError, ValueError):
    """The endpoint answers, but refuses the request or does not know the model."""


class ToolsUnsupportedError(ModelRefusedError):
    """The model, or the way it is served, cannot call tools."""


class BudgetError(OperatorError, TimeoutError):
    """A time limit passed before anything could be said."""

    exit_code = OUT_OF_TIME


class JournalError(OperatorError, OSError):
    """The journal cannot be written or read."""


class MemoryStoreError(OperatorError, OSError):
    """The conversations cannot be written or read."""
