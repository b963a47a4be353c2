"""Multi-head attention of diffusers' and of the motion modules' layers, adapted or not."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from napari_amodal.tabe.flash_attention import attention_that_repeats
from napari_amodal.tabe.fused import fused
from napari_amodal.tabe.lora import projected
from napari_amodal.tabe.side_by_side import lay_side_by_side


def attended(layer: Any, x: Tensor, context: Tensor | None = None) -> Tensor:
    """Attention of ``x`` ``(N, L, C)`` to itself or to a context ``(N, M, D)``.

    Parameters
    ----------
    layer : nn.Module
        Has `to_q`, `to_k`, `to_v`, `to_out` and `heads`.
    """
    if context is None:
        query, key, value = projected((layer.to_q, layer.to_k, layer.to_v), x).chunk(3, -1)
    else:
        query = projected((layer.to_q,), x)
        key, value = projected((layer.to_k, layer.to_v), context).chunk(2, -1)
    split = (part.unflatten(-1, (layer.heads, -1)).transpose(1, 2) for part in (query, key, value))
    attend = attention_that_repeats if fused(x) else F.scaled_dot_product_attention
    return layer.to_out[0](attend(*split).transpose(1, 2).flatten(2))


def attended_over_time(layer: Any, x: Tensor) -> Tensor:
    """Each pixel of ``x`` ``(B, T, P, C)`` attends to itself in all frames."""
    joint = projected((layer.to_q, layer.to_k, layer.to_v), x)
    if fused(x):
        from napari_amodal.tabe.kernels.temporal_attention import temporal_attention

        return layer.to_out[0](temporal_attention(joint.contiguous(), layer.heads))
    query, key, value = (
        part.transpose(1, 2).flatten(0, 1).unflatten(-1, (layer.heads, -1)).transpose(1, 2)
        for part in joint.chunk(3, -1)
    )
    found = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
    return layer.to_out[0](found.unflatten(0, (len(x), -1)).transpose(1, 2))


def lay_out(network: nn.Module) -> None:
    """Lay the weights of layers that share an input side by side, in every attention."""
    for layer in network.modules():
        if all(hasattr(layer, name) for name in ("to_q", "to_k", "to_v")):
            if layer.to_q.in_features == layer.to_k.in_features:
                lay_side_by_side((layer.to_q, layer.to_k, layer.to_v))
            else:
                lay_side_by_side((layer.to_k, layer.to_v))
