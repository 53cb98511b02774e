"""OCR: the text of a page's image, read by tesseract where it is on the machine."""

import math
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from ingest.layout import Line, clean, join_divided

DPI = 300
MOST_PIXELS = 25_000_000
LEAST_CONFIDENCE = 25  # of 100: below it, tesseract sees letters in pictures
QUESTION_S = 20

_WORD = "5"  # the level of a word in tesseract's table


@dataclass(frozen=True)
class Obstacle:
    """Why OCR cannot be done, and what to do about it."""

    detail: str
    remedy: str


@dataclass(frozen=True)
class Image:
    """A page's picture in shades of grey, a byte each, row by row."""

    width: int
    height: int
    pixels: bytes
    dpi: int

    @property
    def file(self) -> bytes:
        """Give it as a PGM file."""
        return b"P5 %d %d 255\n" % (self.width, self.height) + self.pixels


class PageError(Exception):
    """A page could not be read by OCR; the message says why."""


@dataclass(frozen=True)
class Ocr:
    """Reads images of pages: of all pages, or of those without text.

    `ask` is told, in seconds, how long the next step may take.
    """

    always: bool = False
    languages: str = "eng"
    page_timeout_s: float = 60.0
    ask: Callable[[float], None] = lambda _: None

    @cached_property
    def obstacle(self) -> Obstacle | None:
        """Say what is missing, or None."""
        if not is_installed():
            return Obstacle(
                "tesseract is not on the PATH",
                "install it (apt install tesseract-ocr, brew install tesseract)",
            )
        try:
            asked = subprocess.run(
                ["tesseract", "--list-langs"], capture_output=True, timeout=QUESTION_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return Obstacle(f"tesseract does not run ({error})", "install it anew")
        known = set((asked.stdout + asked.stderr).decode(errors="replace").split())
        missing = [name for name in self.languages.split("+") if name not in known]
        if not missing:
            return None
        packs = " ".join(f"tesseract-ocr-{name.replace('_', '-')}" for name in missing)
        return Obstacle(
            f"tesseract lacks the language {', '.join(missing)}",
            f"install it (apt install {packs}), or name others (--ocr-languages)",
        )

    def read(self, image: Image) -> list[Line]:
        """Read an image; raise PageError where tesseract fails or takes too long."""
        try:
            done = subprocess.run(
                command(self.languages, image.dpi),
                input=image.file,
                capture_output=True,
                timeout=self.page_timeout_s,
                env=os.environ | {"OMP_THREAD_LIMIT": "1"},  # pages are read side by side already
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise PageError(f"not read after {self.page_timeout_s:g} s") from error
        except OSError as error:
            raise PageError(f"tesseract does not run ({error.strerror})") from error
        if done.returncode:
            said = done.stderr.decode(errors="replace").split("\n")[0][:120]
            raise PageError(f"tesseract ended with code {done.returncode} ({said})")
        return parse_table(done.stdout.decode(errors="replace"))


def is_installed() -> bool:
    """Tell whether tesseract is on the PATH."""
    return shutil.which("tesseract") is not None


def command(languages: str, dpi: int) -> list[str]:
    """Ask tesseract for a table of the words of the image that it is fed."""
    return ["tesseract", "stdin", "stdout", "-l", languages, "--dpi", str(dpi), "tsv"]


def scale_of(width: float, height: float) -> float:
    """Choose how many pixels a point becomes: those of the DPI, or as many as memory allows."""
    return min(DPI / 72, math.sqrt(MOST_PIXELS / max(1.0, width * height)))


def parse_table(table: str) -> list[Line]:
    """Make lines of tesseract's table; paragraphs stand apart, divided words are marked."""
    rows = [row.split("\t") for row in table.splitlines()]
    words = [row for row in rows if len(row) == 12 and row[0] == _WORD and _is_sure(row)]
    lines: list[Line] = []
    for _, paragraph in groupby(words, key=lambda row: row[1:4]):
        texts = [
            clean(" ".join(row[11] for row in line))
            for _, line in groupby(paragraph, key=lambda row: row[4])
        ]
        joined = join_divided(text for text in texts if text)
        lines += [Line(text, gap=bool(lines) and not place) for place, text in enumerate(joined)]
    return lines


def _is_sure(row: list[str]) -> bool:
    return bool(row[11].strip()) and float(row[10]) >= LEAST_CONFIDENCE
