"""Reading: the rows of files, every one checked, and every bad one named."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from finetune.data.files import Fault, Record, read_records
from finetune.data.kinds import SHAPES, Kind, kind_of_fields
from finetune.data.rows import Conversation, Instruction, Label, Pair, Prompt, Ranking, Text
from finetune.data.templates import DEFAULT, fill, load_template
from finetune.data.writing import to_jsonl
from finetune.errors import ExampleError

Parsed = TypeVar("Parsed")
SHOWN_FAULTS = 5


def read_examples(
    paths: Iterable[Path], *, template: str | Path = DEFAULT
) -> list[Conversation | Text]:
    """Read what supervised tuning learns from: conversations, texts and instructions, mixed.

    An instruction with its context and response becomes a conversation by the template.
    """
    return _read_kinds(
        paths,
        ("conversation", "text", "instruction"),
        noun="conversation",
        template=template,
        also='{"text": ...} for plain text',
    )


def read_conversations(
    paths: Iterable[Path], *, template: str | Path = DEFAULT
) -> list[Conversation]:
    """Read conversations, and instructions as conversations by the template."""
    kinds: tuple[Kind, ...] = ("conversation", "instruction")
    return _read_kinds(paths, kinds, noun="conversation", template=template)


def read_texts(paths: Iterable[Path]) -> list[Text]:
    """Read plain texts; of a folder of .txt or .md files each is one."""
    return _read_kinds(paths, ("text",), noun="text")


def read_pairs(paths: Iterable[Path]) -> list[Pair]:
    """Read pairs of a better and a worse answer; a ranking gives all of its pairs."""
    rows: list[Pair | Ranking] = _read_kinds(paths, ("pair", "ranking"), noun="pair")
    return [pair for row in rows for pair in (row.pairs() if isinstance(row, Ranking) else [row])]


def read_labels(paths: Iterable[Path]) -> list[Label]:
    """Read answers with a thumb up or down."""
    return _read_kinds(paths, ("label",), noun="label")


def read_rankings(paths: Iterable[Path]) -> list[Ranking]:
    """Read answers in order, the best first; a pair is a ranking of two."""
    rows: list[Pair | Ranking] = _read_kinds(paths, ("ranking", "pair"), noun="ranking")
    return [row if isinstance(row, Ranking) else _as_ranking(row) for row in rows]


def read_prompts(paths: Iterable[Path]) -> list[Prompt]:
    """Read prompts, with whatever else stands in their rows as `extra`."""
    return read_rows(paths, SHAPES["prompt"].parse, kind="prompt", shape=SHAPES["prompt"].fields)


def kind_of(path: Path) -> Kind:
    """Tell the kind of a file, or of a folder's files, by the first row; ExampleError if unknown.

    What the other rows hold is looked at when they are read.
    """
    for record in read_records([path]):
        kind = kind_of_fields(record.fields) if isinstance(record, Record) else None
        if kind:
            return kind
        fault = record if isinstance(record, Fault) else unknown(record)
        raise ExampleError(f"{fault}. Run `agentlab data check {path}` for all of its rows.")
    raise ExampleError(f"No rows in {path}. Give a file with one row a line.")


@dataclass(frozen=True)
class Known:
    """A row of a known kind, and the record that it was read from."""

    kind: Kind
    record: Record
    row: Any


def known_rows(paths: Iterable[Path]) -> Iterator[Known | Fault]:
    """Read rows of whichever kinds one by one; what holds for none of them is a Fault."""
    for record in _writable_records(paths):
        if isinstance(record, Fault):
            yield record
            continue
        kind = kind_of_fields(record.fields)
        if kind is None:
            yield unknown(record)
            continue
        try:
            yield Known(kind, record, SHAPES[kind].parse(record))
        except ValueError as error:
            yield Fault(record.path, record.line, str(error))


def read_rows(
    paths: Iterable[Path], parse: Callable[[Record], Parsed], *, kind: str, shape: str
) -> list[Parsed]:
    """Read all rows with `parse`, which raises ValueError at one that does not hold.

    Raises ExampleError that names the first bad rows by file and line and counts the others.
    """
    paths = tuple(paths)
    rows: list[Parsed] = []
    faults: list[Fault] = []
    for record in _writable_records(paths):
        if isinstance(record, Fault):
            faults.append(record)
            continue
        try:
            rows.append(parse(record))
        except ValueError as error:
            faults.append(Fault(record.path, record.line, str(error)))
    refuse_faults(faults, kind=kind, shape=shape)
    if not rows:
        names = ", ".join(str(path) for path in paths)
        raise ExampleError(f"No rows in {names}. Give a JSONL file with one {kind} a line.")
    return rows


def _writable_records(paths: Iterable[Path]) -> Iterator[Record | Fault]:
    """Read records; one with half a character, as JSON can escape it, is a Fault."""
    for record in read_records(paths):
        try:
            if isinstance(record, Record):
                to_jsonl(record.fields).encode()
        except UnicodeEncodeError as error:
            half = ascii(error.object[error.start : error.end])
            yield Fault(record.path, record.line, f"{half} is half a character, which is no text")
        else:
            yield record


def unknown(record: Record) -> Fault:
    """Say that the fields of a record tell no kind."""
    names = ", ".join(f"`{name}`" for name in record.fields) or "none"
    return Fault(record.path, record.line, f"no known kind of row has these fields: {names}")


def _read_kinds(
    paths: Iterable[Path],
    kinds: Sequence[Kind],
    *,
    noun: str,
    template: str | Path | None = None,
    also: str = "",
) -> list[Any]:
    filled = load_template(template) if template is not None else None

    def parse(record: Record) -> Any:
        told = kind_of_fields(record.fields)
        if told == "label" and "conversation" in kinds:
            raise ValueError("an answer with a label: the bad ones would be learned too")
        row = SHAPES[told if told and told in kinds else kinds[0]].parse(record)
        return fill(filled, row) if filled and isinstance(row, Instruction) else row

    shape = ", or ".join(filter(None, (SHAPES[kinds[0]].fields, also)))
    return read_rows(paths, parse, kind=noun, shape=shape)


def _as_ranking(pair: Pair) -> Ranking:
    return Ranking(
        pair.prompt,
        (pair.chosen, pair.rejected),
        pair.tools,
        path=pair.path,
        line=pair.line,
        extra=pair.extra,
    )


def refuse_faults(faults: Sequence[Fault], *, kind: str, shape: str = "") -> None:
    """Raise ExampleError that names the first faults and counts the others, if there are any."""
    if not faults:
        return
    shown = "\n  ".join(map(str, faults[:SHOWN_FAULTS]))
    more = f"\n  and {len(faults) - SHOWN_FAULTS} more" if len(faults) > SHOWN_FAULTS else ""
    written = f"A row is {shape}. " if shape else ""
    raise ExampleError(
        f"{len(faults)} row(s) are no {kind}s:\n  {shown}{more}\n"
        f"{written}Mend or remove these rows."
    )
