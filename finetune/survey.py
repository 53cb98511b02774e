"""Survey: what lies on the disk to learn from, how much of it, and how often the same."""

import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finetune.data.content import Content, content_of
from finetune.data.duplicates import exact_key
from finetune.data.files import SUFFIXES, TEXT_SUFFIXES, Fault
from finetune.data.reading import known_rows
from finetune.data.rows import Conversation, Label
from finetune.errors import ExampleError
from finetune.situation import Found, FoundKind

CHARACTERS = 4
"""Characters of a token, about: of English prose in the vocabularies of today's models."""

DOCUMENTS = frozenset({".pdf", ".docx", ".html", ".htm"})
SAMPLED_PAGES = 5

_LEARNED = frozenset({"response", "output", "completion", "completions", "chosen", "rejected"})


@dataclass
class _Tally:
    """What was counted so far of one kind."""

    rows: int = 0
    characters: int = 0
    learned: int = 0
    longest: int = 0
    duplicates: int = 0
    faults: int = 0
    good: int = 0
    tool_calls: int = 0
    seen: set[bytes] = field(default_factory=set)
    paths: dict[str, None] = field(default_factory=dict)

    def add(self, characters: int, *, key: bytes, path: str) -> None:
        self.rows += 1
        self.characters += characters
        self.longest = max(self.longest, characters)
        self.paths[path] = None
        self.duplicates += key in self.seen
        self.seen.add(key)


def survey(paths: Iterable[Path]) -> tuple[Found, ...]:
    """Look at files and folders; raise ExampleError where a path is nothing that can be read.

    Rows are told by their fields, whatever the file is called; PDF, DOCX and HTML are documents.
    Tokens are guessed from the characters.
    """
    tallies: dict[FoundKind, _Tally] = {}
    for path, given in _files(paths):
        suffix = path.suffix.lower()
        if suffix in DOCUMENTS:
            tally = tallies.setdefault("document", _Tally())
            text, characters = _of_document(path)
            key = exact_key(Content("", text or path.name))
            tally.add(characters, key=key, path=given)
        else:
            _count_rows(path, given, tallies)
    return tuple(_found(kind, tally) for kind, tally in tallies.items())


def _files(paths: Iterable[Path]) -> Iterator[tuple[Path, str]]:
    """Yield each file with the path that a plan names it by: its own, or its folder's."""
    known = SUFFIXES | TEXT_SUFFIXES | DOCUMENTS
    for path in paths:
        if path.is_file() and path.suffix.lower() in known:
            yield path, str(path)
            continue
        if not path.exists():
            raise ExampleError(f"{path} does not exist. Give files or folders that do.")
        inside = sorted(
            each
            for each in (path.rglob("*") if path.is_dir() else ())
            if each.is_file()
            and each.suffix.lower() in known
            and not any(part.startswith(".") for part in each.relative_to(path).parts)
        )
        if not inside:
            names = ", ".join(sorted(known))
            raise ExampleError(f"{path} holds nothing to learn from. Files that are: {names}.")
        for each in inside:
            rows = each.suffix.lower() in SUFFIXES
            yield each, str(each if rows else path)


def _count_rows(path: Path, given: str, tallies: dict[FoundKind, _Tally]) -> None:
    kind: FoundKind | None = None
    faults = 0
    for each in known_rows([path]):
        if isinstance(each, Fault):
            faults += 1
            continue
        kind, row, fields = each.kind, each.row, each.record.fields
        tally = tallies.setdefault(kind, _Tally())
        characters = sum(map(len, _words(fields)))
        tally.add(characters, key=exact_key(content_of(row)), path=given)
        tally.learned += _learned(kind, fields, characters)
        tally.good += isinstance(row, Label) and row.label
        if isinstance(row, Conversation):
            tally.tool_calls += any(turn.get("tool_calls") for turn in row.messages)
    if faults:
        tallies.setdefault(kind or "text", _Tally()).faults += faults


def _words(value: Any) -> Iterator[str]:
    """Yield all text in a row: also names and arguments of calls, which are tokens as well."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _words(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _words(each)


def _learned(kind: FoundKind, fields: Mapping[str, Any], whole: int) -> int:
    """Count the characters that a model learns to write."""
    if kind == "text":
        return whole
    turns = fields.get("messages") or fields.get("conversations")
    if isinstance(turns, list):
        own = [turn for turn in turns if isinstance(turn, Mapping) and _is_assistant(turn)]
        return sum(len(text) for turn in own for text in _words(turn))
    own_fields = {name: value for name, value in fields.items() if name in _LEARNED}
    return sum(len(text) for text in _words(own_fields))


def _is_assistant(turn: Mapping[str, Any]) -> bool:
    return (turn.get("role") or turn.get("from")) in ("assistant", "gpt")


def _of_document(path: Path) -> tuple[str, int]:
    """Return a sample of a document's text, and about how many characters the whole has."""
    try:
        if path.suffix.lower() == ".pdf":
            return _of_pdf(path)
        if path.suffix.lower() == ".docx":
            with zipfile.ZipFile(path) as archive:
                markup = archive.read("word/document.xml").decode("utf-8", errors="replace")
        else:
            markup = path.read_text(encoding="utf-8", errors="replace")
    except Exception:  # noqa: BLE001 - a document that does not open is still one; ingest says why
        return "", 0
    text = re.sub(r"<[^>]*>", " ", markup)
    return text, len(text)


def _of_pdf(path: Path) -> tuple[str, int]:
    import pypdfium2

    with pypdfium2.PdfDocument(path) as document:
        pages = len(document)
        step = max(1, pages // SAMPLED_PAGES)
        chosen = list(range(0, pages, step))[:SAMPLED_PAGES]
        texts = [document[number].get_textpage().get_text_bounded() for number in chosen]
    sample = "\n".join(texts)
    return sample, round(len(sample) * pages / max(1, len(chosen)))


def _found(kind: FoundKind, tally: _Tally) -> Found:
    return Found(
        kind=kind,
        rows=tally.rows,
        tokens=tally.characters // CHARACTERS,
        longest=tally.longest // CHARACTERS,
        duplicates=tally.duplicates,
        faults=tally.faults,
        learned=tally.learned / tally.characters if tally.characters else 1.0,
        good=tally.good,
        tool_calls=tally.tool_calls,
        paths=tuple(tally.paths),
    )
