"""Resolving: the settings that are in force, and where each value came from."""

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agentlab.errors import SettingsError
from agentlab.settings import PATHS, Settings, masked

FILE_NAME = "agentlab.toml"
PREFIX = "AGENTLAB_"
FILE_VARIABLE = f"{PREFIX}CONFIG"
PLAIN_VARIABLES = {
    "OPENAI_API_KEY": "openai_api_key",
    "SERPAPI_API_KEY": "serpapi_api_key",
    "SERPER_API_KEY": "serper_api_key",
    "TAVILY_API_KEY": "tavily_api_key",
    "WEAVIATE_URL": "weaviate_url",
    "WEAVIATE_API_KEY": "weaviate_api_key",
}


@dataclass(frozen=True)
class Resolved:
    """Settings with the origin of each value, the file that was read, and stray variables."""

    settings: Settings
    origins: Mapping[str, str]
    file: Path | None = None
    unknown_variables: tuple[str, ...] = field(default=())


def load_settings(
    overrides: Mapping[str, Any] | None = None,
    *,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Resolved:
    """Resolve the settings: flags over environment over agentlab.toml over defaults.

    Overrides that are None count as not given. `file` defaults to $AGENTLAB_CONFIG, then to
    agentlab.toml in the working folder if there is one. Raises SettingsError.
    """
    environ = os.environ if environ is None else environ
    path = _find_file(file, environ)
    values: dict[str, Any] = {}
    origins = dict.fromkeys(Settings.model_fields, "default")
    for name, value in (_read_file(path) if path else {}).items():
        values[name], origins[name] = value, str(path)
    for name, (variable, value) in _read_environment(environ).items():
        values[name], origins[name] = value, variable
    for name, value in (overrides or {}).items():
        if value is not None:
            _refuse_unknown(name, "a flag")
            values[name], origins[name] = value, "flag"
    return Resolved(_build(values, origins), origins, path, _stray_variables(environ))


def with_changes(settings: Settings, **values: Any) -> Settings:
    """Return the settings with some values changed and checked. Raises SettingsError."""
    for name in values:
        _refuse_unknown(name, "a flag")
    return _build(dict(settings) | values, {})


def _build(values: Mapping[str, Any], origins: Mapping[str, str]) -> Settings:
    try:
        return Settings(**values)
    except ValidationError as error:
        raise SettingsError(_explain(error, origins)) from None
    except RuntimeError as error:  # neither HOME nor the system's list of users tells a folder
        raise SettingsError(
            f"No home directory is known here ({str(error).rstrip('.')}): set HOME, or "
            "AGENTLAB_HOME, AGENTLAB_CACHE and HF_HOME."
        ) from error


def _explain(error: ValidationError, origins: Mapping[str, str]) -> str:
    first = error.errors(include_url=False)[0]
    reason = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return f"The settings do not fit together: {reason}. `agentlab config` explains each."
    name = str(first["loc"][0])
    value = masked(name, first["input"])
    return (
        f"The setting {name} = {value!r} (from {origins.get(name, 'the caller')}) is not usable: "
        f"{reason}. Correct it there, or remove it to get the default."
    )


def _find_file(file: Path | None, environ: Mapping[str, str]) -> Path | None:
    named = file or (Path(environ[FILE_VARIABLE]) if environ.get(FILE_VARIABLE) else None)
    if named is None:
        return Path(FILE_NAME).absolute() if Path(FILE_NAME).is_file() else None
    if not named.is_file():
        raise SettingsError(
            f"The settings file {named} does not exist. Create it, or leave out --config."
        )
    return named.absolute()


def _read_file(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}. Correct that line.") from error
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error}. Check its permissions.") from error
    for name in values:
        _refuse_unknown(name, str(path))
    for name in PATHS:
        value = values.get(name)
        if isinstance(value, str) and not value.startswith("~"):  # which Settings expands
            values[name] = path.parent / value
    return values


def _read_environment(environ: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    found = {
        name: (variable, environ[variable])
        for variable, name in PLAIN_VARIABLES.items()
        if environ.get(variable)
    }
    for name in Settings.model_fields:
        variable = PREFIX + name.upper()
        if environ.get(variable):
            found[name] = (variable, environ[variable])
    return found


def _stray_variables(environ: Mapping[str, str]) -> tuple[str, ...]:
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {FILE_VARIABLE}
    return tuple(sorted(name for name in environ if name.startswith(PREFIX) and name not in known))


def _refuse_unknown(name: str, origin: str) -> None:
    if name in Settings.model_fields:
        return
    close = difflib.get_close_matches(name, Settings.model_fields, n=1)
    hint = f"Did you mean {close[0]!r}?" if close else "`agentlab config` lists all of them."
    raise SettingsError(f"There is no setting {name!r} (from {origin}). {hint}")
