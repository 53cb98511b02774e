"""Files: the bytes of one, its text in whatever encoding, and a title for it."""

import codecs
import re
import stat
import unicodedata
from pathlib import Path

from ingest.errors import DocumentError, GoneError, TooLargeError, UnsupportedError
from ingest.layout import TITLE_LENGTH, clean

MAX_TEXT_BYTES = 32 * 1024 * 1024
"""The most bytes of a text, a Markdown or an HTML file: its parser holds many times as much."""
FALLBACK = "windows-1252"
SPLIT = "split it into smaller files, or leave it out"

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NOT_OF_FILES = re.compile(r"utf-?(?:7|16|32)|idna|punycode|escape|undefined|mbcs|oem")
_CONTROLS = 0.005
_NO_TITLE = re.compile(
    r"^(?:untitled|title|(?:word )?document\s*\d*|"
    r".*\.(?:docx?|tex|indd|pptx?|xlsx?|rtf|odt|pdf|dvi|qxd))$",
    re.IGNORECASE,
)


def load(path: Path, *, max_bytes: int, limit: str = "the limit (max_bytes)") -> bytes:
    """Read a file's bytes, of which there is at least one; `limit` is what the limit is called."""
    source = str(path)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for without end
            raise UnsupportedError(source, "not a file", "leave it out")
        if status.st_size > max_bytes:
            raise TooLargeError(source, f"{status.st_size:,} bytes, {limit} is {max_bytes:,}")
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise GoneError(source, "it does not exist") from error
    except OSError as error:
        detail = error.strerror or type(error).__name__
        raise DocumentError(
            source, f"cannot be read ({detail})", "check its permissions"
        ) from error
    if not data:
        raise UnsupportedError(source, "the file is empty (0 bytes)", "get a fresh copy")
    return data


def load_text(
    path: Path, *, max_bytes: int, charset: re.Pattern[bytes] | None = None
) -> tuple[bytes, str, str]:
    """Read a file of text: its bytes, its text, and a remark where its encoding was a guess.

    `charset` finds the name of the encoding that such a file declares in its first bytes.
    """
    source = str(path)
    try:
        if max_bytes <= MAX_TEXT_BYTES:
            data = load(path, max_bytes=max_bytes)
        else:
            data = load(path, max_bytes=MAX_TEXT_BYTES, limit="the limit for text")
    except TooLargeError as error:
        raise TooLargeError(source, error.detail, SPLIT) from error
    found = charset.search(data[:4096]) if charset else None
    text, remark = decode(data, declared=found.group(1).decode("ascii", "replace") if found else "")
    if not _is_text(text):
        raise UnsupportedError(source, f"not text (it begins with {data[:8]!r})")
    return data, text, remark


def decode(data: bytes, *, declared: str = "") -> tuple[str, str]:
    """Decode by byte order mark, declaration, or as UTF-8; else by the fallback, with a remark."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data.decode(encoding, "replace"), ""
    for encoding in filter(None, (_encoding(declared), "utf-8")):
        try:
            return data.decode(encoding), ""
        except (UnicodeError, LookupError):
            continue
    other = declared and _encoding(declared) != "utf-8"
    said = f"neither {declared} nor UTF-8" if other else "not UTF-8"
    remark = f"{said}: read as {FALLBACK}; save it as UTF-8 if letters in it look wrong"
    return data.decode(FALLBACK, "replace"), remark


def usable_title(given: str) -> str:
    """Give a title as it is shown, or "" where it is a file's name or none at all."""
    given = clean(" ".join(given.split()))
    given = re.sub(r"^Microsoft (?:Word|PowerPoint|Excel) - ", "", given)
    is_title = sum(char.isalpha() for char in given) >= 3 and not _NO_TITLE.match(given)
    return given[:TITLE_LENGTH] if is_title else ""


def name_as_title(path: Path) -> str:
    """Make a title of a file's name."""
    return re.sub(r"[\W_]+", " ", path.stem).strip() or path.name


def brief(error: Exception) -> str:
    """Name an error in a few words."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:80]}" if text else type(error).__name__


def _encoding(declared: str) -> str:
    """Give the encoding that a declaration means on the web, or ""."""
    try:
        name = codecs.lookup(declared).name if declared else ""
    except LookupError:
        return ""
    if name in {"iso8859-1", "ascii"}:
        return FALLBACK
    return "" if _NOT_OF_FILES.search(name.replace("_", "-")) else name


def _is_text(text: str) -> bool:
    """Tell text from other bytes, which decode to many controls."""
    odd = sum(
        unicodedata.category(char) == "Cc" or char == "\ufffd"
        for char in text[:100_000]
        if char not in "\t\n\r\f\x1b"
    )
    return odd <= _CONTROLS * min(len(text), 100_000)
