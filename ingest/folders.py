"""Folders: which files there are, where they lie, and which bytes they hold."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from ingest.documents import KINDS
from ingest.errors import DocumentError, GoneError, NothingToIngestError, PathMissingError
from ingest.events import Skipped

_NOTHING = "no file that can be read"
_BAD_NAME = "its path is not valid UTF-8"
_RENAME = "rename it (or the folder that it is in); convmv -f latin1 -t utf8 does so for many"


def find_files(
    paths: Sequence[Path], *, none_is_fine: bool = False
) -> tuple[list[Path], list[Skipped]]:
    """Find the files: as given, or in folders by their suffix, hidden ones left out, each once.

    Also tells of folders that hold none or cannot be looked into, and of what lies under a name
    that is not UTF-8, which no store keeps. Raises PathMissingError or, where there is no file at
    all, NothingToIngestError.
    """
    found: dict[str, Path] = {}
    left_out: list[Skipped] = []
    for path in paths:
        if not path.exists():
            raise PathMissingError(f"{_printed(path)} does not exist: check the path.")
        inside, barred = _files_below(path) if path.is_dir() else _by_name([path])
        left_out += barred
        if not inside and not barred:
            left_out.append(Skipped(str(path), "empty", _NOTHING, "check the path"))
        for each in inside:
            found.setdefault(os.path.realpath(each), each)  # a circle of links is no error to it
    if not found and not none_is_fine:
        where = "; ".join(map(_why_nothing, left_out)) or "no path was given"
        raise NothingToIngestError(
            f"Nothing to ingest: {where}. Give a file ({', '.join(KINDS)}), or a folder that "
            "holds some."
        )
    return list(found.values()), left_out


def place_of(path: Path | str) -> str:
    """Name a file by where it lies: absolute, its folder without links, itself maybe one."""
    path = Path(path)
    return str(path.parent.resolve() / path.name)


def below(path: Path, roots: Iterable[Path]) -> str:
    """Name the folders in which a file lies below one that was given, as `3M/2018`, or ""."""
    inside = (path.relative_to(root) for root in roots if path.is_relative_to(root))
    found = next(inside, Path())
    return "" if found.parent == Path() else found.parent.as_posix()


def is_gone(path: str) -> bool:
    """Tell whether a file is surely gone: one that cannot be looked at is not."""
    try:
        Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def file_digest(path: Path) -> str:
    """Give the sha256 of a file's bytes, in hex: the id of its document."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise cannot_read(path, error) from error


def cannot_read(path: Path, error: OSError) -> DocumentError:
    """Make the error of a file that cannot be opened."""
    if isinstance(error, FileNotFoundError):
        return GoneError(str(path), "it is gone")
    detail = f"cannot be read ({error.strerror or type(error).__name__})"
    return DocumentError(str(path), detail, "check that it is there and its permissions")


def _files_below(folder: Path) -> tuple[list[Path], list[Skipped]]:
    """List a folder's files of known kinds in order, and what in it cannot be taken.

    Links to folders are not followed, they may be circular; nor are the files taken that a word
    processor keeps beside an open one.
    """
    found: list[Path] = []
    barred: list[Skipped] = []

    def tell(error: OSError) -> None:
        detail = f"the folder cannot be looked into ({error.strerror})"
        barred.append(Skipped(str(error.filename), "unreadable", detail, "check its permissions"))

    for root, folders, files in os.walk(folder, onerror=tell):
        inner, badly_named = _by_name(
            Path(root, name) for name in sorted(folders) if not name.startswith(".")
        )
        folders[:] = [each.name for each in inner]
        barred += badly_named
        named, badly_named = _by_name(
            Path(root, name)
            for name in sorted(files)
            if name.lower().endswith(tuple(KINDS)) and not name.startswith((".", "~$"))
        )
        found += named
        barred += badly_named
    return found, barred


def _by_name(paths: Iterable[Path]) -> tuple[list[Path], list[Skipped]]:
    """Part the paths that can be written down from those whose names are not UTF-8."""
    fine: list[Path] = []
    barred: list[Skipped] = []
    for path in paths:
        try:
            place_of(path).encode()
        except UnicodeEncodeError:
            barred.append(Skipped(_printed(path), "bad_name", _BAD_NAME, _RENAME))
        else:
            fine.append(path)
    return fine, barred


def _printed(path: Path) -> str:
    """Write a path so that it can be printed, whatever its bytes."""
    return os.fsencode(path).decode(errors="backslashreplace")


def _why_nothing(left_out: Skipped) -> str:
    if left_out.reason == "empty":
        return f"{left_out.detail} in {left_out.source}"
    return f"{left_out.source}: {left_out.detail}, {left_out.remedy}"
