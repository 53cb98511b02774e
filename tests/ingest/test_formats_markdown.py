"""Reading Markdown: as what it stands for, with its front matter."""

from pathlib import Path

import pytest
from formats_fakes import HOTELS, headings_of, read, text_of

from ingest.errors import CorruptError, TooLargeError
from ingest.formats import markdown
from ingest.formats.markdown import split_front_matter

RULES = f"""---
title: Field Rules
author: Quillon
tags: [travel]
---
# Rules of all

Read *all* of [this](http://example.org), `really`,
and keep it.

Hotels
------

{HOTELS}

1. Ask
2. Book
   - early

| City | Limit |
|------|------:|
| Northhaven | 142 |

```python
def f(x):
    return   x  # *not* emphasis
```

<details><summary>More</summary>

Folded <b>text</b>.

</details>
<!-- secret -->
"""


def test_markup_becomes_the_text_that_it_stands_for(tmp_path: Path) -> None:
    document = read(tmp_path / "rules.md", RULES)
    assert text_of(document).split("\n\n") == [
        "Rules of all",
        "Read all of this, really, and keep it.",
        "Hotels",
        HOTELS,
        "1. Ask\n2. Book\n  - early",
        "City | Limit\nNorthhaven: Limit 142.",
        "def f(x):\n    return   x  # *not* emphasis",
        "More",
        "Folded text.",
    ]
    assert headings_of(document) == ["Rules of all", "Hotels"]
    assert (document.title, document.metadata["author"]) == ("Field Rules", "Quillon")


def test_without_front_matter_the_first_heading_or_the_name_is_the_title(tmp_path: Path) -> None:
    assert read(tmp_path / "a.markdown", "Intro.\n\n# Hotels\n\nText.\r\n").title == "Hotels"
    assert read(tmp_path / "my-notes.md", "Only text.").title == "my notes"


@pytest.mark.parametrize(
    "text",
    [
        "---\n- a list\n---\ntext",
        "---\ntitle: [\n---\ntext",
        "---\na: &a [x]\nb: [*a, *a]\n---\ntext",
        "---\ndate: 2024-99-99\n---\ntext",
        f"---\ntitle: {'[' * 5000}\n---\ntext",
        "text\n---\ntitle: no front\n---\n",
    ],
)
def test_what_only_looks_like_front_matter_is_text(text: str) -> None:
    assert split_front_matter(text) == ({}, text)


def test_lists_are_taken_by_their_items_and_what_is_deeper_not_at_all(tmp_path: Path) -> None:
    front = "title: [a, b]\ndate: 2031-05-02\nTags: [pumps, cranes]\nof: {a: 1}\nnone:"
    told, body = split_front_matter(f"---\n{front}\n---\ntext")
    assert (told, body) == ({"date": "2031-05-02", "tags": "pumps, cranes"}, "text")


def test_front_matter_holds_nothing_that_no_store_takes() -> None:
    told, _ = split_front_matter('---\ntitle: "Crane \\ud800 Rules\\e[2J"\n"\\ud83d": x\n---\ntext')
    assert told == {"title": "Crane  Rules[2J"}


def test_what_the_parser_takes_forever_for_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CorruptError, match=r"100,001 brackets .* rename it to \.txt"):
        read(tmp_path / "a.md", "[" * 100_001)
    monkeypatch.setattr(markdown, "MAX_CHARACTERS", 10)
    with pytest.raises(TooLargeError, match="11 characters, the limit for Markdown is 10"):
        read(tmp_path / "a.md", "x" * 11)


def test_deep_nesting_does_not_end_the_reader(tmp_path: Path) -> None:
    for sign in ("> ", "- ", "*a "):
        assert "deep" not in text_of(read(tmp_path / "a.md", "first\n\n" + sign * 3000)).lower()
