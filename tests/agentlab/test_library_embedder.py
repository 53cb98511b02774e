"""Which embedder the settings open, what an ingest keeps of it, and where keys go."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from ingest_fakes import WordEmbedder

from agentlab import library
from agentlab.cli.ingest import open_library
from agentlab.errors import SettingsError
from agentlab.resolving import load_settings
from agentlab.settings import Settings
from ingest.embedding import Embedder
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


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an embedder that lies below the working folder, and opens without a model."""

    def opened(settings: Settings, **_: Any) -> Embedder:
        assert Path(settings.embedder).is_dir()
        return WordEmbedder(settings.embedder)

    monkeypatch.setattr(library, "open_embedder", opened)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "embedders" / "mine"
    folder.mkdir(parents=True)
    return folder


def made_in_a_library(own: Settings, *, before: str = "", anew: bool = False) -> str:
    """Name the embedder of what is added to a library; `before` is what made it."""
    collection = open_library(own, anew=anew)
    try:
        if before:
            collection.store.put_note("state", {"embedder": before})
            return made_in_a_library(own, anew=anew)
        assert collection.embedder.encode(["leave"]).shape == (1, 64)
        return collection.embedder.name
    finally:
        collection.close()


def test_a_library_of_a_folders_embedder_is_searched_from_every_other_folder(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = made_in_a_library(settings(tmp_path, embedder="embedders/mine", embedding_cache_mb=0))
    assert made == str(mine)
    collection = open_library(settings(tmp_path))
    collection.store.put_note("state", {"embedder": made})
    collection.close()
    monkeypatch.chdir(mine)
    opened = library.open_collection(settings(tmp_path))
    opened.close()
    assert opened.embedder.name == made


def test_a_library_that_names_a_folder_as_it_was_written_keeps_that_name_until_embedded_anew(
    mine: Path, tmp_path: Path
) -> None:
    old = "embedders/mine"
    for written in (old, str(mine)):
        own = settings(tmp_path, embedder=written, embedding_cache_mb=0)
        assert made_in_a_library(own, before=old) == old
        assert made_in_a_library(own, before=old, anew=True) == str(mine)
    opened = library.open_collection(own)
    opened.close()
    assert opened.embedder.name == old


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
