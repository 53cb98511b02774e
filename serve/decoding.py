"""Decoding: what makes one token after the other cheap on a CPU, with the same numbers.

A cache that grows in steps, where the usual one copies all of itself for every token; and an
attention that reads the keys of a group of heads once for all of them.
"""

from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface, DynamicCache
from transformers.cache_utils import DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

STEP = 256
"""Tokens for which the cache makes room at once."""
_NAME = "grouped_sdpa"


def open_cache(config: Any) -> DynamicCache:
    """Build an empty cache for a model."""
    cache = DynamicCache(config=config)
    # Layers of another kind, such as a sliding window, keep their own way.
    cache.layers = [
        GrowingLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers
    ]
    return cache


def group_heads(model: Any) -> None:
    """Let a model on the CPU read the keys of each group of heads once a token, if it has groups.

    Only for models that use torch's own attention, whose numbers stay the same.
    """
    config = model.config.get_text_config()
    heads = getattr(config, "num_attention_heads", 0)
    if model.config._attn_implementation != "sdpa" or heads == getattr(  # noqa: SLF001
        config, "num_key_value_heads", heads
    ):
        return
    AttentionInterface.register(_NAME, grouped_attention)
    AttentionMaskInterface.register(_NAME, sdpa_mask)
    model.set_attn_implementation(_NAME)


class GrowingLayer(DynamicLayer):
    """One layer's keys and values, with room for the tokens to come."""

    _room: tuple[torch.Tensor, torch.Tensor] | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add the keys and values of new tokens; return all."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start = self.get_seq_length()
        end = start + key_states.shape[-2]
        if self._room is None or self._room[0].shape[-2] < end:
            self._room = (
                _widened(self.keys, key_states, start, end),
                _widened(self.values, value_states, start, end),
            )
        keys, values = self._room
        keys[..., start:end, :] = key_states
        values[..., start:end, :] = value_states
        self.keys, self.values = keys[..., :end, :], values[..., :end, :]
        return self.keys, self.values


def _widened(kept: torch.Tensor | None, new: torch.Tensor, start: int, end: int) -> torch.Tensor:
    room = new.new_empty((*new.shape[:-2], -(-end // STEP) * STEP, new.shape[-1]))
    if start and kept is not None:
        room[..., :start, :] = kept
    return room


def grouped_attention(  # noqa: PLR0917 - as transformers calls it
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attend like `sdpa`; for one token, the heads that share keys go as if they were tokens."""
    batch, heads, length, size = query.shape
    groups = key.shape[1]
    special = kwargs.get("position_bias") is not None or kwargs.get("cache") is not None
    if length > 1 or attention_mask is not None or special or heads % groups:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **kwargs
        )
    folded = query.reshape(batch, groups, heads // groups, size)
    read = torch.nn.functional.scaled_dot_product_attention(folded, key, value, scale=scaling)
    return read.reshape(batch, 1, heads, value.shape[-1]), None
