"""Tables to train the reader on: rows that name their columns, as an ingest writes them.

A question asks for one cell; beside it stand the other cells of its row and those of its column. A
table of one row is printed as a sheet: a line for each column. Often a text follows that names the
same things with other values, as notes and footnotes do.
"""

import random
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from agentlab.starter.handbooks import HandbookItem
from agentlab.starter.templates import expand
from ingest.tables import row_text

_SHEET = 0.3
_FOLLOWED = 0.6
_NOTED = 0.6
_GROUPED = 0.25
_NOTES = (
    "In {year}, the {name} of {row} was {value}, which a review called too <high|low|uneven>.",
    "Before {year} the {name} for {row} had been {value}, and many had asked for a change.",
    "The {name} of {row} is worked out by a procedure of {year}, which gave {value} at that time.",
    "For example, if {row} were counted as in {year}, its {name} would be about {value}.",
    "The {name} is set anew each <spring|autumn|year|January>.",
    "All values hold until the next <issue|edition|sheet> is out.",
    "Whoever has questions about {row} <asks at the desk|writes to the office|rings us>.",
)
_GROUPS = ("Regular", "Figures", "Standard", "Agreed", "Values", "Current", "Published")
_LEADS = ("And {r}?", "and {r}", "What about {r}?", "{r}?", "How about {r}?", "And for {r}?")
_OTHER_THINGS = (
    "Who decided on the values?",
    "Where can I complain about this?",
    "When was the table last changed?",
    "What were the values ten years ago?",
)


@dataclass(frozen=True)
class _Cell:
    """A cell: its row, its column, its value, and the line that it is printed in."""

    row: str
    column: Mapping[str, Any]
    value: str
    line: str


def table_items(seed: int, count: int) -> list[HandbookItem]:
    """Draw tables with a question each; the same seed gives the same ones."""
    rng = random.Random(seed)
    items: list[HandbookItem] = []
    while len(items) < count:
        items += _item(rng, rng.choice(_tables()))
    return items[:count]


@cache
def _tables() -> tuple[Mapping[str, Any], ...]:
    file = resources.files("agentlab.starter").joinpath("tables.toml")
    return tuple(tomllib.loads(file.read_text(encoding="utf-8"))["tables"])


def _item(rng: random.Random, table: Mapping[str, Any]) -> Iterator[HandbookItem]:
    """Give an item, or nothing where the cell asked for can be mistaken for another of its line."""
    count = min(len(table["columns"]), rng.randint(2, 4))
    columns = sorted(rng.sample(table["columns"], count), key=table["columns"].index)
    names = {each["name"][0]: rng.choice(each["name"]) for each in columns}
    if rng.random() < _SHEET:
        lines, cells = _sheet(rng, rng.choice(table["rows"]), columns, names)
    else:
        rows = rng.sample(table["rows"], rng.randint(3, min(6, len(table["rows"]))))
        lines, cells = _rows(rng, table["first"], rows, columns, names)
    asked = rng.choice(cells)
    if rng.random() < _NOTED:
        lines += ["", " ".join(_notes(rng, asked, cells))]
    if any(each.line.find(each.value) != each.line.rfind(each.value) for each in cells):
        return
    yield HandbookItem(
        title=rng.choice(table["titles"]),
        heading=rng.choice(table["headings"]),
        passage="\n".join(lines),
        question=_question(rng, asked),
        answer=asked.value,
        sentence=asked.line,
        near_miss=_near_miss(rng, table, cells),
        **_follow_up(rng, asked, cells),
    )


def _rows(
    rng: random.Random,
    first: str,
    rows: Sequence[str],
    columns: Sequence[Mapping[str, Any]],
    names: Mapping[str, str],
) -> tuple[list[str], list[_Cell]]:
    heads = [first, *(names[each["name"][0]] for each in columns)]
    if rng.random() < _GROUPED:  # a head over two columns
        heads[1] = f"{rng.choice(_GROUPS)} {heads[1]}"
    lines, cells = [" ".join(heads), ""], []  # as the rows of a printed table are set apart
    for row in rows:
        values = [expand(rng, each["value"]) for each in columns]
        lines.append(row_text(heads, [row, *values]))
        cells += [
            _Cell(row, each, value, lines[-1]) for each, value in zip(columns, values, strict=True)
        ]
    return lines, cells


def _sheet(
    rng: random.Random,
    row: str,
    columns: Sequence[Mapping[str, Any]],
    names: Mapping[str, str],
) -> tuple[list[str], list[_Cell]]:
    lines, cells = [f"{row}:"], []
    for each in columns:
        value = expand(rng, each["value"])
        lines.append(f"{names[each['name'][0]]}: {value}")
        cells.append(_Cell(row, each, value, lines[-1]))
    return lines, cells


def _notes(rng: random.Random, asked: _Cell, cells: Sequence[_Cell]) -> Iterator[str]:
    """Say what was so once, of the cell that is asked for and of others."""
    for template in rng.sample(_NOTES, rng.randint(1, 2)):
        cell = asked if rng.random() < 0.7 else rng.choice(cells)
        value = expand(rng, cell.column["value"])
        name = rng.choice(cell.column["name"])
        yield expand(rng, template).format(
            year=rng.randint(1998, 2025), name=name[0].lower() + name[1:], row=cell.row, value=value
        )


def _question(rng: random.Random, cell: _Cell) -> str:
    text: str = rng.choice(cell.column["ask"])
    asked = text.replace("{r}", cell.row if rng.random() < 0.6 else cell.row.lower())
    return asked.removesuffix("?") if rng.random() < 0.2 else asked


def _follow_up(rng: random.Random, asked: _Cell, cells: Sequence[_Cell]) -> dict[str, str]:
    """Ask on: the same of another row, or something else of the same row."""
    same_column = [each for each in cells if each.column is asked.column and each is not asked]
    same_row = [each for each in cells if each.row == asked.row and each is not asked]
    if rng.random() >= _FOLLOWED or not (same_column or same_row):
        return {}
    if same_column and (not same_row or rng.random() < 0.5):
        on = rng.choice(same_column)
        text = rng.choice(_LEADS).replace("{r}", on.row)
    else:
        on = rng.choice(same_row)
        text = rng.choice(on.column["it"])
    return {
        "follow_up": text,
        "follow_up_query": _question(rng, on),
        "follow_up_answer": on.value,
        "follow_up_sentence": on.line,
    }


def _near_miss(rng: random.Random, table: Mapping[str, Any], cells: Sequence[_Cell]) -> str:
    """Ask for a row or a column that the table does not have."""
    shown = {each.row for each in cells}
    rows = [row for row in table["rows"] if row not in shown]
    columns = [each for each in table["columns"] if all(each is not cell.column for cell in cells)]
    asked = rng.choice(cells)
    if rows and rng.random() < 0.5:
        return _question(rng, _Cell(rng.choice(rows), asked.column, "", ""))
    if columns:
        return _question(rng, _Cell(asked.row, rng.choice(columns), "", ""))
    return rng.choice(_OTHER_THINGS)
