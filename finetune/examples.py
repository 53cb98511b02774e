"""Example: one conversation or plain text to learn from, read and checked from JSONL."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from finetune.errors import ExampleError

ROLES = frozenset({"system", "user", "assistant", "tool"})
SHOWN_FAULTS = 5

Row = TypeVar("Row")


@dataclass(frozen=True)
class Example:
    """A conversation in the OpenAI shape, with the tools that it may call and where it stands.

    With `text` it is plain text and no conversation: some of it among conversations keeps a model
    from forgetting how to write.
    """

    messages: tuple[Mapping[str, Any], ...]
    tools: tuple[Mapping[str, Any], ...] | None
    path: str
    line: int
    text: str | None = None

    @property
    def place(self) -> str:
        """Return `file:line`."""
        return f"{self.path}:{self.line}"


def read_examples(paths: Iterable[Path]) -> list[Example]:
    """Read every row of the files; raise ExampleError that names the rows which do not hold."""
    return read_rows(
        paths,
        _example,
        kind="conversation",
        shape=(
            '{"messages": [{"role": ..., "content": ...}, ...], "tools": [...]}, '
            'or {"text": ...} for plain text'
        ),
    )


def read_rows(
    paths: Iterable[Path], parse: Callable[[str, str, int], Row], *, kind: str, shape: str
) -> list[Row]:
    """Read JSONL with `parse`, which gets a line, its file and its number; name every bad one."""
    paths = tuple(paths)
    rows: list[Row] = []
    faults: list[str] = []
    for path in paths:
        for number, line in _lines(Path(path)):
            try:
                rows.append(parse(line, str(path), number))
            except ValueError as error:
                faults.append(f"{path}:{number}: {error}")
    if faults:
        shown = "\n  ".join(faults[:SHOWN_FAULTS])
        more = f"\n  and {len(faults) - SHOWN_FAULTS} more" if len(faults) > SHOWN_FAULTS else ""
        raise ExampleError(
            f"{len(faults)} row(s) are no {kind}s:\n  {shown}{more}\n"
            f"A row is {shape}. Mend or remove these rows."
        )
    if not rows:
        names = ", ".join(str(path) for path in paths)
        raise ExampleError(f"No rows in {names}. Give a JSONL file with one {kind} a line.")
    return rows


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line
    except FileNotFoundError as error:
        raise ExampleError(f"{path} does not exist. Give an existing JSONL file.") from error
    except UnicodeDecodeError as error:
        raise ExampleError(f"{path} is no UTF-8 text ({error}). Give a JSONL file.") from error


def _example(line: str, path: str, number: int) -> Example:
    row = json.loads(line)
    if not isinstance(row, dict):
        raise ValueError(f"a JSON {type(row).__name__}, not an object")  # noqa: TRY004
    if "text" in row and "messages" not in row:
        return Example((), None, path, number, _text(row["text"]))
    messages = row.get("messages")
    if not isinstance(messages, list) or not messages:
        raise ValueError("`messages` is no filled list")
    for index, message in enumerate(messages):
        _check_message(message, index)
    if not any(message["role"] == "assistant" for message in messages):
        raise ValueError("no message of the assistant to learn from")
    tools = row.get("tools") or None
    if tools is not None and not (
        isinstance(tools, list) and all(isinstance(tool, dict) for tool in tools)
    ):
        raise ValueError("`tools` is no list of objects")
    return Example(tuple(messages), tuple(tools) if tools else None, path, number)


def _text(text: object) -> str:
    if not isinstance(text, str) or len(text.split()) < 2:
        raise ValueError("`text` has no two words")
    return text


def _check_message(message: object, index: int) -> None:
    where = f"message {index + 1}"
    if not isinstance(message, dict):
        raise ValueError(f"{where} is no object")  # noqa: TRY004
    role, content = message.get("role"), message.get("content")
    if role not in ROLES:
        raise ValueError(f"{where} has the role {role!r}, not one of {', '.join(sorted(ROLES))}")
    if isinstance(content, str):
        return
    if content is None and role == "assistant" and message.get("tool_calls"):
        return
    raise ValueError(f"{where} ({role}) has no text in `content`")
