"""Embedders: the models that ship, run by torch and by onnxruntime, and what they share."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ingest.embedding.errors import EmbedderError, ExportError
from ingest.embedding.folder import fingerprint, pooling_of
from ingest.embedding.onnx import ABOUT, MODEL, OnnxEmbedder, batches

needs_onnx = pytest.mark.skipif(
    not (find_spec("onnx") and find_spec("onnxruntime")), reason="the extra onnx is not installed"
)
TEXTS = [
    "A hotel night may cost 140 euros at most in grade B cities.",
    "leave",
    "",
    "The Kestrel drone carries 12 kilograms for 40 minutes. " * 12,
    "Überstunden werden nach § 4 ausgeglichen – in Freizeit. " * 60,
]


@pytest.fixture(scope="module")
def exported(minilm_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from ingest.embedding.export import export

    out = tmp_path_factory.mktemp("int8")
    export(minilm_folder, out)
    return out


@pytest.fixture(scope="module")
def int8(exported: Path) -> OnnxEmbedder:
    return OnnxEmbedder(exported, name="int8", threads=2)


def test_a_batch_holds_rows_of_like_length_within_its_budget() -> None:
    lengths = [5, 100, 7, 30, 31, 300, 6]
    groups = list(batches(lengths, 64))
    assert groups == [[0, 6, 2], [3, 4], [1], [5]]
    assert list(batches([], 64)) == []


def folder_with_pooling(folder: Path, **modes: bool) -> Path:
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps({"word_embedding_dimension": 8}
                   | {f"pooling_mode_{name}": value for name, value in modes.items()})
    )  # fmt: skip
    return folder


def test_pooling_is_what_the_folder_says(tmp_path: Path) -> None:
    assert pooling_of(tmp_path) == "mean"
    folder_with_pooling(tmp_path, cls_token=True, mean_tokens=False)
    assert pooling_of(tmp_path) == "first"


def test_pooling_that_is_not_known_is_refused_with_a_way_out(tmp_path: Path) -> None:
    folder_with_pooling(tmp_path, max_tokens=True)
    with pytest.raises(EmbedderError, match=r"pooling_mode_max_tokens.*embedder_backend"):
        pooling_of(tmp_path)


def test_a_layer_that_would_be_left_out_is_refused_with_a_way_out(tmp_path: Path) -> None:
    def made_of(*kinds: str) -> None:
        modules = [{"type": f"sentence_transformers.models.{kind}"} for kind in kinds]
        (tmp_path / "modules.json").write_text(json.dumps(modules))

    made_of("Transformer", "Pooling", "Normalize")
    assert pooling_of(tmp_path) == "mean"
    made_of("Transformer", "Pooling", "Dense")
    with pytest.raises(EmbedderError, match=r"more layers .*\(Dense\).*embedder_backend"):
        pooling_of(tmp_path)


def test_a_fingerprint_changes_with_whatever_decides_the_vectors(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "tokenizer.json").write_text("{}")
    first = fingerprint(tmp_path)
    (tmp_path / "README.md").write_text("words")
    assert fingerprint(tmp_path) == first
    (tmp_path / "model.safetensors").write_bytes(b"other")
    assert fingerprint(tmp_path) != first


@needs_onnx
def test_rounded_weights_stay_within_half_a_step_of_what_they_were() -> None:
    from ingest.embedding.export import rounded

    weight = np.random.default_rng(1).normal(size=(256, 5)).astype(np.float32)
    weight[:128, 0] = 0
    quantised, scales = rounded(weight)
    assert (quantised.shape, quantised.dtype, scales.shape) == ((5, 2, 128), np.uint8, (10,))
    steps = scales.reshape(5, 2, 1)
    back = ((quantised.astype(np.float32) - 128) * steps).reshape(5, 256).T
    assert (np.abs(back - weight) <= steps.repeat(128, 2).reshape(5, 256).T * 0.501).all()


@pytest.mark.slow
def test_torch_gives_vectors_of_length_one_in_the_order_of_the_texts(minilm: Any) -> None:
    vectors = minilm.encode(TEXTS)
    assert (vectors.shape, vectors.dtype) == ((5, 384), np.float32)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    for row, text in enumerate(TEXTS):
        assert np.allclose(minilm.encode([text])[0], vectors[row], atol=1e-5)


@needs_onnx
@pytest.mark.slow
def test_int8_vectors_lie_near_those_in_fp32_whatever_the_length(
    int8: OnnxEmbedder, minilm: Any
) -> None:
    told: list[int] = []
    vectors = int8.encode(TEXTS, told.append)
    assert (vectors.shape, vectors.dtype) == ((5, 384), np.float32)
    assert (np.sum(vectors * minilm.encode(TEXTS), axis=1) > 0.99).all()
    assert sum(told) == len(TEXTS)
    assert int8.encode([]).shape == (0, 384)


@needs_onnx
@pytest.mark.slow
def test_an_int8_vector_does_not_depend_on_what_it_is_batched_with(int8: OnnxEmbedder) -> None:
    together = int8.encode(TEXTS[:4])
    alone = np.concatenate([int8.encode([text]) for text in TEXTS[:4]])
    assert (np.sum(together * alone, axis=1) > 0.9999).all()


@needs_onnx
@pytest.mark.slow
def test_both_backends_read_the_same_tokens(int8: OnnxEmbedder, minilm: Any) -> None:
    assert (int8.dimension, int8.max_tokens) == (minilm.dimension, minilm.max_tokens)
    for text in TEXTS:
        assert int8.token_spans(text) == minilm.token_spans(text)
        assert int8.count_tokens(text) == minilm.count_tokens(text)


@needs_onnx
@pytest.mark.slow
def test_an_export_notes_how_near_it_is_and_is_smaller_than_the_model(
    exported: Path, minilm_folder: Path
) -> None:
    about = json.loads((exported / ABOUT).read_text())
    assert 0.99 < about["cosine_min"] <= about["cosine_mean"] < 1
    size = (exported / MODEL).stat().st_size
    assert size < 0.75 * (minilm_folder / "model.safetensors").stat().st_size


@needs_onnx
@pytest.mark.slow
def test_a_model_that_would_lose_too_much_is_refused(
    minilm_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ingest.embedding import export as module

    def spoiled(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        quantised, scales = rounded(weight)
        return quantised // 64 * 64, scales

    rounded = module.rounded
    monkeypatch.setattr(module, "rounded", spoiled)
    with pytest.raises(ExportError, match=r"lowest cosine .* 0\.99 is wanted.*to torch"):
        module.export(minilm_folder, tmp_path)


@needs_onnx
def test_a_folder_without_a_fast_tokenizer_cannot_be_exported(tmp_path: Path) -> None:
    from ingest.embedding.export import export

    with pytest.raises(ExportError, match=r"has no tokenizer\.json"):
        export(tmp_path, tmp_path)


def test_a_missing_backend_names_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match=r"pip install 'agentlab-rag\[onnx\]'"):
        OnnxEmbedder(tmp_path, name="x")
