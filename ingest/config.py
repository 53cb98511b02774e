"""Settings of ingest: how files are cut, and where the chunks are kept."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

PARSERS = {
    "pdf": "pdf-5",
    "markdown": "markdown-2",
    "html": "html-3",
    "text": "text-1",
    "docx": "docx-4",
}
CHUNKER = "chunk-6"
TENANT = r"^[A-Za-z0-9_-]{1,64}$"
"""The names of tenants that Weaviate takes."""


class IngestConfig(BaseModel):
    """How files become chunks. Changing what `fingerprint` names makes the files be read anew.

    `workers` processes read at a time (by default as many as there are cores, at most 4), each
    with `memory_mb` of memory, for `timeout_s` a file or `ocr_page_timeout_s` a page of a scan.
    `ocr_languages` are tesseract's names, joined by "+"; `passwords` are tried on locked files.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    chunk_tokens: int = Field(default=200, ge=16, le=512)
    embed_batch: int = Field(default=64, ge=1)
    max_bytes: int = Field(default=512 * 1024 * 1024, ge=1)
    max_pages: int = Field(default=5000, ge=1)
    workers: int | None = Field(default=None, ge=1)
    timeout_s: float = Field(default=120.0, gt=0)
    memory_mb: int = Field(default=2048, ge=256)
    passwords: tuple[str, ...] = Field(default=(), repr=False)
    ocr: Literal["auto", "always", "never"] = "auto"
    ocr_languages: str = Field(default="eng", pattern=r"^\w+(/\w+)?(\+\w+(/\w+)?)*$")
    ocr_page_timeout_s: float = Field(default=60.0, gt=0)

    def fingerprint(self, embedder: str, *, kind: str = "pdf") -> str:
        """Name the pipeline of a kind of file: parser, chunker with its size, and embedder."""
        parser = f"{PARSERS[kind]}{self._ocr_mark()}" if kind == "pdf" else PARSERS[kind]
        return f"{parser} {CHUNKER}/{self.chunk_tokens} {embedder}"

    def _ocr_mark(self) -> str:
        return "/never" if self.ocr == "never" else f"/{self.ocr}/{self.ocr_languages}"


class StoreConfig(BaseModel):
    """Which store, and where: a folder for LanceDB, an address for Weaviate.

    All from `url` on is Weaviate's alone: see `ingest.stores.weaviate.WeaviateStore`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["lancedb", "weaviate"] = "lancedb"
    collection: str = Field(default="library", pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,62}$")
    folder: Path | None = None
    url: str | None = None
    api_key: str | None = Field(default=None, repr=False)
    timeout_s: float = Field(default=30.0, gt=0)
    init_timeout_s: float | None = Field(default=None, gt=0)
    insert_timeout_s: float | None = Field(default=None, gt=0)
    grpc: str | None = None
    tenant: str | None = Field(default=None, pattern=TENANT)
    replicas: int = Field(default=1, ge=1)
    binaries: Path | None = None

    @model_validator(mode="after")
    def _has_a_place(self) -> "StoreConfig":
        if self.kind == "lancedb" and self.folder is None:
            message = "store 'lancedb' needs `folder`, the folder that keeps the collections"
            raise ValueError(message)
        if self.kind == "weaviate" and not self.url:
            message = "store 'weaviate' needs `url`, for example http://localhost:8080"
            raise ValueError(message)
        if self.url == "embedded" and self.folder is None:
            message = "the embedded Weaviate needs `folder`, the folder that keeps its data"
            raise ValueError(message)
        return self
