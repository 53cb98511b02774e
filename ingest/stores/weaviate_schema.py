"""The schema of a collection in Weaviate: what is kept of a chunk and of a note, and how."""

import re
from dataclasses import fields
from typing import Any

from weaviate.classes.config import (
    Configure,
    DataType,
    Property,
    StopwordsPreset,
    Tokenization,
    VectorDistances,
)

from ingest.documents import Chunk
from ingest.stores.generations import FIRST

NUMBERS = ("page", "start", "end")
FIELDS = [each.name for each in fields(Chunk) if each.name != "id"]
ROTATIONAL_FROM = (1, 32)
"""The first server that compresses vectors by rotational quantisation."""
PAGE_LABEL = "page_label"
"""The property that classes lack which were made before pages had labels."""
_KEYS = ("document", "source", PAGE_LABEL)


def class_name(collection: str) -> str:
    """Turn a collection's name into a class name of Weaviate: a capital, then no hyphens."""
    return (collection[0].upper() + collection[1:]).replace("-", "_")


def chunks_name(collection: str, generation: int) -> str:
    """Name the class that keeps the chunks of one generation of a collection."""
    mark = "" if generation == FIRST else f"__g{generation}"
    return f"{class_name(collection)}{mark}"


def notes_name(collection: str) -> str:
    """Name the class that keeps the notes of a collection."""
    return f"{class_name(collection)}Notes"


def description(collection: str, name: str) -> str:
    """Say what a class is for; a class that says something else is not ours."""
    kind = "notes" if name == notes_name(collection) else "chunks"
    return f"agentlab: {kind} of the collection {collection}"


def chunk_schema(version: str) -> dict[str, Any]:
    """Describe the class of the chunks for a server of this version."""
    return {
        "properties": [
            *(_text(name, filterable=name in _KEYS) for name in FIELDS if name not in NUMBERS),
            *(
                Property(name=name, data_type=DataType.INT, index_filterable=name == "page")
                for name in NUMBERS
            ),
            _text("embedded", searchable=True),
        ],
        "inverted_index_config": Configure.inverted_index(stopwords_preset=StopwordsPreset.EN),
        "vector_config": Configure.Vectors.self_provided(
            vector_index_config=Configure.VectorIndex.hnsw(
                distance_metric=VectorDistances.COSINE, quantizer=_quantizer(version)
            )
        ),
    }


def page_label() -> Property:
    """Describe the property that a class made before pages had labels gets with its next write."""
    return _text(PAGE_LABEL, filterable=True)


def note_schema() -> dict[str, Any]:
    """Describe the class of the notes."""
    return {
        "properties": [_text("name", filterable=True), _text("value")],
        "vector_config": Configure.Vectors.self_provided(),
    }


def spread(tenant: str | None, replicas: int) -> dict[str, Any]:
    """Describe how a class is kept: one part for each tenant or one for all, on how many nodes."""
    shared: dict[str, Any] = {"replication_config": Configure.replication(factor=replicas)}
    if tenant is not None:
        shared["multi_tenancy_config"] = Configure.multi_tenancy(
            auto_tenant_creation=True, auto_tenant_activation=True
        )
    return shared


def numbers_of(version: str) -> tuple[int, ...]:
    """Read major and minor number of a version."""
    return tuple(int(each) for each in re.findall(r"\d+", version)[:2])


def _text(name: str, *, filterable: bool = False, searchable: bool = False) -> Property:
    return Property(
        name=name,
        data_type=DataType.TEXT,
        # Searched text is split into lower-cased words; keys are compared whole.
        tokenization=Tokenization.WORD if searchable else Tokenization.FIELD,
        index_filterable=filterable,
        index_searchable=searchable,
    )


def _quantizer(version: str) -> Any:
    if numbers_of(version) < ROTATIONAL_FROM:
        return None
    return Configure.VectorIndex.Quantizer.rq(bits=8)
