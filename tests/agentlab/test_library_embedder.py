"""Which embedder the settings open, what an ingest keeps of it, and where keys go."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from ingest_fakes import WordEmbedder

from agentlab import library
from agentlab.errors import SettingsError
from agentlab.resolving import load_settings
from agentlab.settings import Settings
from ingest.embedding.cache import CachedEmbedder


def settings(tmp_path: Path, **values: Any) -> Settings:
    return Settings(home=tmp_path / "home", reader=False, **values)


def test_auto_is_the_backend_that_everything_was_measured_with(tmp_path: Path) -> None:
    assert library.embedder_backend(settings(tmp_path)) == "torch"
    assert library.embedder_backend(settings(tmp_path, embedder_backend="onnx")) == "onnx"


def test_a_backend_that_there_is_not_is_refused() -> None:
    with pytest.raises(SettingsError, match="embedder_backend = 'gpu'"):
        load_settings({"embedder_backend": "gpu"}, environ={})


@pytest.mark.parametrize(
    ("values", "endpoint"),
    [
        ({"api_key": "k"}, (None, "k")),
        ({"base_url": "http://a/v1", "api_key": "k"}, ("http://a/v1", "k")),
        ({"embedder_url": "http://b/v1", "api_key": "k"}, ("http://b/v1", None)),
        (
            {"embedder_url": "http://b/v1", "embedder_api_key": "e", "api_key": "k"},
            ("http://b/v1", "e"),
        ),
    ],
)
def test_a_key_goes_to_its_own_address_only(
    tmp_path: Path, values: dict[str, str], endpoint: tuple[str | None, str | None]
) -> None:
    assert settings(tmp_path, **values).embedder_endpoint == endpoint


def test_the_key_of_the_embedder_is_masked() -> None:
    assert "secret" not in repr(Settings(embedder_api_key="a-very-secret-key-1234"))


def test_an_endpoint_needs_no_model_on_this_machine(tmp_path: Path) -> None:
    opened = library.open_embedder(
        settings(tmp_path, embedder="e5", embedder_backend="openai", embedder_url="http://x/v1")
    )
    assert opened.name == "openai:e5"


def test_only_an_ingest_has_its_vectors_kept_and_only_where_that_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "open_embedder", lambda *_, **__: WordEmbedder())
    endpoint = {"embedder_backend": "openai", "embedder_url": "http://x/v1"}

    def kept(*, keep: bool, **values: Any) -> bool:
        opened = library.open_collection(
            settings(tmp_path, **endpoint, **values), keep_vectors=keep
        )
        opened.close()
        return isinstance(opened.embedder, CachedEmbedder)

    assert kept(keep=True)
    assert not kept(keep=False)
    assert not kept(keep=True, embedding_cache_mb=0)


@pytest.mark.slow
@pytest.mark.skipif(
    not (find_spec("onnx") and find_spec("onnxruntime")), reason="the extra onnx is not installed"
)
def test_an_export_is_made_once_for_its_weights(minilm_folder: Path, tmp_path: Path) -> None:
    own = settings(
        tmp_path, cache=tmp_path / "cache", embedder=str(minilm_folder), embedder_backend="onnx"
    )
    said: list[str] = []
    for _ in range(2):
        opened = library.open_embedder(own, progress=said.append)
        assert opened.encode(["leave"]).shape == (1, 384)
    assert len(said) == 1
    assert len(list((own.models_folder / "onnx").glob("[!.]*"))) == 1
