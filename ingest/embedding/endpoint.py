"""The endpoint backend: vectors of an OpenAI-compatible server (`/v1/embeddings`)."""

import re
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import openai

from ingest.addresses import is_here, place, without_user
from ingest.embedding.errors import EndpointError

OPENAI_URL = "https://api.openai.com/v1"
_NO_KEY = "none"
_RETRIES = 4
_TIMEOUT_S = 60.0
_LONGEST = 512
# At least as many pieces as a common tokenizer makes of English text.
_PIECE = re.compile(r"\w{1,4}|[^\w\s]")


class EndpointEmbedder:
    """Vectors of a served model, scaled to length one; tokens are counted roughly, rather high."""

    max_tokens = _LONGEST

    def __init__(
        self,
        *,
        model: str,
        base_url: str | None = None,
        api_key: str | None = None,
        batch_size: int = 64,
    ) -> None:
        """Name the model and its server; without `base_url` it is OpenAI, which needs a key."""
        if not base_url and not api_key:
            raise EndpointError(
                "OpenAI needs a key for its embeddings and none is set: set embedder_api_key, or "
                "embedder_url for another endpoint."
            )
        self.name = f"openai:{model}"
        self._model = model
        self._url = base_url or OPENAI_URL
        self._batch_size = batch_size
        self._client = openai.OpenAI(
            base_url=self._url,
            api_key=api_key or _NO_KEY,
            max_retries=_RETRIES,
            timeout=_TIMEOUT_S,
            http_client=openai.DefaultHttpxClient(trust_env=not is_here(self._url)),
        )

    @cached_property
    def dimension(self) -> int:
        """Tell how many numbers a vector has, by asking for one."""
        return int(self._ask(["dimension"]).shape[1])

    def encode(
        self, texts: Sequence[str], progress: Callable[[int], None] | None = None
    ) -> np.ndarray:
        """Embed texts, float32 of shape (texts, dimension); `progress` gets each batch's size."""
        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float32)
        parts = []
        for start in range(0, len(texts), self._batch_size):
            parts.append(self._ask(texts[start : start + self._batch_size]))
            if progress:
                progress(len(parts[-1]))
        if len({part.shape[1] for part in parts}) > 1:
            raise self._nonsense("vectors of several lengths")
        return np.concatenate(parts)

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        """Give spans of about a token each: up to four letters, or a mark."""
        return [match.span() for match in _PIECE.finditer(text)]

    def count_tokens(self, text: str) -> int:
        """Count the tokens of a text roughly."""
        return len(self.token_spans(text))

    def _ask(self, texts: Sequence[str]) -> np.ndarray:
        """Embed one batch; the client repeats what a busy or broken server refused."""
        try:
            reply = self._client.embeddings.create(
                model=self._model,
                input=[self._cut(text) for text in texts],
                encoding_format="float",
            )
        except openai.OpenAIError as error:
            raise self._translated(error) from error
        rows = sorted(reply.data or [], key=lambda row: row.index)
        if [row.index for row in rows] != list(range(len(texts))):
            raise self._nonsense(f"{len(rows)} vectors for {len(texts)} texts")
        if len({len(row.embedding) for row in rows}) > 1:
            raise self._nonsense("vectors of several lengths")
        vectors = np.array([row.embedding for row in rows], dtype=np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(lengths).all() or not lengths.all():
            raise self._nonsense("a vector without a direction")
        scaled: np.ndarray = vectors / lengths
        return scaled

    def _cut(self, text: str) -> str:
        """Cut a text where a server would refuse it; servers refuse an empty one, too."""
        spans = self.token_spans(text)
        kept = text[: spans[self.max_tokens - 1][1]] if len(spans) > self.max_tokens else text
        return kept if kept.strip() else "."

    def _nonsense(self, what: str) -> EndpointError:
        return EndpointError(
            f"The embeddings of {self._model!r} at {self._host} are not usable ({what}): see "
            "whether this model is one for embeddings."
        )

    def _translated(self, error: openai.OpenAIError) -> EndpointError:
        """Say in one line what failed and who can mend it; never with the key."""
        if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
            return EndpointError(
                f"{self._host} refuses the key ({error.status_code}): set embedder_api_key to a "
                "valid one."
            )
        if isinstance(error, openai.NotFoundError):
            return EndpointError(
                f"{without_user(self._url)} serves no embeddings of {self._model!r} (404): set "
                "embedder to a model that it has, and end embedder_url in /v1."
            )
        if isinstance(error, openai.RateLimitError):
            return EndpointError(
                f"{self._host} takes no more requests for now (429): wait, then run it again; "
                "what is embedded is kept."
            )
        if isinstance(error, openai.APIConnectionError):
            return EndpointError(
                f"The embedding server at {self._host} does not answer: start it, or correct "
                "embedder_url."
            )
        if isinstance(error, openai.APIStatusError):
            return EndpointError(
                f"{self._host} failed to embed {self._model!r} ({error.status_code}): look at its "
                "log, then run it again."
            )
        return EndpointError(
            f"{self._host} gave an answer that is no embedding ({type(error).__name__}): correct "
            "embedder_url, which ends in /v1."
        )

    @property
    def _host(self) -> str:
        return place(self._url)
