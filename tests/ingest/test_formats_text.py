"""Reading plain text: its lines as they are, whatever its encoding."""

import random
from pathlib import Path

import pytest
from formats_fakes import HOTELS, headings_of, read, text_of

from ingest.errors import DocumentError, NoTextError, TooLargeError, UnsupportedError
from ingest.formats import read_document
from ingest.formats.text import text_blocks

RULES = f"""TRAVEL RULES\r
\r
1. Hotels\r
\r
{HOTELS}\r
  - one   two\r

2.1 Meals on land
-----------------
Meals are free.
"""


def test_lines_are_kept_and_headings_found(tmp_path: Path) -> None:
    document = read(tmp_path / "rules.txt", RULES)
    assert document.title == "TRAVEL RULES"
    assert headings_of(document) == ["TRAVEL RULES", "1. Hotels", "2.1 Meals on land"]
    assert f"{HOTELS}\n  - one   two\n\n2.1 Meals on land\n\nMeals are free." in text_of(document)


def test_items_of_a_list_are_no_headings() -> None:
    blocks = text_blocks("To do\n\n1. Buy milk\n\n2. Sell milk\n\n3. Rest\n")
    assert [block.level for block in blocks] == [0, 0, 0, 0]


def test_sentences_and_long_lines_are_no_headings() -> None:
    text = f"1. This ends.\n\nText.\n\nCHAPTER {'LONG ' * 30}\n\nText.\n\nChapter 2\n\nText."
    assert [block.level for block in text_blocks(text)] == [0, 0, 0, 0, 1, 0]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_unicode_is_read_with_and_without_a_mark(tmp_path: Path, encoding: str) -> None:
    document = read(tmp_path / "a.txt", "Grüße aus Köln – 日本".encode(encoding))
    assert (text_of(document), document.remark) == ("Grüße aus Köln – 日本", "")


def test_another_encoding_is_read_and_remarked_upon(tmp_path: Path) -> None:
    document = read(tmp_path / "a.txt", "Grüße – “Köln”".encode("windows-1252"))
    assert text_of(document) == "Grüße – “Köln”"
    assert document.remark == (
        "not UTF-8: read as windows-1252; save it as UTF-8 if letters in it look wrong"
    )


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.html"])
def test_binary_rubbish_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnsupportedError, match="not text"):
        read(tmp_path / name, random.Random(1).randbytes(5000))


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.html", "a.docx", "a.pdf"])
def test_an_empty_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnsupportedError, match=r"the file is empty \(0 bytes\); get a fresh copy"):
        read(tmp_path / name, b"")


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.html"])
def test_a_file_without_letters_has_no_text(tmp_path: Path, name: str) -> None:
    with pytest.raises(NoTextError, match="it holds no text"):
        read(tmp_path / name, " \n\n -- \n")


def test_fifty_megabytes_of_text_are_too_large(tmp_path: Path) -> None:
    with pytest.raises(TooLargeError, match="the limit for text is 33,554,432; split it"):
        read(tmp_path / "a.txt", b"word " * 10_000_000)


def test_own_limits_hold(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("word " * 4000)
    with pytest.raises(TooLargeError, match=r"20,000 bytes, the limit \(max_bytes\) is 100; split"):
        read_document(path, max_bytes=100, max_pages=9)
    with pytest.raises(TooLargeError, match=r"4 parts, the limit \(max_pages\) is 3; split"):
        read_document(path, max_bytes=10**9, max_pages=3)


def test_a_folder_named_like_a_text_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(DocumentError, match="not a file"):
        read(tmp_path / "a.txt")
