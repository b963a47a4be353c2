"""Attention whose way back gives the same again.

The gradients of the queries are summed over blocks of keys; PyTorch's attentions do that by atomic
operations, in an order that differs from run to run, unless deterministic algorithms are asked for.
That is asked for here alone: for everything else it would cost time or not be there.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

#: Flash attention needs a card of this generation (Ampere).
_LEAST_CAPABILITY = (8, 0)


class _Flash(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        out, *kept, _ = torch.ops.aten._scaled_dot_product_flash_attention(query, key, value)
        sums, query_ends, key_ends, longest_query, longest_key, seed, offset = kept
        ctx.save_for_backward(query, key, value, out, sums, query_ends, key_ends, seed, offset)
        ctx.longest = longest_query, longest_key
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        *tensors, seed, offset = ctx.saved_tensors
        before = torch.are_deterministic_algorithms_enabled()
        only_warned = torch.is_deterministic_algorithms_warn_only_enabled()
        filled = torch.utils.deterministic.fill_uninitialized_memory
        torch.utils.deterministic.fill_uninitialized_memory = False
        torch.use_deterministic_algorithms(True)
        try:
            return torch.ops.aten._scaled_dot_product_flash_attention_backward(
                gradient, *tensors, *ctx.longest, 0.0, False, seed, offset
            )
        finally:
            torch.use_deterministic_algorithms(before, warn_only=only_warned)
            torch.utils.deterministic.fill_uninitialized_memory = filled


def attention_that_repeats(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention of ``(N, heads, L, width)`` on a CUDA device; the same gradients every time."""
    wants_gradient = torch.is_grad_enabled() and query.requires_grad
    if wants_gradient and _flash_runs(query):
        return _Flash.apply(query, key, value)
    return F.scaled_dot_product_attention(query, key, value)


def _flash_runs(query: Tensor) -> bool:
    if not query.is_cuda or query.dtype not in (torch.bfloat16, torch.float16):
        return False
    return torch.cuda.get_device_capability(query.device) >= _LEAST_CAPABILITY
