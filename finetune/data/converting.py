"""Conversion: rows of one kind made into rows that another method learns from."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from finetune.data.content import content_of, prompt_of
from finetune.data.files import Fault, files_in
from finetune.data.reading import known_rows, refuse_faults
from finetune.data.rows import (
    Conversation,
    Instruction,
    Label,
    Pair,
    Prompt,
    Ranking,
    Row,
    Said,
    Text,
    as_messages,
)
from finetune.data.templates import DEFAULT, Template, fill, load_template
from finetune.data.writing import refuse_own_input, write_rows
from finetune.errors import ExampleError

Target = Literal["sft", "dpo", "kto", "text", "prompts"]
TARGETS: tuple[Target, ...] = ("sft", "dpo", "kto", "text", "prompts")
"""sft: conversations; dpo: pairs (for orpo and reward too); kto: labels; prompts: for ppo, grpo."""


@dataclass(frozen=True)
class Converted:
    """How many rows came of how many, and how many were left out for which reason."""

    read: int
    written: int
    left_out: dict[str, int]

    def with_left_out(self, more: Mapping[str, int]) -> "Converted":
        """Count what was left out before as well."""
        return replace(self, left_out=dict(Counter(self.left_out) + Counter(more)))

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)


def convert(
    paths: Iterable[Path], out: Path, *, to: Target, template: str | Path = DEFAULT
) -> Converted:
    """Write the rows of the files as `to` asks; what cannot be made is counted by its reason.

    Raises ExampleError for a bad row, and where nothing could be made.
    """
    files = files_in(paths)
    refuse_own_input(out, files)
    rows: list[Row] = []
    faults: list[Fault] = []
    for each in known_rows(files):
        if isinstance(each, Fault):
            faults.append(each)
        else:
            rows.append(each.row)
    refuse_faults(faults, kind="row")
    return write_converted(rows, out, to=to, template=template)


def write_converted(
    rows: Sequence[Row], out: Path, *, to: Target, template: str | Path = DEFAULT
) -> Converted:
    """Write rows as `to` asks."""
    left_out: Counter[str] = Counter()
    made = list(_made(rows, to, load_template(template), left_out))
    if not made:
        reasons = "; ".join(f"{count} rows: {why}" for why, count in left_out.items())
        raise ExampleError(f"No row could be made into {to} ({reasons or 'there were none'}).")
    write_rows(out, made)
    return Converted(len(rows), len(made), dict(left_out))


def _made(
    rows: Sequence[Row], to: Target, template: Template, left_out: Counter[str]
) -> Iterator[Mapping[str, Any]]:
    labels = [row for row in rows if isinstance(row, Label)]
    if to == "dpo" and labels:
        pairs = list(pairs_of_labels(labels))
        yield from (pair.to_dict() for pair in pairs)
        paired = {_key(pair.prompt) for pair in pairs}
        lonely = sum(_key(label.prompt) not in paired for label in labels)
        left_out["no label of the other sort on the same prompt"] += lonely
        rows = [row for row in rows if not isinstance(row, Label)]
    for row in rows:
        filled = fill(template, row) if isinstance(row, Instruction) else row
        try:
            yield from (each.to_dict() for each in _converted(filled, to))
        except ValueError as error:
            left_out[str(error)] += 1


def pairs_of_labels(labels: Iterable[Label]) -> Iterator[Pair]:
    """Pair each good answer with a bad one to the same prompt, in order, while there are both."""
    asked: dict[str, tuple[list[Label], list[Label]]] = {}
    for label in labels:
        good, bad = asked.setdefault(_key(label.prompt), ([], []))
        (good if label.label else bad).append(label)
    for good, bad in asked.values():
        for better, worse in zip(good, bad, strict=False):
            yield Pair(
                better.prompt,
                better.completion,
                worse.completion,
                better.tools,
                path=better.path,
                line=better.line,
                extra=better.extra,
            )


def _converted(row: Row, to: Target) -> list[Row]:
    match to:
        case "sft":
            return [_as_conversation(row)]
        case "dpo":
            return list(_as_pairs(row))
        case "kto":
            return list(_as_labels(row))
        case "text":
            return [Text(_text(row), **_origin(row))]
        case "prompts":
            return [_as_prompt(row)]


def _as_conversation(row: Row) -> Row:
    match row:
        case Conversation() | Text():
            return row
        case Pair():
            return _talk(row.prompt, row.chosen, row.tools, row)
        case Ranking():
            return _talk(row.prompt, row.completions[0], row.tools, row)
        case Label() if row.label:
            return _talk(row.prompt, row.completion, row.tools, row)
        case Label():
            raise ValueError("a bad answer is nothing to imitate")
        case _:
            raise ValueError(f"a {_noun(row)} has no answer")


def _as_pairs(row: Row) -> list[Pair]:
    match row:
        case Pair():
            return [row]
        case Ranking():
            return row.pairs()
        case _:
            raise ValueError(f"a {_noun(row)} has no worse answer beside a better one")


def _as_labels(row: Row) -> list[Label]:
    match row:
        case Label():
            return [row]
        case Pair():
            good, bad = row.chosen, row.rejected
        case Ranking():
            good, bad = row.completions[0], row.completions[-1]
        case _:
            raise ValueError(f"a {_noun(row)} does not say whether its answer is good")
    return [
        Label(row.prompt, answer, label, row.tools, **_origin(row))
        for answer, label in ((good, True), (bad, False))
    ]


def _as_prompt(row: Row) -> Prompt:
    match row:
        case Prompt():
            return row
        case Pair() | Label() | Ranking():
            return Prompt(row.prompt, row.tools, **_origin(row))
        case Conversation():
            before = prompt_of(row.messages)
            if not before:
                raise ValueError("the assistant speaks first")
            answer = row.messages[len(before)].get("content")
            origin = _origin(row)
            if answer:
                origin["extra"] = {**row.extra, "reference": answer}
            return Prompt(before, row.tools, **origin)
        case _:
            raise ValueError(f"a {_noun(row)} asks nothing")


def _text(row: Row) -> str:
    if isinstance(row, Text):
        return row.text
    if isinstance(row, Label) and not row.label:
        raise ValueError("a bad answer is nothing to imitate")
    best = row if isinstance(row, Prompt) else _as_conversation(row)
    content = content_of(best)
    text = "\n\n".join(filter(None, (content.context, content.asked, content.answered)))
    if len(text.split()) < 2:
        raise ValueError("it has no two words")
    return text


def _talk(prompt: Said, answer: Said, tools: Any, row: Row) -> Conversation:
    messages = (*as_messages(prompt, "user"), *as_messages(answer, "assistant"))
    return Conversation(messages, tools, **_origin(row))


def _origin(row: Row) -> dict[str, Any]:
    return {"path": row.path, "line": row.line, "extra": row.extra}


def _noun(row: object) -> str:
    return type(row).__name__.lower()


def _key(prompt: Said) -> str:
    return repr(as_messages(prompt, "user"))
