"""Saving: an adapter as PEFT's two files, or the whole model where its own weights were trained."""

import copy
from pathlib import Path

import torch
from peft import get_peft_model_state_dict
from peft.peft_model import PeftModel
from safetensors.torch import save
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from finetune.base_model import no_bars
from finetune.continuing import ADAPTER_WEIGHTS
from finetune.run_folder import write
from finetune.tune_config import TuneConfig

MODEL_WEIGHTS = "model.safetensors"


def save_tuned(
    model: PeftModel | PreTrainedModel,
    folder: Path,
    config: TuneConfig,
    tokenizer: PreTrainedTokenizerBase,
) -> Path:
    """Write what was trained, in bf16 unless its settings say otherwise; return its weights' file.

    An adapter becomes adapter_config.json and its weights; a model becomes a folder that loads like
    its base, with its tokenizer.
    """
    dtype = torch.bfloat16 if config.bf16 else torch.float32
    if isinstance(model, PeftModel):
        return _save_adapter(model, folder, config, dtype)
    with no_bars():
        whole = model.to(dtype)  # type: ignore[arg-type]
        whole.config.dtype = dtype
        whole.save_pretrained(folder, max_shard_size="1TB")
        tokenizer.save_pretrained(folder)
    return folder / MODEL_WEIGHTS


def _save_adapter(model: PeftModel, folder: Path, config: TuneConfig, dtype: torch.dtype) -> Path:
    weights = {
        name: tensor.detach().to("cpu", dtype).contiguous()
        for name, tensor in get_peft_model_state_dict(model, save_embedding_layers=False).items()
    }
    path = folder / ADAPTER_WEIGHTS
    write(path, save(weights, metadata={"format": "pt"}))
    settings = copy.deepcopy(model.peft_config["default"])
    settings.base_model_name_or_path = config.model
    settings.inference_mode = True
    settings.save_pretrained(str(folder))
    return path
