"""Encoder: a sentence embedder as it is trained, its loading, its vectors and its folder."""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save
from torch.nn import functional
from transformers import AutoConfig, AutoModel, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

from finetune.base_model import without_report
from finetune.errors import ModelError
from finetune.run_folder import write

WEIGHTS = "model.safetensors"
POOLING = "1_Pooling/config.json"
# What a sentence-transformers folder holds beside the model: its tokenizer, and how it pools.
_KEPT = (
    "tokenizer*", "vocab*", "merges.txt", "*.model", "special_tokens_map.json", "added_tokens.json",
    "modules.json", "sentence_*config.json", "config_sentence_transformers.json", "*_Pooling/*",
    "*_Normalize/*",
)  # fmt: skip
_MODULES = (
    ("0", "", "Transformer"),
    ("1", "1_Pooling", "Pooling"),
    ("2", "2_Normalize", "Normalize"),
)


def load_encoder(folder: Path, *, max_length: int) -> PreTrainedModel:
    """Load a BERT-like encoder in fp32; raise ModelError where it is none or has few positions."""
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        if config.is_encoder_decoder or config.model_type not in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
            raise ModelError(
                f"{folder} is a {config.model_type} model; a retriever is made from encoders such "
                "as all-MiniLM-L6-v2."
            )
        if max_length > config.max_position_embeddings:
            raise ModelError(
                f"max_length={max_length}, but {folder} reads at most "
                f"{config.max_position_embeddings} tokens. Lower max_length."
            )
        pools_first(folder)
        with without_report():
            model: PreTrainedModel = AutoModel.from_pretrained(
                folder, dtype=torch.float32, local_files_only=True
            )
            return model
    except OSError as error:
        raise ModelError(f"{folder} holds no model that loads: {error}. Fetch it again.") from error


def pools_first(folder: Path) -> bool:
    """Tell whether a text's vector is that of its first token, and not the mean of all."""
    file = folder / POOLING
    if not file.is_file():
        return False
    modes = json.loads(file.read_text(encoding="utf-8"))
    on = {
        name for name, value in modes.items() if name.startswith("pooling_mode_") and value is True
    }
    if on <= {"pooling_mode_mean_tokens"} or on == {"pooling_mode_cls_token"}:
        return "pooling_mode_cls_token" in on
    raise ModelError(
        f"{folder} pools its tokens by {', '.join(sorted(on))}, which is not known here. Use an "
        "embedder that takes their mean or the first one."
    )


def embed(
    model: torch.nn.Module, ids: torch.Tensor, mask: torch.Tensor, *, first: bool = False
) -> torch.Tensor:
    """Return one vector of length one for each row of tokens, fp32 of shape (rows, dimension)."""
    hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    pooled = hidden[:, 0] if first else (hidden * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
    return functional.normalize(pooled, dim=1)


def write_encoder(model: PreTrainedModel, base: Path, folder: Path) -> Path:
    """Write a folder that loads like its base, as an embedder; its weights last, in fp32."""
    folder.mkdir(parents=True, exist_ok=True)
    for pattern in _KEPT:
        for path in base.glob(pattern):
            target = folder / path.relative_to(base)
            target.parent.mkdir(exist_ok=True)
            shutil.copy(path, target)
    if not (folder / POOLING).is_file():
        _write_pooling(model, folder)
    write(folder / "config.json", model.config.to_json_string(use_diff=True))
    state = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    write(folder / WEIGHTS, save(state, metadata={"format": "pt"}))
    return folder / WEIGHTS


def _write_pooling(model: PreTrainedModel, folder: Path) -> None:
    """Say for sentence-transformers what `embed` does: the mean of the tokens, of length one."""
    modules = [
        {
            "idx": int(name),
            "name": name,
            "path": path,
            "type": f"sentence_transformers.models.{kind}",
        }
        for name, path, kind in _MODULES
    ]
    pooling = {
        "word_embedding_dimension": model.config.hidden_size,
        "pooling_mode_cls_token": False,
        "pooling_mode_mean_tokens": True,
    }
    (folder / POOLING).parent.mkdir(exist_ok=True)
    (folder / "2_Normalize").mkdir(exist_ok=True)
    write(folder / POOLING, json.dumps(pooling, indent=2) + "\n")
    write(folder / "modules.json", json.dumps(modules, indent=2) + "\n")
