from pathlib import Path

import pytest

from agentlab.kept import Kept, kept_beside


def test_a_line_that_is_cut_within_a_character_is_done_once_more(tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    with pytest.raises(KeyboardInterrupt), kept_beside(out, "the same") as kept:
        add_until_killed(kept, "ä", "ö")
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[: -len('\xb6"}\n')])
    with kept_beside(out, "the same") as kept:
        assert kept.before == 1
        assert [line["said"] for line in kept.lines()] == ["ä"]


def add_until_killed(kept: Kept, *words: str) -> None:
    for word in words:
        kept.add({"said": word})
    raise KeyboardInterrupt
