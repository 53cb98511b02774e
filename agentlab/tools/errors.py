"""Errors of the tools: one line each, fit to be told to the model and to the person.

agentlab.errors
├── SettingsError
│   └── RecordedSearchError       the file of recorded results cannot be used
└── ToolError
    ├── ToolInputError            the arguments of a call do not fit
    ├── RateLimitError            the provider asks to wait, or the plan is used up
    └── SearchError               no message ever holds a key
        ├── SearchKeyError        a key is missing or refused; also a KeyRejectedError
        ├── SearchTimeoutError
        ├── SearchUnavailableError
        └── SearchUnreadableError
"""

from agentlab.errors import (
    BACKEND_DOWN,
    NO_KEY,
    KeyRejectedError,
    SearchError,
    SettingsError,
    ToolError,
)


class RecordedSearchError(SettingsError):
    """The file of recorded web results is missing or malformed."""


class ToolInputError(ToolError, ValueError):
    """The arguments of a tool call do not fit."""


class SearchKeyError(SearchError, KeyRejectedError):
    """The provider's key is missing, or the provider refused it."""

    exit_code = NO_KEY


class SearchTimeoutError(SearchError, TimeoutError):
    """The provider did not answer in time."""

    exit_code = BACKEND_DOWN


class SearchUnavailableError(SearchError, ConnectionError):
    """The provider could not be reached, or failed by itself."""

    exit_code = BACKEND_DOWN


class SearchUnreadableError(SearchError, ValueError):
    """The provider answered with something that is no search result."""
