"""Folders: which files there are, where they lie, and which bytes they hold."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from ingest.documents import KINDS
from ingest.errors import DocumentError, GoneError, NothingToIngestError, PathMissingError
from ingest.events import Skipped

_NOTHING = "no file that can be read"


def find_files(
    paths: Sequence[Path], *, none_is_fine: bool = False
) -> tuple[list[Path], list[Skipped]]:
    """Find the files: as given, or in folders by their suffix, hidden ones left out, each once.

    Also tells of folders that hold none, and of those that cannot be looked into. Raises
    PathMissingError or, where there is no file at all, NothingToIngestError.
    """
    found: dict[Path, Path] = {}
    left_out: list[Skipped] = []
    for path in paths:
        if not path.exists():
            raise PathMissingError(f"{path} does not exist: check the path.")
        inside, locked = _files_below(path) if path.is_dir() else ([path], [])
        left_out += locked
        if not inside and not locked:
            left_out.append(Skipped(str(path), "empty", _NOTHING, "check the path"))
        for each in inside:
            found.setdefault(each.resolve(), each)
    if not found and not none_is_fine:
        folders = ", ".join(each.source for each in left_out)
        where = f"{_NOTHING} in {folders}" if folders else "no path was given"
        raise NothingToIngestError(
            f"Nothing to ingest: {where}. Give a file ({', '.join(KINDS)}), or a folder that "
            "holds some."
        )
    return list(found.values()), left_out


def place_of(path: Path | str) -> str:
    """Name a file by where it lies: absolute, its folder without links, itself maybe one."""
    path = Path(path)
    return str(path.parent.resolve() / path.name)


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
    """List a folder's files of known kinds in order, and the folders that cannot be looked into.

    Links to folders are not followed, they may be circular; nor are the files taken that a word
    processor keeps beside an open one.
    """
    found: list[Path] = []
    locked: list[Skipped] = []

    def tell(error: OSError) -> None:
        detail = f"the folder cannot be looked into ({error.strerror})"
        locked.append(Skipped(str(error.filename), "unreadable", detail, "check its permissions"))

    for root, folders, files in os.walk(folder, onerror=tell):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [
            Path(root, name)
            for name in sorted(files)
            if name.lower().endswith(tuple(KINDS)) and not name.startswith((".", "~$"))
        ]
    return found, locked
