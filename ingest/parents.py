"""Parents: what stands around a passage on its page, for whoever reads it.

A widened passage keeps its id, and its offsets are those of the wider text: what stands between two
chunks of a page (white space, or a heading that is no text) is filled with blanks, so that every
quote is found where the page has it.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from ingest.documents import Chunk
from ingest.stores.base import Hit, Store

Parents = Literal["none", "neighbours", "page"]


def widen(hits: Sequence[Hit], store: Store, parents: Parents) -> list[Hit]:
    """Widen hits by a chunk on either side, or to their pages; of equal ones the first is kept."""
    documents: dict[str, list[Chunk]] = {}
    widened: dict[tuple[str, int, int, int], Hit] = {}
    for hit in hits:
        chunk = hit.chunk
        if chunk.source not in documents:
            documents[chunk.source] = [each for each, _ in store.rows(chunk.source)]
        page = [each for each in documents[chunk.source] if _same_page(each, chunk)] or [chunk]
        page.sort(key=lambda each: each.start)
        wide = _joined(chunk, _around(chunk, page, parents))
        widened.setdefault(
            (chunk.source, chunk.page, wide.start, wide.end), replace(hit, chunk=wide)
        )
    return list(widened.values())


def _same_page(one: Chunk, other: Chunk) -> bool:
    return (one.document, one.page) == (other.document, other.page)


def _around(chunk: Chunk, page: Sequence[Chunk], parents: Parents) -> Sequence[Chunk]:
    if parents == "page":
        return page
    place = next((n for n, each in enumerate(page) if each.id == chunk.id), 0)
    return page[max(0, place - 1) : place + 2]


def _joined(chunk: Chunk, pieces: Sequence[Chunk]) -> Chunk:
    text, start = "", pieces[0].start
    for piece in pieces:
        gap = piece.start - start - len(text)
        text += ("\n" + " " * (gap - 1) if gap > 0 else "") + piece.text
    return replace(chunk, text=text, start=start, end=start + len(text))
