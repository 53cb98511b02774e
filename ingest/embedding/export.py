"""Export: a sentence-transformers folder becomes an int8 ONNX model that is checked against it.

Weights are stored in eight bits, each block of 128 of a column with a scale of its own, and inputs
are rounded likewise while it runs: onnxruntime's MatMulNBits. Its usual dynamic quantisation is a
quarter faster, but takes one scale for a whole batch: vectors of MiniLM then lie at a cosine of
0.98-0.99 from those in fp32, and depend on what they are batched with. Blocks keep 0.997.
"""

import json
import logging
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ingest.embedding.errors import ExportError, MissingPartError
from ingest.embedding.folder import longest_of
from ingest.embedding.onnx import ABOUT, MODEL, NOT_INSTALLED, TOKENIZER, VERSION, OnnxEmbedder
from ingest.embedding.pytorch import TorchEmbedder, pooled_model
from ingest.evidence import background_questions

LEAST_COSINE = 0.99
_BLOCK = 128
_OPSET = 17
_JOINED = 8


def export(source: Path, out: Path, *, threads: int = 0) -> None:
    """Make the int8 model of `source` in the folder `out`, which is there.

    Raises ExportError where the model cannot be exported, or its vectors would be too far from
    those in fp32.
    """
    if not (source / TOKENIZER).is_file():
        raise ExportError(
            f"{source} has no {TOKENIZER}, which the ONNX backend reads: set embedder_backend to "
            "torch."
        )
    config = _write_model(source, out / MODEL)
    shutil.copy(source / TOKENIZER, out / TOKENIZER)
    longest = longest_of(config.max_position_embeddings)
    about = {"version": VERSION, "dimension": config.hidden_size, "max_tokens": longest}
    (out / ABOUT).write_text(json.dumps(about), encoding="utf-8")
    cosines = _cosines(source, out, threads)
    if not cosines.min() >= LEAST_COSINE:
        raise ExportError(
            f"The int8 vectors of {source.name} are too far from those in fp32: the lowest cosine "
            f"over {len(cosines)} texts is {cosines.min():.4f}, and {LEAST_COSINE} is wanted. Set "
            "embedder_backend to torch for this model."
        )
    about |= {"cosine_min": float(cosines.min()), "cosine_mean": float(cosines.mean())}
    (out / ABOUT).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def _write_model(source: Path, path: Path) -> Any:
    """Trace the model, round its weights and write it; return the encoder's configuration."""
    try:
        import onnx
        import torch
    except ImportError as error:
        raise MissingPartError(NOT_INSTALLED.format(error=error)) from error
    model = pooled_model(source, attn_implementation="eager")
    ids = torch.ones(2, 16, dtype=torch.long)
    mask = torch.ones(2, 16, dtype=torch.long)
    mask[1, 10:] = 0
    rows, both = {0: "rows"}, {0: "rows", 1: "tokens"}
    try:
        with _quiet():
            torch.onnx.export(
                model,
                (ids, mask),
                str(path),
                input_names=["input_ids", "attention_mask"],
                output_names=["vectors"],
                dynamic_axes={"input_ids": both, "attention_mask": both, "vectors": rows},
                opset_version=_OPSET,
                dynamo=False,  # the other exporter needs a library more
            )
    except Exception as error:
        raise ExportError(
            f"torch cannot export {source.name} to ONNX ({' '.join(str(error).split())[:160]}): "
            "set embedder_backend to torch for this model."
        ) from error
    onnx.save(in_int8(onnx.load(path)), path)
    return model.encoder.config


def in_int8(model: Any) -> Any:
    """Round the weights of a model's matrix products to int8; others stay as they are."""
    from onnx import helper, numpy_helper

    graph = model.graph
    weights = {each.name: each for each in graph.initializer}
    nodes = []
    for node in graph.node:
        weight = weights.get(node.input[1]) if node.op_type == "MatMul" else None
        if weight is None or len(weight.dims) != 2 or weight.dims[0] % _BLOCK:
            nodes.append(node)
            continue
        quantised, scales = rounded(numpy_helper.to_array(weight))
        names = f"{node.name}.int8", f"{node.name}.scales"
        graph.initializer.append(numpy_helper.from_array(quantised, names[0]))
        graph.initializer.append(numpy_helper.from_array(scales, names[1]))
        nodes.append(
            helper.make_node(
                "MatMulNBits",
                [node.input[0], *names],
                list(node.output),
                name=node.name,
                domain="com.microsoft",
                K=weight.dims[0],
                N=weight.dims[1],
                bits=8,
                block_size=_BLOCK,
                accuracy_level=4,  # the inputs in int8 as well
            )
        )
    used = {name for node in nodes for name in node.input}
    kept = [each for each in graph.initializer if each.name in used]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(kept)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return model


def rounded(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Round a matrix (inputs, outputs) to bytes (outputs, blocks, 128) around 128, with scales."""
    blocks = np.ascontiguousarray(weight.T).reshape(weight.shape[1], -1, _BLOCK)
    scales = np.maximum(np.abs(blocks).max(axis=2), 1e-12) / 127
    quantised = (np.rint(blocks / scales[:, :, None]) + 128).astype(np.uint8)
    return quantised, scales.astype(np.float32).reshape(-1)


def _cosines(source: Path, out: Path, threads: int) -> np.ndarray:
    """Compare both models' vectors of the background questions, single and as passages."""
    texts = background_questions()
    texts = [*texts, *_joined(texts)]
    exact = TorchEmbedder(source, name="exact").encode(texts)
    cosines: np.ndarray = np.sum(
        exact * OnnxEmbedder(out, name="int8", threads=threads).encode(texts), axis=1
    )
    return cosines


def _joined(texts: Sequence[str]) -> list[str]:
    return [" ".join(texts[at : at + _JOINED]) for at in range(0, len(texts), _JOINED)]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to the exporter's errors: it warns of each shape that it cannot know."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
