from pathlib import Path

import pytest

from agentlab.kept import Kept, kept_beside


class Killed(Exception):
    """Stand for the end of a process."""


def test_a_line_that_is_cut_within_a_character_is_done_once_more(tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    with pytest.raises(Killed), kept_beside(out, "the same") as kept:
        add(kept, "ä", "ö")
        raise Killed
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[: -len("\xb6\"}\n")])
    with kept_beside(out, "the same") as kept:
        assert kept.before == 1
        assert [line["said"] for line in kept.lines()] == ["ä"]


def add(kept: Kept, *words: str) -> None:
    for word in words:
        kept.add({"said": word})
