"""Matrices one behind the other in memory, so that one product does the work of several."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def lay_side_by_side(layers: Sequence[nn.Linear]) -> None:
    """Move the weights of layers with the same input into one piece of memory."""
    whole = torch.cat([layer.weight.data for layer in layers])
    parts = whole.split([layer.out_features for layer in layers])
    for layer, part in zip(layers, parts, strict=True):
        layer.weight.data = part


def joined(matrices: Sequence[Tensor]) -> Tensor:
    """Matrices ``(n_i, C)`` as one ``(sum of n_i, C)``: a view where they lie side by side."""
    first = matrices[0]
    if len(matrices) == 1:
        return first
    rows = sum(len(matrix) for matrix in matrices)
    if _adjacent(matrices):
        return first.detach().as_strided((rows, first.shape[1]), (first.shape[1], 1))
    return torch.cat([matrix.detach() for matrix in matrices])


def _adjacent(matrices: Sequence[Tensor]) -> bool:
    start = matrices[0].storage_offset()
    memory = matrices[0].untyped_storage().data_ptr()
    for matrix in matrices:
        same = matrix.untyped_storage().data_ptr() == memory and matrix.is_contiguous()
        if not same or matrix.storage_offset() != start:
            return False
        start += matrix.numel()
    return True
