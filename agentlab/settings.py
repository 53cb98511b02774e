"""Settings: every dial of agentlab in one flat, frozen model."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from agentlab import choices
from ingest.addresses import is_address, without_user
from ingest.config import TENANT

SECRETS = (
    "api_key",
    "openai_api_key",
    "embedder_api_key",
    "weaviate_api_key",
    "serpapi_api_key",
    "serper_api_key",
    "tavily_api_key",
)
ADDRESSES = ("base_url", "embedder_url", "weaviate_url")
PATHS = ("home", "cache", "recorded", "weaviate_binaries")
OPENAI_HOST = "api.openai.com"


class Settings(BaseModel):
    """Every dial, with its default. Unknown keys are refused; secrets are masked in the repr."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    home: Path = Field(
        default_factory=lambda: platformdirs.user_data_path("agentlab"),
        description="Folder of the index, the journal, the conversations and the history.",
    )
    cache: Path = Field(
        default_factory=lambda: platformdirs.user_cache_path("agentlab"),
        description="Folder of models; safe to delete, they are made or fetched again.",
    )
    collection: str = Field(
        "library",
        pattern=r"^[A-Za-z][A-Za-z0-9_]*$",
        description="Name of the collection of documents.",
    )
    store: Literal["lancedb", "weaviate"] = Field("lancedb", description="Where passages live.")
    weaviate_url: str | None = Field(
        None,
        description="Address of the Weaviate server; `embedded` starts one here (Linux, macOS).",
    )
    weaviate_binaries: Path | None = Field(
        None, description="Folder of the embedded server's binary, where it is not to be fetched."
    )
    weaviate_api_key: str | None = Field(None, description="Key of the Weaviate server.")
    weaviate_grpc: str | None = Field(
        None,
        pattern=r"^([^\s/:?]+:)?\d+$",
        description="Its place for gRPC, `port` or `host:port`, where that is not 50051.",
    )
    weaviate_tenant: str | None = Field(
        None,
        pattern=TENANT,
        description="Tenant of the collection: each sees its own documents only.",
    )
    weaviate_replicas: int = Field(
        1, ge=1, description="On how many nodes a new collection is kept."
    )
    weaviate_init_s: float = Field(60.0, gt=0, description="Deadline of connecting to it.")
    weaviate_query_s: float = Field(
        30.0,
        gt=0,
        description="Deadline of a search or another question to it, repetitions included.",
    )
    weaviate_insert_s: float = Field(
        120.0, gt=0, description="Deadline of writing a batch to it, repetitions included."
    )
    embedder: str = Field(
        "sentence-transformers/all-MiniLM-L6-v2", description="Embedding model: name or folder."
    )
    embedder_backend: choices.EmbedderBackend = Field(
        "auto",
        description="What runs it: `torch` in fp32, `onnx` in int8 (needs the extra `onnx`), or an "
        "`openai`-compatible endpoint; `auto` is `torch`.",
    )
    embedder_url: str | None = Field(
        None, description="Address of an endpoint for embeddings; else base_url, else OpenAI."
    )
    embedder_api_key: str | None = Field(
        None, description="Key of that endpoint; else api_key, where the address is base_url."
    )
    embedding_cache_mb: int = Field(
        1024, ge=0, description="Size of the cache of what ingest embedded; 0 is none."
    )
    chunk_tokens: int = Field(
        200,
        ge=16,
        le=512,
        description="Tokens that a passage has at most; another number cuts all files anew.",
    )
    alpha: Annotated[float, Field(ge=0, le=1)] | Literal["auto"] = Field(
        "auto",
        description="Hybrid search: 1 is meaning only, 0 is words only; `auto` is what the "
        "collection was tuned to, else 0.5.",
    )
    two_step: choices.TwoStep = Field(
        "auto",
        description="Search for documents first, then within them: `always`, `never`, or `auto`: "
        "from 20 documents with 2,000 passages on.",
    )
    rerank: str = Field(
        "off",
        min_length=1,
        description="Order what a search found anew: `late` compares by sentences with the same "
        "embedder; else name a cross-encoder, or its folder; `off` is neither.",
    )
    parents: choices.Parents = Field(
        "none",
        description="What a found passage is widened to: its `neighbours` on the page, the whole "
        "`page`, or `none`.",
    )
    model: str = Field("starter", description="Language model: `starter`, a name or a folder.")
    engine: choices.Engine = Field(
        "auto", description="What runs the model; `openai` is any OpenAI-compatible endpoint."
    )
    base_url: str | None = Field(None, description="Address of an OpenAI-compatible endpoint.")
    api_key: str | None = Field(None, description="Key of that endpoint.")
    openai_api_key: str | None = Field(
        None, description="Key of OpenAI, for where api_key is not set; sent nowhere else."
    )
    temperature: float = Field(0.0, ge=0, le=2, description="0 always picks the likeliest word.")
    max_tokens: int = Field(256, gt=0, description="Longest message of the model, in tokens.")
    timeout_s: float = Field(180.0, gt=0, description="Wall-clock budget of one question.")
    max_steps: int = Field(4, gt=0, description="Tool calls allowed before the last answer.")
    passages: int = Field(3, gt=0, le=20, description="Passages shown to the model by a search.")
    passage_words: int = Field(
        45,
        gt=0,
        description="Words shown of each passage; a list that is asked for is shown whole.",
    )
    evidence: bool = Field(True, description="Show the model how well the library matches.")
    reader: bool = Field(
        True, description="Read found passages with the small reader; else by likeness alone."
    )
    likelihood: bool = Field(
        True,
        description="Order the reader's passages also by how likely the starter's base would ask "
        "the question after them.",
    )
    quotes: Literal["auto", "best", "shown", "free"] = Field(
        "auto",
        description="What a quote may be: the reader's `best` sentence, any `shown` one, or "
        "`free`; `auto` is `best` for the starter model, else `shown`.",
    )
    short_answer: Literal["auto", "reader", "model"] = Field(
        "auto",
        description="Who writes the short answer: the `reader`, where quotes are its best sentence "
        "and the model is on our own engines, or the `model`; `auto` is `reader` for the starter "
        "model, else `model`.",
    )
    second_quote: bool = Field(
        True,
        description="Quote a second sentence, too, where the reader writes the short answer and is "
        "torn between two.",
    )
    whole_lists: bool = Field(
        True,
        description="Quote a list whole and answer with all its items, where the reader writes the "
        "short answer and the question asks for all.",
    )
    abstain: Literal["auto", "reader", "model"] = Field(
        "auto",
        description="Who decides that no passage answers: a model on our own engines then writes "
        "what the `reader` says; `auto` is `reader` for the starter model, else `model`.",
    )
    route: Literal["auto", "router", "model"] = Field(
        "auto",
        description="Who decides where to look first: the small `router`, where it is sure and the "
        "model is on our own engines, or the `model`; `auto` is `router` for the starter model.",
    )
    guided: bool = Field(
        True, description="Keep a model on our own engines to the form of calls and quotes."
    )
    history: Literal["auto", "all", "leaning"] = Field(
        "auto",
        description="Earlier turns shown: `all`, or only to a question that leans on them; "
        "`auto` is `leaning` for the starter model.",
    )
    web: choices.Web = Field(
        "auto", description="Web search; `auto` takes the first key that is set, else ddgs."
    )
    recorded: Path | None = Field(None, description="File of recorded web results.")
    serpapi_api_key: str | None = Field(None, description="Key of SerpAPI.")
    serper_api_key: str | None = Field(None, description="Key of Serper.")
    tavily_api_key: str | None = Field(None, description="Key of Tavily.")
    journal: bool = Field(True, description="Keep every run in a local SQLite file.")

    @field_validator(*PATHS)
    @classmethod
    def _expand(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()

    @field_validator("base_url", "embedder_url")
    @classmethod
    def _check_address(cls, value: str | None) -> str | None:
        if value and not is_address(value):
            raise ValueError("an address is like http://localhost:8000/v1")
        return value

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.store == "weaviate" and not self.weaviate_url:
            raise ValueError('store = "weaviate" needs weaviate_url (or WEAVIATE_URL)')
        if self.weaviate_tenant and self.store != "weaviate":
            raise ValueError(
                f'weaviate_tenant = "{self.weaviate_tenant}" (or --tenant) needs store = "weaviate"'
            )
        if self.web == "recorded" and self.recorded is None:
            raise ValueError('web = "recorded" needs recorded, the file of recorded results')
        return self

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        """Mask the secrets wherever pydantic prints the model."""
        return [(name, masked(name, value)) for name, value in self]

    def _is(self, value: str, helped: str) -> bool:
        """Tell whether a setting is what helps a small model, as `auto` is for the starter."""
        return value == helped or (value == "auto" and self.model == "starter")

    @property
    def shows_only_leaning(self) -> bool:
        """Tell whether earlier turns are kept from a question that stands alone."""
        return self._is(self.history, "leaning")

    @property
    def quote_choice(self) -> Literal["best", "shown", "free"]:
        """Tell what a quote may be: the smaller the model, the better the reader chooses."""
        if self.quotes == "auto":
            return "best" if self.model == "starter" else "shown"
        return self.quotes

    @property
    def reader_answers(self) -> bool:
        """Tell whether what the reader found is the answer."""
        chosen = self._is(self.short_answer, "reader")
        return chosen and self.reader and self.quote_choice == "best"

    @property
    def reader_abstains(self) -> bool:
        """Tell whether the reader decides that nothing was found."""
        return self._is(self.abstain, "reader") and self.reader

    @property
    def routed(self) -> bool:
        """Tell whether the router decides where to look first."""
        return self._is(self.route, "router")

    @property
    def speaks_as_taught(self) -> bool:
        """Tell whether talk gets taught replies and a whole document its outline.

        The starter mixes its replies and cannot read a document; bigger models do both themselves.
        """
        return self.routed and self.model == "starter"

    @property
    def endpoint_key(self) -> str | None:
        """Key of the endpoint at base_url; OpenAI's own is for OpenAI alone."""
        return self._key_of(self.base_url)

    def _key_of(self, url: str | None) -> str | None:
        own = self.api_key if url == self.base_url else None
        return own or (self.openai_api_key if _is_openai(url) else None)

    @property
    def embedder_endpoint(self) -> tuple[str | None, str | None]:
        """Address and key of the endpoint for embeddings; a key goes to its own address only."""
        url = self.embedder_url or self.base_url
        return url, self.embedder_api_key or self._key_of(url)

    @property
    def models_folder(self) -> Path:
        """Folder where models are unpacked, fetched and merged."""
        return self.cache / "models"

    @property
    def store_folder(self) -> Path:
        """Folder of the embedded store."""
        return self.home / "store"

    @property
    def embeddings_path(self) -> Path:
        """SQLite file of the vectors that were computed."""
        return self.home / "embeddings.sqlite"

    @property
    def journal_path(self) -> Path:
        """SQLite file of the journal."""
        return self.home / "journal.sqlite"

    @property
    def memory_path(self) -> Path:
        """SQLite file of the conversations."""
        return self.home / "memory.sqlite"

    @property
    def history_path(self) -> Path:
        """File of the lines typed in the REPL."""
        return self.home / "history"


def masked(name: str, value: object) -> object:
    """Hide all but the last four characters of a secret; short ones, and those in an address."""
    if name in ADDRESSES and isinstance(value, str):
        return without_user(value)
    if name not in SECRETS or not isinstance(value, str) or not value:
        return value
    return f"****{value[-4:]}" if len(value) > 12 else "****"


def _is_openai(url: str | None) -> bool:
    return url is None or (
        urlsplit(url).scheme == "https" and urlsplit(url).hostname == OPENAI_HOST
    )
