"""The library's documents as plain texts, which a model can be pre-trained on further."""

import json
import os
from pathlib import Path

from ingest.documents import Chunk
from ingest.stores.base import Store


def write_texts(store: Store, path: Path) -> int:
    """Write one row of text a document, in the order of their sources; return how many.

    What stands in no passage, such as running headers, is not in the texts either. The file
    appears whole or not at all, and is the same for the same library.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with temporary.open("w", encoding="utf-8") as file:
        for document in sorted(store.documents(), key=lambda each: each.source):
            chunks = [chunk for chunk, _ in store.rows(document.source)]
            row = {
                "text": text_of(chunks),
                "document": document.id,
                "source": document.source,
            }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    temporary.replace(path)
    return count


def text_of(chunks: list[Chunk]) -> str:
    """Join a document's passages in their order, less what two of them share."""
    text: list[str] = []
    page = end = 0
    for chunk in sorted(chunks, key=lambda each: (each.page, each.start)):
        if chunk.page != page:
            page, end = chunk.page, 0
        fresh = chunk.text[max(0, end - chunk.start) :].strip()
        if fresh:
            text.append(fresh)
        end = max(end, chunk.end)
    return "\n\n".join(text)
