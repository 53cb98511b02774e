"""Neural: a PEFT tuner of ours, LoRA with a sine for its nonlinearity.

    dW = alpha / (r w) * sin(w * B A)        A: r x in, B: out x r, w the frequency

The sine of a low-rank matrix has a high rank, at the parameters of a LoRA (Ji et al. 2024,
"Efficient Learning With Sine-Activated Low-rank Matrices", arXiv 2403.19243). Scaled like this,
the slope at 0 is alpha / r whatever w is: with B = 0 at the start dW is 0, the first steps are
LoRA's own, and no element of dW ever exceeds alpha / (r w).

Importing this module makes PEFT know the type NEURAL: it then loads, saves, merges and converts
such adapters as its own.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftType, TaskType
from peft.config import PeftConfig
from peft.peft_model import PeftModel
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer, check_adapters_to_merge
from peft.utils import (
    get_quantization_kwargs,
    quantization_extra_repr,
    register_peft_method,
    resolve_quantization_backend,
)
from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

NAME = "neural"
FREQUENCY = 200.0
"""The frequency by default: dW then stays below alpha / (200 r), as large as a LoRA's elements."""


@dataclass
class NeuralConfig(PeftConfig):
    """Settings of a neural adapter, in PEFT's form."""

    r: int = 8
    alpha: float = 16.0
    frequency: float = FREQUENCY
    dropout: float = 0.0
    target_modules: list[str] | set[str] | str | None = None
    exclude_modules: list[str] | set[str] | str | None = None
    modules_to_save: list[str] | None = None
    layers_to_transform: list[int] | int | None = None
    layers_pattern: list[str] | str | None = None

    @property
    def scale(self) -> float:
        """Return what the sine is multiplied by, alpha / (r w)."""
        return self.alpha / (self.r * self.frequency)

    def __post_init__(self) -> None:
        """Check the numbers; raise ValueError, as PEFT's own configurations do."""
        super().__post_init__()
        self.peft_type = getattr(PeftType, NAME.upper())
        if self.r < 1 or self.frequency <= 0 or self.alpha <= 0:
            msg = (
                f"r={self.r}, alpha={self.alpha}, frequency={self.frequency}: each must be above 0"
            )
            raise ValueError(msg)
        for name in ("target_modules", "exclude_modules"):
            value = getattr(self, name)
            if isinstance(value, list):
                setattr(self, name, set(value))


def neural_config(
    *,
    rank: int,
    alpha: float,
    target_modules: str | list[str],
    frequency: float = FREQUENCY,
    dropout: float = 0.0,
) -> NeuralConfig:
    """Return PEFT's configuration of a neural adapter on a causal language model."""
    return NeuralConfig(
        task_type=TaskType.CAUSAL_LM,
        r=rank,
        alpha=alpha,
        frequency=frequency,
        dropout=dropout,
        target_modules=target_modules,
    )


class NeuralLinear(nn.Module, BaseTunerLayer):
    """A linear layer, plain or quantised, with neural adapters on it."""

    adapter_layer_names = ("neural_A", "neural_B")
    other_param_names = ("r", "frequency", "scale", "neural_dropout")

    def __init__(
        self, base_layer: nn.Module, adapter_name: str, config: NeuralConfig, **kwargs: Any
    ) -> None:
        super().__init__()
        self.base_layer = base_layer
        plain: Any = self.get_base_layer()
        self.quantization_backend = resolve_quantization_backend(plain, **kwargs)
        self.in_features: int = plain.in_features
        self.out_features: int = plain.out_features
        self.r: dict[str, int] = {}
        self.frequency: dict[str, float] = {}
        self.scale: dict[str, float] = {}
        self.neural_dropout = nn.ModuleDict()
        self.neural_A = nn.ParameterDict()
        self.neural_B = nn.ParameterDict()
        self._disable_adapters = False
        self.merged_adapters: list[str] = []
        self._active_adapter = adapter_name
        self.update_layer(adapter_name, config)

    def update_layer(self, adapter_name: str, config: NeuralConfig) -> None:
        """Add an adapter: A as LoRA draws it, B all zeros, and so dW = 0."""
        self.r[adapter_name] = config.r
        self.frequency[adapter_name] = config.frequency
        self.scale[adapter_name] = config.scale
        self.neural_dropout[adapter_name] = nn.Dropout(config.dropout)
        first = torch.empty(config.r, self.in_features)
        nn.init.kaiming_uniform_(first, a=math.sqrt(5))
        self.neural_A[adapter_name] = nn.Parameter(first)
        self.neural_B[adapter_name] = nn.Parameter(torch.zeros(self.out_features, config.r))
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def get_delta_weight(self, adapter_name: str) -> torch.Tensor:
        """Return dW in fp32, out x in."""
        first, second = self.neural_A[adapter_name], self.neural_B[adapter_name]
        return self.scale[adapter_name] * _sine(first, second, self.frequency[adapter_name])

    def angle_rms(self, adapter_name: str) -> float:
        """Return rms(w B A) over the elements, from two r x r products."""
        first, second = self.neural_A[adapter_name].float(), self.neural_B[adapter_name].float()
        square = ((first @ first.T) * (second.T @ second)).sum().item()
        elements = self.in_features * self.out_features
        return self.frequency[adapter_name] * math.sqrt(max(0.0, square) / elements)

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return the base layer's output and, unless merged or disabled, each adapter's part."""
        if self.disable_adapters and self.merged:
            self.unmerge()
        result: torch.Tensor = self.base_layer(x, *args, **kwargs)
        if self.disable_adapters or self.merged:
            return result
        for name in self.active_adapters:
            if name in self.neural_A:
                part = self._part(self.neural_dropout[name](x), name)
                result = result + (self.scale[name] * part).to(result.dtype)
        return result

    def _part(self, x: torch.Tensor, name: str) -> torch.Tensor:
        """Return sin(w B A) x; what is as large as the base's weight is made again on the way back.

        Kept for the gradient, the sine and its cosine would cost twice the base's memory in fp32.
        """
        first, second, frequency = self.neural_A[name], self.neural_B[name], self.frequency[name]
        if not torch.is_grad_enabled():
            return _apply(x, first, second, frequency)
        part: torch.Tensor = checkpoint(
            _apply, x, first, second, frequency, use_reentrant=False, preserve_rng_state=False
        )
        return part

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Add dW to the base weight, rounded once; a quantised one is quantised anew, with loss."""
        for name in check_adapters_to_merge(self, adapter_names):
            if name not in self.neural_A:
                continue
            weight = self.get_base_weight()
            merged = weight.float() + self.get_delta_weight(name).to(weight.device)
            if safe_merge and not torch.isfinite(merged).all():
                msg = f"The weights merged with the adapter {name} hold NaN or infinity."
                raise ValueError(msg)
            self.set_base_weight(merged.to(weight.dtype))
            self.merged_adapters.append(name)

    def unmerge(self) -> None:
        """Take what was merged out of the base weight again."""
        while self.merged_adapters:
            name = self.merged_adapters.pop()
            weight = self.get_base_weight()
            plain = weight.float() - self.get_delta_weight(name).to(weight.device)
            self.set_base_weight(plain.to(weight.dtype))

    def supports_lora_conversion(self, adapter_name: str = "default") -> bool:  # noqa: ARG002
        """Tell PEFT that dW is added to the base weight, so that its SVD makes a LoRA of it."""
        return True

    def extra_repr(self) -> str:
        """Name the quantisation of the base, as PEFT's layers do."""
        return quantization_extra_repr(self)


class NeuralModel(BaseTuner):
    """A model with neural adapters on its linear layers."""

    prefix = f"{NAME}_"
    tuner_layer_cls = NeuralLinear
    target_module_mapping = TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING  # type: ignore[assignment]

    def _create_and_replace(  # type: ignore[override]  # noqa: PLR0917 - as PEFT calls it
        self,
        config: NeuralConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,  # noqa: ARG002 - PEFT gives it by name
        **_: Any,
    ) -> None:
        if isinstance(target, NeuralLinear):
            target.update_layer(adapter_name, config)
            return
        plain = target.get_base_layer() if isinstance(target, BaseTunerLayer) else target
        if not isinstance(plain, nn.Linear):
            raise TypeError(f"{target_name} is a {type(plain).__name__}, not a linear layer.")
        layer = NeuralLinear(target, adapter_name, config, **get_quantization_kwargs(self))
        if adapter_name not in self.active_adapters:
            layer.requires_grad_(requires_grad=False)
        self._replace_module(parent, target_name, layer, target)


def angles(model: PeftModel, adapter_name: str = "default") -> Mapping[str, float]:
    """Return rms(w B A) of each layer with a neural adapter, by the layer's name.

    Of a dW whose angles are normal with deviation s, the linear part holds the share
    s^2 / sinh(s^2) of the energy: .96 at 0.7, .48 at 1.5 (E[x sin x]^2 over E[x^2] E[sin^2 x]).
    A LoRA of dW's own rank holds at least that, one of a higher rank more.
    """
    return {
        name: module.angle_rms(adapter_name)
        for name, module in model.named_modules()
        if isinstance(module, NeuralLinear) and adapter_name in module.neural_A
    }


def spread(model: PeftModel) -> dict[str, float]:
    """Return the mean and the largest rms(w B A) of the layers, which tell how far from a LoRA."""
    each = angles(model).values()
    return {"mean": sum(each) / len(each), "largest": max(each)}


def delta_weight(first: torch.Tensor, second: torch.Tensor, config: NeuralConfig) -> torch.Tensor:
    """Return the dW of a layer's A and B in fp32, out x in."""
    return config.scale * _sine(first, second, config.frequency)


def _sine(first: torch.Tensor, second: torch.Tensor, frequency: float) -> torch.Tensor:
    with torch.autocast(first.device.type, enabled=False):
        return torch.sin((frequency * second.float()) @ first.float())


def _apply(
    x: torch.Tensor, first: torch.Tensor, second: torch.Tensor, frequency: float
) -> torch.Tensor:
    return functional.linear(x, _sine(first, second, frequency).to(x.dtype))


def _register() -> None:
    """Give PEFT the type: it asks for an entry in an enum, to which Python lets none be added."""
    if NAME.upper() in PeftType.__members__:
        return
    entry = str.__new__(PeftType, NAME.upper())
    entry._name_ = entry._value_ = NAME.upper()
    setattr(PeftType, NAME.upper(), entry)
    PeftType._member_map_[NAME.upper()] = entry
    PeftType._value2member_map_[NAME.upper()] = entry
    PeftType._member_names_.append(NAME.upper())
    register_peft_method(name=NAME, config_cls=NeuralConfig, model_cls=NeuralModel)


_register()
