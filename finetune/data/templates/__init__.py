"""Template: how an instruction, its context and its response become a conversation, as data."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from finetune.data.rows import Conversation, Instruction
from finetune.errors import TemplateError

DEFAULT = "chat"
_ROLES = ("system", "user", "assistant")
_FIELDS = {"instruction": "a task", "context": "what it is about", "response": "the response"}


@dataclass(frozen=True)
class Template:
    """Messages whose contents are Jinja over a row's fields; one that comes out blank is left out.

    `parts` are roles and contents, the assistant's last.
    """

    name: str
    about: str
    parts: tuple[tuple[str, str], ...]


def template_names() -> list[str]:
    """List the templates that are shipped."""
    folder = resources.files(__name__)
    names = (each.name for each in folder.iterdir() if each.name.endswith(".toml"))
    return sorted(name.removesuffix(".toml") for name in names)


def load_template(name: str | Path) -> Template:
    """Read a shipped template by its name, or one's own by its path; TemplateError if unusable."""
    if isinstance(name, str) and name in template_names():
        return _parse(name, (resources.files(__name__) / f"{name}.toml").read_text("utf-8"))
    path = Path(name)
    try:
        return _parse(str(path), path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TemplateError(
            f"There is no template {str(name)!r}. Take {', '.join(template_names())}, or a TOML "
            "file of your own."
        ) from error


def fill(template: Template, row: Instruction) -> Conversation:
    """Make a conversation of a row by a template."""
    fields = {**row.extra, **_own(row)}
    said = [(role, _compiled(text).render(fields).strip()) for role, text in template.parts]
    messages = tuple({"role": role, "content": text} for role, text in said if text)
    return Conversation(messages, path=row.path, line=row.line, extra=row.extra)


def _own(row: Instruction) -> dict[str, str]:
    return {
        "instruction": row.instruction.strip(),
        "context": row.context.strip(),
        "response": row.response.strip(),
    }


def _parse(name: str, text: str) -> Template:
    try:
        value = tomllib.loads(text)
        template = Template(name, str(value["about"]), _parts(value["messages"]))
        # Filled once here, so that a template's own fault is not told of every row.
        sample = {role: _compiled(part).render(_FIELDS) for role, part in template.parts}
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise _unusable(name, str(error)) from error
    except Exception as error:
        from jinja2 import TemplateError as JinjaError

        if isinstance(error, JinjaError):
            raise _unusable(name, str(error)) from error
        raise
    if "the response" not in sample.get("assistant", ""):
        raise _unusable(name, "no message of the assistant holds {{ response }}")
    return template


def _parts(messages: Sequence[dict[str, Any]]) -> tuple[tuple[str, str], ...]:
    parts = tuple((str(each["role"]), str(each["content"])) for each in messages)
    unknown = {role for role, _ in parts} - set(_ROLES)
    if unknown:
        raise ValueError(f"unknown roles {', '.join(sorted(unknown))}")
    return parts


@cache
def _compiled(text: str) -> Any:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(autoescape=False).from_string(text)


def _unusable(name: str, why: str) -> TemplateError:
    return TemplateError(
        f"The template {name} cannot be used ({why}). It is TOML with `about` and [[messages]] of "
        "`role` and `content`, Jinja over instruction, context and response."
    )
