"""Nearest-neighbour resizing of maps of tokens, as a choice of rows."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


@lru_cache(maxsize=64)
def nearest(size: tuple[int, int], to: tuple[int, int], device: torch.device) -> Tensor:
    """For each pixel of a map of size `to`, which pixel of a map of `size` it takes; int32.

    Pixels are counted row by row.
    """
    numbers = torch.arange(size[0] * size[1], dtype=torch.float32).view(1, 1, *size)
    chosen = F.interpolate(numbers, size=to, mode="nearest")
    return chosen.flatten().to(torch.int32).to(device)


class _Taken(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, where: Tensor) -> Tensor:
        ctx.save_for_backward(where)
        ctx.rows = x.shape[2]
        return x.index_select(2, where)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (where,) = ctx.saved_tensors
        # A product, since PyTorch's own way back writes in an order that differs from run to run.
        rows = torch.arange(ctx.rows, device=where.device)
        return (rows[:, None] == where[None, :]).to(gradient.dtype) @ gradient, None


def taken(x: Tensor, where: Tensor) -> Tensor:
    """Some rows of ``x`` ``(B, T, P, C)``; each at most once.

    Parameters
    ----------
    where : Tensor
        int32 ``(p,)``, no number twice, as where a map is made smaller.
    """
    return _Taken.apply(x, where)
