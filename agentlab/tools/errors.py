"""Errors of the tools: one line each, fit to be told to the model and to the person.

agentlab.errors
|-- SettingsError
|   `-- RecordedSearchError                      2  the file of recorded results is unusable
`-- ToolError             (RuntimeError)         1  told to the model, which may try another way
    |-- ToolInputError        (ValueError)       1  the arguments of a call do not fit
    `-- SearchError                              1  no message ever holds a key
        |-- SearchKeyError    (KeyRejectedError) 3  a key is missing or refused
        |-- RateLimitError                       1  too many searches, or the plan is used up
        |-- SearchTimeoutError (TimeoutError)    4  no answer in time
        |-- SearchUnavailableError (ConnectionError)  4  out of reach, or failed by itself
        `-- SearchUnreadableError (ValueError)   1  an answer that is no search result
"""

from agentlab.errors import BACKEND_DOWN, NO_KEY, AgentlabError, KeyRejectedError, SettingsError


class RecordedSearchError(SettingsError):
    """The file of recorded web results is missing or malformed."""


class ToolError(AgentlabError, RuntimeError):
    """A tool failed; its message is told to the model, which may try another way."""


class ToolInputError(ToolError, ValueError):
    """The arguments of a tool call do not fit."""


class SearchError(ToolError):
    """A web search failed."""


class RateLimitError(SearchError):
    """The provider asks to wait, or the plan is used up."""


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
