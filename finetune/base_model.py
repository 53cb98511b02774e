"""The base model: frozen, whole or in 4 bits, with an adapter to train on it, or trained itself."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import (
    LoraConfig,
    PeftConfig,
    TaskType,
    get_peft_model,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from peft.peft_model import PeftModel
from safetensors.torch import load_file
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from finetune.continuing import ADAPTER_WEIGHTS, Earlier
from finetune.errors import ConfigError, MissingPackageError, ModelError
from finetune.neural import NeuralConfig, neural_config
from finetune.precision import dtype_of
from finetune.tune_config import ATTENTION, TuneConfig

HEAD = "score"
"""What transformers calls the head of a decoder that classifies, or scores."""


@contextmanager
def no_bars() -> Iterator[None]:
    """Load or save without transformers' own progress bars: a run tells its events instead."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


@contextmanager
def without_report() -> Iterator[None]:
    """Load without transformers' report of what is new or unused: a head on a base always is."""
    shown = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with no_bars():
            yield
    finally:
        logging.set_verbosity(shown)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Load the base model's tokenizer."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{folder} has no tokenizer that loads: {error}. Fetch it again."
        ) from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_base(
    config: TuneConfig, folder: Path, *, kind: Any = AutoModelForCausalLM, **more: Any
) -> PreTrainedModel:
    """Load the base model; in fp32 where its own weights are trained, as bf16 loses small steps.

    `kind` is the class that loads it, and `more` what that is told besides.
    """
    dtype = torch.float32 if config.tuner == "full" else dtype_of(config)
    quantization = _four_bits(dtype) if config.quantize_4bit else None
    try:
        with no_bars():
            model: PreTrainedModel = kind.from_pretrained(
                folder, dtype=dtype, quantization_config=quantization, local_files_only=True, **more
            )
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder} holds no model that loads: {error}. Fetch it again.") from error
    if quantization:
        _keep_trainable(model)
    let_save(model)
    return model


def let_save(model: PreTrainedModel) -> None:
    """Let the base's own settings for writing be saved with it.

    Bases with a temperature and without `do_sample` are published; transformers saves none.
    """
    generation = getattr(model, "generation_config", None)
    if generation is None:  # as of a model that scores
        return
    try:
        generation.validate(strict=True)
    except ValueError:
        generation.do_sample = True


def _keep_trainable(model: PreTrainedModel) -> None:
    """Keep the 4-bit weights as they are where the model only reads.

    On a CPU with AVX512-BF16 bitsandbytes would pack them for speed at the first look without
    gradients, and through packed weights no gradient flows: all training after it would be for
    nothing.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            setattr(module, "support_avx512bf16_for_cpu", False)  # noqa: B010 - unknown to types


def _four_bits(dtype: torch.dtype) -> BitsAndBytesConfig:
    try:
        import bitsandbytes  # noqa: F401
    except ImportError as error:
        raise MissingPackageError(
            "quantize_4bit needs bitsandbytes: pip install 'agentlab-rag[train]'."
        ) from error
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def adapter_config(config: TuneConfig) -> LoraConfig | NeuralConfig:
    """Translate the settings into PEFT's."""
    modules: str | list[str]
    match config.target_modules:
        case "all":
            modules = "all-linear"
        case "attention":
            modules = list(ATTENTION)
        case names:
            modules = list(names)
    if config.tuner == "neural":
        return neural_config(
            rank=config.lora_rank,
            alpha=config.alpha,
            target_modules=modules,
            frequency=config.frequency,
            dropout=config.lora_dropout,
        )
    return LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=config.lora_rank,
        lora_alpha=config.alpha,
        lora_dropout=config.lora_dropout,
        target_modules=modules,
        use_rslora=config.tuner == "rslora",
        use_dora=config.tuner == "dora",
    )


def add_adapter(
    model: PreTrainedModel, config: TuneConfig, *, task: TaskType = TaskType.CAUSAL_LM
) -> PeftModel:
    """Put an untrained adapter on the model, in fp32: its small steps would vanish in bf16.

    A head that the task has is trained and saved with it.
    """
    settings = adapter_config(config)
    settings.task_type = task
    try:
        return _adapted(model, settings)
    except ValueError as error:
        raise ModelError(
            f"target_modules={config.target_modules!r} does not fit this model: {error}. "
            "Use target_modules=all."
        ) from error


def load_adapter(
    model: PreTrainedModel,
    config: TuneConfig,
    earlier: Earlier,
    *,
    task: TaskType = TaskType.CAUSAL_LM,
) -> PeftModel:
    """Put an earlier adapter on the model, whole and in fp32, to be trained further.

    A head that the task has and an adapter of another task lacks begins untrained.
    """
    if config.target_modules == "all" and set(earlier.modules) != _linear_names(model):
        raise ConfigError(
            f"target_modules is all, which is {sorted(_linear_names(model))} on this model; the "
            f"adapter {earlier.folder} has {list(earlier.modules)}. Leave target_modules out."
        )
    settings = PeftConfig.from_pretrained(str(earlier.folder))
    dropout = "dropout" if isinstance(settings, NeuralConfig) else "lora_dropout"
    setattr(settings, dropout, config.lora_dropout)
    settings.inference_mode = False
    settings.task_type, other = task, settings.task_type != task
    settings.base_model_name_or_path = None  # a name, where the model comes from a folder
    adapted = _adapted(model, settings)
    own = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    kept = load_file(earlier.folder / ADAPTER_WEIGHTS)
    differing = own.keys() ^ kept.keys()
    if other:
        differing -= {f"base_model.model.{HEAD}.weight"}
    if differing:
        raise _unfit(
            earlier, f"{len(differing)} weights, such as {min(differing)}, are in one only"
        )
    try:
        set_peft_model_state_dict(adapted, own | kept)
    except RuntimeError as error:
        raise _unfit(earlier, str(error)) from error
    return adapted


def _adapted(model: PreTrainedModel, settings: PeftConfig) -> PeftModel:
    with warnings.catch_warnings():
        # PEFT warns about the tied word embeddings, which no LoRA here touches
        warnings.filterwarnings("ignore", message=".*tie_word_embeddings.*")
        adapted = get_peft_model(model, settings)
    if not isinstance(adapted, PeftModel):
        raise ModelError(f"PEFT made a {type(adapted).__name__} instead of an adapted model.")
    return adapted


def _linear_names(model: PreTrainedModel) -> set[str]:
    head = model.get_output_embeddings()
    return {
        name.rsplit(".", 1)[-1]
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module is not head and name != HEAD
    }


def _unfit(earlier: Earlier, why: str) -> ModelError:
    return ModelError(
        f"The adapter {earlier.folder} ({earlier.name}) does not fit this model: {why}. "
        "Set model to the one that it was trained on."
    )
