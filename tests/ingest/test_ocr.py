"""OCR: pages that are pictures, read by a stand-in and, where it is at hand, by tesseract."""

import shutil
from pathlib import Path

import pytest
from fpdf import FPDF
from ingest_fakes import write_pdf
from PIL import Image, ImageDraw, ImageFont

from ingest.config import IngestConfig
from ingest.documents import Document
from ingest.errors import NoTextError, OcrError
from ingest.layout import BROKEN_HYPHEN
from ingest.ocr import Ocr, command, parse_table, scale_of
from ingest.parsing import read_documents
from ingest.pdf import read_pdf

LEAVE = "Everyone has thirty days of leave."
ROOMS = "A room costs up to 142 crowns a night."

STAND_IN = """#!/bin/sh
if [ "$1" = --list-langs ]; then
  printf 'List of available languages in "/packs/" (2):\\neng\\nosd\\n'
  exit
fi
echo "$@" >> "{folder}/asked"
cat > "{folder}/image.pgm"
{act}
"""


def table(*words: tuple[int, int, str], confidence: str = "91.5") -> str:
    """Write what tesseract would for (paragraph, line, word)."""
    head = (
        "level page_num block_num par_num line_num word_num left top width height conf text".split()
    )
    rows = [head, ["4", "1", "1", "1", "1", "0", "5", "5", "90", "9", "-1", ""]]
    rows += [
        ["5", "1", "1", str(paragraph), str(line), "1", "5", "5", "90", "9", confidence, word]
        for paragraph, line, word in words
    ]
    return "".join("\t".join(row) + "\n" for row in rows)


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a tesseract on the PATH that reads "Read by machine" on each page."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "table").write_text(table((1, 1, "Read"), (1, 1, "by"), (1, 1, "machine")))
    act(folder, f'cat "{folder}/table"')
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def act(folder: Path, command: str) -> None:
    """Have the stand-in do something else with a page."""
    program = folder / "tesseract"
    program.write_text(STAND_IN.format(folder=folder, act=command))
    program.chmod(0o755)


def write_mixed(path: Path, *, pictures: int = 1, texts: int = 1) -> Path:
    """Write a PDF with pages that are pictures of LEAVE, pages with the text ROOMS, and a blank."""
    picture = Image.new("L", (1240, 600), 255)
    font = ImageFont.load_default(size=44)
    ImageDraw.Draw(picture).text((80, 200), LEAVE, fill=0, font=font)
    pdf = FPDF()
    for _ in range(pictures):
        pdf.add_page()
        pdf.image(picture, x=10, y=20, w=190)
    for _ in range(texts):
        pdf.add_page()
        pdf.set_font("Helvetica", size=11)
        pdf.cell(0, 6, ROOMS)
    pdf.add_page()
    path.write_bytes(bytes(pdf.output()))
    return path


def read(path: Path, **config: object) -> Document | NoTextError:
    [(_, outcome)] = read_documents([path], IngestConfig.model_validate(config))
    assert isinstance(outcome, Document | NoTextError)
    return outcome


def test_only_pages_without_text_are_read_by_ocr(tmp_path: Path, stand_in: Path) -> None:
    document = read(write_mixed(tmp_path / "a.pdf"))
    assert isinstance(document, Document)
    assert [page.text for page in document.pages] == ["Read by machine", ROOMS, ""]
    assert document.remark == "1 of 3 pages read by OCR"
    assert (stand_in / "asked").read_text() == "stdin stdout -l eng --dpi 300 tsv\n"
    image = (stand_in / "image.pgm").read_bytes()
    assert image.startswith(b"P5 2481 3508 255\n")
    assert len(image) == len(b"P5 2481 3508 255\n") + 2481 * 3508


def test_every_page_is_read_by_ocr_where_that_is_wanted(tmp_path: Path, stand_in: Path) -> None:
    document = read(write_mixed(tmp_path / "a.pdf"), ocr="always")
    assert isinstance(document, Document)
    assert [page.text for page in document.pages] == ["Read by machine", "Read by machine", ""]
    assert document.remark == "2 of 3 pages read by OCR"


def test_a_scan_without_ocr_is_named_with_what_can_be_done(
    tmp_path: Path, stand_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_mixed(tmp_path / "a.pdf", texts=0)
    assert "it looks like a scan: use --ocr auto, or add a text layer" in str(
        read(path, ocr="never")
    )
    assert not (stand_in / "asked").exists()
    lacking = read(path, ocr_languages="eng+deu+chi_sim")
    assert "2 pages without text, and tesseract lacks the language deu, chi_sim" in str(lacking)
    assert "apt install tesseract-ocr-deu tesseract-ocr-chi-sim" in str(lacking)
    monkeypatch.setenv("PATH", str(tmp_path))
    missing = str(read(path))
    assert "tesseract is not on the PATH" in missing
    assert "apt install tesseract-ocr" in missing
    assert "ocrmypdf" in missing


def test_ocr_of_all_pages_needs_tesseract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_mixed(tmp_path / "a.pdf")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OcrError, match=r"tesseract is not on the PATH; install it"):
        read(path, ocr="always")


def test_a_page_that_tesseract_fails_on_is_named_and_the_others_are_kept(
    tmp_path: Path, stand_in: Path
) -> None:
    act(stand_in, "echo 'Image too small' >&2; exit 3")
    document = read(write_mixed(tmp_path / "a.pdf", pictures=2))
    assert isinstance(document, Document)
    assert document.pages[2].text == ROOMS
    assert document.remark == (
        "OCR failed on page 1 and 1 more: tesseract ended with code 3 (Image too small)"
    )


def test_a_page_has_a_deadline_of_its_own(tmp_path: Path, stand_in: Path) -> None:
    act(stand_in, "exec sleep 3600")
    outcome = read(write_mixed(tmp_path / "a.pdf", texts=0), ocr_page_timeout_s=1.5)
    assert isinstance(outcome, NoTextError)
    assert "(OCR failed on page 1: not read after 1.5 s)" in str(outcome)


def test_pages_may_together_take_longer_than_a_file(tmp_path: Path, stand_in: Path) -> None:
    act(stand_in, f'sleep 0.8; cat "{stand_in}/table"')
    document = read(write_mixed(tmp_path / "a.pdf", pictures=5), timeout_s=3)
    assert isinstance(document, Document)
    assert document.remark == "5 of 7 pages read by OCR"


def test_time_is_asked_for_before_each_page(tmp_path: Path, stand_in: Path) -> None:
    asked: list[float] = []
    read_pdf(write_mixed(tmp_path / "a.pdf"), ocr=Ocr(page_timeout_s=30, ask=asked.append))
    assert asked == [60, 60]


def test_a_locked_scan_is_read_with_its_password(tmp_path: Path, stand_in: Path) -> None:
    path = write_pdf(tmp_path / "a.pdf", [[("", ROOMS)]], password="quillon")
    document = read(path, passwords=("quillon",), ocr="always")
    assert isinstance(document, Document)
    assert document.pages[0].text == "Read by machine"


def test_a_table_becomes_lines_with_paragraphs_apart_and_words_whole() -> None:
    words = table((1, 1, "The"), (1, 1, "reim-"), (1, 2, "bursement"), (2, 1, "is"), (2, 1, "late"))
    lines = parse_table(words)
    assert [line.text for line in lines] == [f"The reim{BROKEN_HYPHEN}bursement", "is late"]
    assert [line.gap for line in lines] == [False, True]


def test_letters_that_tesseract_only_guesses_are_left_out() -> None:
    assert parse_table(table((1, 1, "~|"), confidence="7.2")) == []


def test_the_command_names_languages_and_resolution() -> None:
    assert command("deu+eng", 150) == [
        *"tesseract stdin stdout -l deu+eng --dpi 150 tsv".split(),
    ]


def test_huge_pages_are_drawn_within_bounds() -> None:
    assert scale_of(595, 842) == 300 / 72
    scale = scale_of(14_400, 14_400)
    assert 24_000_000 < (14_400 * scale) ** 2 <= 25_000_001


@pytest.mark.parametrize("given", ["--psm", "eng;ls", "eng+", "", "../eng"])
def test_languages_are_names(given: str) -> None:
    with pytest.raises(ValueError, match="ocr_languages"):
        IngestConfig(ocr_languages=given)


def test_tesseract_itself_reads_a_scan(tmp_path: Path) -> None:
    if shutil.which("tesseract") is None:
        pytest.skip("tesseract is not on this machine")
    document = read(write_mixed(tmp_path / "a.pdf"))
    assert isinstance(document, Document)
    assert document.pages[0].text == LEAVE
    assert document.remark == "1 of 3 pages read by OCR"
