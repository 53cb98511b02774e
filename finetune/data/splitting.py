"""Split: rows set apart for training and for measuring, so that nothing measured was learned."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from finetune.data.content import content_of
from finetune.data.duplicates import exact_key, words_of
from finetune.data.files import Fault, files_in
from finetune.data.reading import Known, known_rows, refuse_faults
from finetune.data.rows import Row
from finetune.data.writing import refuse_own_input, to_jsonl, whole_file
from finetune.errors import ConfigError

HASH, AUTO = "hash", "auto"
# What rows of one source have in common, the most telling first.
_GROUPS = ("document", "source", "subject", "run")
_TOO_LARGE = 1.5


@dataclass(frozen=True)
class Split:
    """What a split did: rows and groups of each part, and by which field the rows were grouped."""

    by: str
    rows: dict[str, int]
    groups: dict[str, int]
    files: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)


def split(
    paths: Iterable[Path],
    out: Path,
    *,
    ratios: Mapping[str, float],
    by: str = AUTO,
    seed: int = 7,
) -> Split:
    """Write the rows to `out/<part>.jsonl`, each as it stands, by the ratios of the parts.

    Rows of one group are never in two parts. `by` names the field that groups them (`document`,
    `subject`, any other), or is `hash`: rows that ask the same are one group; `auto` takes the
    first of document, source, subject and run that every row has, else `hash`. Groups that share
    a row word for word become one. Raises ExampleError for a bad row, ConfigError where there are
    fewer groups than parts.
    """
    files = files_in(paths)
    targets = {name: out / f"{name}.jsonl" for name in ratios}
    for target in targets.values():
        refuse_own_input(target, files)
    field, members = _grouped(files, by)
    placed = assign(Counter(members), ratios, seed=seed)
    rows: Counter[str] = Counter()
    with ExitStack() as stack:
        opened = {name: stack.enter_context(whole_file(path)) for name, path in targets.items()}
        known = (each for each in known_rows(files) if isinstance(each, Known))
        for group, each in zip(members, known, strict=True):
            opened[placed[group]].write(to_jsonl(each.record.fields))
            rows[placed[group]] += 1
    groups = Counter(placed.values())
    return Split(
        field,
        {name: rows[name] for name in ratios},
        {name: groups[name] for name in ratios},
        {name: str(path) for name, path in targets.items()},
    )


def assign(sizes: Mapping[str, int], ratios: Mapping[str, float], *, seed: int) -> dict[str, str]:
    """Give each group its part: the smaller parts are filled in drawn order, the largest gets rest.

    The same groups, ratios and seed give the same parts. Each part has one group at least.
    """
    parts = sorted(ratios, key=lambda name: ratios[name])
    if len(sizes) < len(parts):
        raise ConfigError(
            f"{len(sizes)} group(s) cannot fill {len(parts)} parts. Group by something finer "
            "(--by hash), or ask for fewer parts."
        )
    share = sum(sizes.values()) / sum(ratios.values())
    left = sorted(sizes, key=lambda name: hashlib.sha256(f"{seed}\0{name}".encode()).digest())
    placed: dict[str, str] = {}
    for number, part in enumerate(parts[:-1]):
        after = len(parts) - number - 1
        taken = _fill(left, sizes, ratios[part] * share, most=len(left) - after)
        placed |= dict.fromkeys(taken, part)
        left = [name for name in left if name not in placed]
    return placed | dict.fromkeys(left, parts[-1])


def _fill(left: Sequence[str], sizes: Mapping[str, int], wanted: float, *, most: int) -> list[str]:
    taken: list[str] = []
    total = 0
    for name in left:
        # The nearer to what is wanted the better, but a group is not to swallow the whole part.
        if total >= wanted or len(taken) == most:
            break
        if total + sizes[name] <= wanted * _TOO_LARGE:
            taken.append(name)
            total += sizes[name]
    return taken or [min(left, key=lambda name: sizes[name])]


def _grouped(files: Sequence[Path], by: str) -> tuple[str, list[str]]:
    """Give the field that groups, and each row's group."""
    fields = _GROUPS if by == AUTO else () if by == HASH else (by,)
    named: dict[str, list[str | None]] = {name: [] for name in fields}
    asked: list[str] = []
    keys: list[bytes] = []
    faults: list[Fault] = []
    places: list[str] = []
    for each in known_rows(files):
        if isinstance(each, Fault):
            faults.append(each)
            continue
        content = content_of(each.row)
        keys.append(exact_key(content))
        asked.append(" ".join(words_of(content.asked or content.answered)))
        places.append(f"{each.record.path}:{each.record.line}")
        for name in fields:
            named[name].append(_named(each, name))
    refuse_faults(faults, kind="row")
    field = next((name for name in fields if all(named[name])), HASH)
    if by not in (AUTO, HASH, field):
        missing = next(place for place, name in zip(places, named[by], strict=True) if not name)
        raise ConfigError(
            f"{missing} has no `{by}` to split by. Give a field that every row has, or --by hash."
        )
    groups = [str(name) for name in named[field]] if field != HASH else asked
    return field, _joined(groups, keys)


def _named(known: Known, name: str) -> str | None:
    if isinstance(known.row, Row) and name in known.row.lineage:
        return known.row.lineage[name]
    value = known.record.fields.get(name)
    return None if value in (None, "") else str(value)


def _joined(groups: Sequence[str], keys: Sequence[bytes]) -> list[str]:
    """Make one group of those that share a row; the group is named by its first."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    first: dict[bytes, str] = {}
    for group, key in zip(groups, keys, strict=True):
        one, other = root(first.setdefault(key, group)), root(group)
        parent[other] = one
    return [root(group) for group in groups]
