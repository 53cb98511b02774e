"""Errors of agentlab.

AgentlabError
`-- SettingsError (ValueError)      a setting is unknown or unusable
"""


class AgentlabError(Exception):
    """Root of all errors of this package."""


class SettingsError(AgentlabError, ValueError):
    """A setting is unknown, unusable or missing its partner."""
