"""Rendering of the demo handbooks: `python -m agentlab.demo.render [FOLDER]` writes the PDFs."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from fpdf import FPDF
from fpdf.enums import TableBordersLayout, XPos, YPos
from fpdf.fonts import FontFace

from agentlab.demo import FOLDER, HANDBOOKS
from agentlab.demo.manuscript import Block, Manuscript, read_manuscript

COMPANY = "Marrowfin Tidal Care"
A5 = (148.0, 210.0)
MARGIN, FOOT, LINE = 16.0, 16.0, 4.7
NOTE_LINE, NOTE_ROOM = 3.6, 12.0
TEAL, SAND, GREY = (15, 76, 92), (244, 238, 226), (110, 110, 110)


class HandbookPDF(FPDF):
    """An A5 handbook with a running header and footer on every page but the cover."""

    def __init__(self, manuscript: Manuscript) -> None:
        super().__init__(unit="mm", format=A5)
        self.manuscript = manuscript
        self.set_margins(MARGIN, 20, MARGIN)
        self.set_auto_page_break(True, FOOT)
        self.set_creation_date(datetime.strptime(manuscript.date, "%d %B %Y").replace(tzinfo=UTC))
        self.set_title(manuscript.title)
        self.set_author(COMPANY)
        self.set_subject(manuscript.subtitle)
        self.set_lang("en-GB")
        self.set_producer("agentlab.demo.render")

    def header(self) -> None:
        """Draw the running header."""
        if self.page_no() == 1:
            return
        self._small()
        self.set_y(9)
        self.cell(self.epw / 2, 5, COMPANY)
        self.cell(self.epw / 2, 5, self.manuscript.title, align="R")
        self.set_draw_color(*TEAL)
        self.line(MARGIN, 15, A5[0] - MARGIN, 15)
        self.set_y(20)

    def footer(self) -> None:
        """Draw the running footer with the page number."""
        if self.page_no() == 1:
            return
        self._small()
        self.set_y(-12)
        book = self.manuscript
        self.cell(self.epw * 0.7, 5, f"{book.code}, version {book.version}, {book.date}")
        self.cell(self.epw * 0.3, 5, f"Page {self.page_no()} of {{nb}}", align="R")

    def _small(self) -> None:
        self.set_font("helvetica", size=7.5)
        self.set_text_color(*GREY)

    def body(self, style: str = "", size: float = 9.5) -> None:
        """Set the font of running text."""
        self.set_font("helvetica", style, size)
        self.set_text_color(30, 30, 30)


def render(manuscript: Manuscript) -> HandbookPDF:
    """Draw a handbook: a cover, then each chapter from the top of a page."""
    pdf = HandbookPDF(manuscript)
    _cover(pdf)
    for chapter in manuscript.chapters:
        _chapter(pdf, chapter)
    return pdf


def render_all(folder: Path) -> list[Path]:
    """Render every text into `folder` and return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for text in sorted(FOLDER.joinpath("texts").glob("*.md")):
        target = folder / f"{text.stem}.pdf"
        render(read_manuscript(text)).output(str(target))
        written.append(target)
    return written


def _cover(pdf: HandbookPDF) -> None:
    book = pdf.manuscript
    pdf.add_page()
    pdf.set_fill_color(*TEAL)
    pdf.rect(0, 0, A5[0], 118, style="F")
    _waves(pdf)
    pdf.set_text_color(255, 255, 255)
    pdf.set_y(30)
    pdf.set_font("helvetica", size=12)
    _line(pdf, COMPANY, 8)
    pdf.ln(6)
    pdf.set_font("helvetica", "B", 26)
    _line(pdf, book.title, 11.5)
    pdf.set_y(130)
    pdf.body(size=11)
    _line(pdf, book.subtitle, 6)
    pdf.set_y(160)
    pdf.body(size=9)
    for line in (f"Version {book.version}", f"Valid from {book.date}", f"Document {book.code}"):
        _line(pdf, line, 5.2)
    _line(pdf, f"Owner: {book.owner}", 5.2)


def _waves(pdf: HandbookPDF) -> None:
    """Draw the tide along the lower edge of the cover's colour."""
    pdf.set_fill_color(*SAND)
    steps = range(0, 149, 2)
    crest = [(float(x), 112.0 + 3.0 * ((x // 2) % 14 - 7) ** 2 / 49) for x in steps]
    pdf.polygon([*crest, (A5[0], 118.0), (0.0, 118.0)], style="F")


def _chapter(pdf: HandbookPDF, blocks: Sequence[Block]) -> None:
    notes = [block.text for block in blocks if block.kind == "note"]
    pdf.set_auto_page_break(True, FOOT + (NOTE_ROOM if notes else 0))
    pdf.add_page()
    for block, following in zip(blocks, [*blocks[1:], Block("paragraph")], strict=True):
        _draw(pdf, block, last_item=following.kind != "item")
    pdf.set_auto_page_break(True, FOOT)
    _notes(pdf, notes)


def _draw(pdf: HandbookPDF, block: Block, *, last_item: bool) -> None:
    match block.kind:
        case "heading":
            _heading(pdf, block)
        case "paragraph":
            pdf.body()
            _line(pdf, block.text, LINE)
            pdf.ln(1.8)
        case "item":
            _item(pdf, block.text)
            pdf.ln(1.8 if last_item else 0)
        case "caption":
            _keep(pdf, 30)
            pdf.ln(1)
            pdf.body("B", 8.5)
            _line(pdf, block.text, LINE)
            pdf.ln(0.5)
        case "table":
            _table(pdf, block.rows)
        case "columns":
            _columns(pdf, block.parts)
        case "note":
            pass


def _line(pdf: HandbookPDF, text: str, height: float) -> None:
    pdf.multi_cell(0, height, text, align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def _keep(pdf: HandbookPDF, room: float) -> None:
    """Start a new page where what follows would be torn apart."""
    if pdf.will_page_break(room):
        pdf.add_page()


def _heading(pdf: HandbookPDF, block: Block) -> None:
    chapter = block.level == 1
    if not chapter:
        _keep(pdf, 20)
        pdf.ln(1.5)
    pdf.start_section(block.text, level=block.level - 1)
    pdf.set_font("helvetica", "B", 16 if chapter else 11)
    pdf.set_text_color(*TEAL)
    _line(pdf, block.text, 8 if chapter else 5.5)
    pdf.ln(2.5 if chapter else 1)


def _item(pdf: HandbookPDF, text: str) -> None:
    pdf.body()
    pdf.set_fill_color(*TEAL)
    pdf.circle(MARGIN + 2, pdf.get_y() + LINE / 2, 0.7, style="F")
    pdf.set_x(MARGIN + 5)
    _line(pdf, text, LINE)


def _table(pdf: HandbookPDF, rows: Sequence[Sequence[str]]) -> None:
    pdf.body(size=8.5)
    pdf.set_draw_color(170, 170, 170)
    head = FontFace(emphasis="BOLD", color=(255, 255, 255), fill_color=TEAL)
    with pdf.table(
        rows,
        headings_style=head,
        borders_layout=TableBordersLayout.HORIZONTAL_LINES,
        cell_fill_color=SAND,
        cell_fill_mode="ALL",
        line_height=LINE,
        text_align="LEFT",
        padding=(0.5, 1.2),
    ):
        pass
    pdf.ln(3)


def _columns(pdf: HandbookPDF, parts: Sequence[str]) -> None:
    """Set paragraphs in two columns; the words between ** are bold."""
    half = len("".join(parts)) / 2
    turn = min(range(len(parts)), key=lambda number: abs(half - len("".join(parts[:number]))))
    with pdf.text_columns(text_align="LEFT", ncols=2, gutter=7, line_height=1.35) as columns:
        for number, part in enumerate(parts):
            if number == turn:
                columns.new_column()
            _, lead, rest = part.split("**", 2)
            with columns.paragraph(bottom_margin=3) as paragraph:
                pdf.body("B", 9)
                paragraph.write(lead)
                pdf.body(size=9)
                paragraph.write(rest)


def _notes(pdf: HandbookPDF, notes: Sequence[str]) -> None:
    """Set the footnotes of a chapter at the foot of its last page."""
    if not notes:
        return
    top = A5[1] - FOOT - NOTE_LINE * 2 * len(notes)
    pdf.set_draw_color(*GREY)
    pdf.line(MARGIN, top - 1, MARGIN + 30, top - 1)
    pdf.set_y(top)
    pdf.body(size=7.5)
    for note in notes:
        _line(pdf, note, NOTE_LINE)


if __name__ == "__main__":
    for path in render_all(Path(sys.argv[1]) if len(sys.argv) > 1 else HANDBOOKS):
        sys.stdout.write(f"{path}\n")
