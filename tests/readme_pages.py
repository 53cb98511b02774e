"""The pages that readers see: each README.md of the repository, its blocks and its links."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("agentlab", "ingest", "finetune", "serve", "notebooks", "tests")
PAGES = [
    ROOT / "README.md",
    *sorted(page for folder in FOLDERS for page in (ROOT / folder).rglob("README.md")),
]
"""The first is the repository's own."""
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def text_of(page: Path) -> str:
    """Read a page."""
    return page.read_text(encoding="utf-8")


def name_of(page: Path) -> str:
    """Name a page by its place in the repository."""
    return str(page.relative_to(ROOT))


def kinds() -> set[str]:
    """Tell which kinds of block there are."""
    return {kind for page in PAGES for kind, _ in _BLOCK.findall(text_of(page))}


def blocks(kind: str) -> list[str]:
    """List the blocks of a kind, page by page, each once."""
    found = (text for page in PAGES for name, text in _BLOCK.findall(text_of(page)) if name == kind)
    return list(dict.fromkeys(found))


def lines(kind: str) -> list[str]:
    """List the lines of a kind of block, each once."""
    return list(dict.fromkeys(line for text in blocks(kind) for line in text.splitlines()))


def links(page: Path) -> list[str]:
    """List where a page's links to the repository lead."""
    found = _LINK.findall(_BLOCK.sub("", text_of(page)))
    return [each for each in found if not re.match(r"[a-z]+:", each)]


def anchors(page: Path) -> set[str]:
    """Give the names of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", _BLOCK.sub("", text_of(page)), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in plain}
