"""The low-rank part of adapted layers, with dropout that keeps no mask."""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from napari_amodal.tabe.side_by_side import joined

_ROWS = 64
_COLUMNS = 64
#: Programs that share the sum over a matrix' rows.
_PARTS = 8
#: Products of this card's units have at least this many columns; a lower rank is padded.
_LEAST_RANK = 16


@triton.jit
def _mixed(x):
    """A permutation of the 32-bit integers that looks random (PCG's output function)."""
    state = x * 747796405 + 1403630843
    word = ((state >> ((state >> 28) + 4)) ^ state) * 277803737
    return (word >> 22) ^ word


@triton.jit
def _kept(seed, number, at, limit):
    """Which values a layer's dropout keeps; follows from the step's seed and the layer's number."""
    key = _mixed(tl.load(seed).to(tl.uint32) + _mixed(number.to(tl.uint32)))
    return (_mixed(_mixed(at.to(tl.uint32)) ^ key) >> 8) < limit


@triton.jit(do_not_specialize=["first", "count"])
def _down(
    x,
    down,
    low,
    seed,
    first,
    count,
    channels,
    keep,
    limit,
    dropping: tl.constexpr,
    rank: tl.constexpr,
    padded: tl.constexpr,
    precision: tl.constexpr,
    rows: tl.constexpr,
    columns: tl.constexpr,
):
    """``low[:, layer] = dropout(x) @ down[layer].T`` of some rows."""
    layer, layers = tl.program_id(1), tl.num_programs(1)
    row = tl.program_id(0).to(tl.int64) * rows + tl.arange(0, rows)
    unit = tl.arange(0, padded)
    found = tl.zeros((rows, padded), tl.float32)
    for start in range(0, channels, columns):
        column = start + tl.arange(0, columns)
        inside = (row < count)[:, None] & (column < channels)[None, :]
        at = row[:, None] * channels + column[None, :]
        value = tl.load(x + at, mask=inside, other=0.0)
        if dropping:
            value = tl.where(_kept(seed, first + layer, at, limit), value / keep, 0.0)
            value = value.to(x.dtype.element_ty)
        a = tl.load(
            down + (layer * rank + unit)[:, None] * channels + column[None, :],
            mask=(unit < rank)[:, None] & (column < channels)[None, :],
            other=0.0,
        )
        found += tl.dot(value, tl.trans(a), input_precision=precision)
    to = low + row[:, None] * (layers * rank) + layer * rank + unit[None, :]
    tl.store(to, found.to(low.dtype.element_ty), mask=(row < count)[:, None] & (unit < rank))


@triton.jit(do_not_specialize=["first", "layers", "count"])
def _gradient_of_input(
    dlow,
    down,
    dx,
    seed,
    first,
    layers,
    count,
    channels,
    keep,
    limit,
    dropping: tl.constexpr,
    rank: tl.constexpr,
    padded: tl.constexpr,
    precision: tl.constexpr,
    rows: tl.constexpr,
    columns: tl.constexpr,
):
    """``dx``: the sum over the layers of what comes back through each one's dropout."""
    row = tl.program_id(0).to(tl.int64) * rows + tl.arange(0, rows)
    column = tl.program_id(1) * columns + tl.arange(0, columns)
    unit = tl.arange(0, padded)
    inside = (row < count)[:, None] & (column < channels)[None, :]
    at = row[:, None] * channels + column[None, :]
    found = tl.zeros((rows, columns), tl.float32)
    for layer in range(layers):
        gradient = tl.load(
            dlow + row[:, None] * (layers * rank) + layer * rank + unit[None, :],
            mask=(row < count)[:, None] & (unit < rank)[None, :],
            other=0.0,
        )
        a = tl.load(
            down + (layer * rank + unit)[:, None] * channels + column[None, :],
            mask=(unit < rank)[:, None] & (column < channels)[None, :],
            other=0.0,
        )
        part = tl.dot(gradient, a, input_precision=precision)
        if dropping:
            part = tl.where(_kept(seed, first + layer, at, limit), part / keep, 0.0)
        found += part
    tl.store(dx + at, found.to(dx.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["first", "count"])
def _gradient_of_down(
    x,
    dlow,
    sums,
    seed,
    first,
    count,
    channels,
    keep,
    limit,
    dropping: tl.constexpr,
    rank: tl.constexpr,
    padded: tl.constexpr,
    precision: tl.constexpr,
    rows: tl.constexpr,
    columns: tl.constexpr,
):
    """``sums[part, layer] = dlow.T @ dropout(x)`` over a part of the rows."""
    layer, layers = tl.program_id(1), tl.num_programs(1)
    part, parts = tl.program_id(2), tl.num_programs(2)
    column = tl.program_id(0) * columns + tl.arange(0, columns)
    unit = tl.arange(0, padded)
    found = tl.zeros((padded, columns), tl.float32)
    for start in range(part * rows, count, parts * rows):
        row = (start + tl.arange(0, rows)).to(tl.int64)
        inside = (row < count)[:, None] & (column < channels)[None, :]
        at = row[:, None] * channels + column[None, :]
        value = tl.load(x + at, mask=inside, other=0.0)
        if dropping:
            value = tl.where(_kept(seed, first + layer, at, limit), value / keep, 0.0)
            value = value.to(x.dtype.element_ty)
        gradient = tl.load(
            dlow + row[None, :] * (layers * rank) + layer * rank + unit[:, None],
            mask=(row < count)[None, :] & (unit < rank)[:, None],
            other=0.0,
        )
        found += tl.dot(gradient, value, input_precision=precision)
    to = sums + ((part * layers + layer) * rank + unit)[:, None] * channels + column[None, :]
    tl.store(to, found, mask=(unit < rank)[:, None] & (column < channels)[None, :])


class _AddLowRank(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, y: Tensor, x: Tensor, seed: Tensor, first: int, rate: float, *matrices: Tensor
    ) -> Tensor:
        layers = len(matrices) // 2
        down, ups = joined(matrices[:layers]), matrices[layers:]
        ctx.first, ctx.rate, ctx.layers = first, rate, layers
        ctx.rank = down.shape[0] // layers
        rows = x.reshape(-1, x.shape[-1])
        low = rows.new_empty(len(rows), down.shape[0])
        grid = (triton.cdiv(len(rows), _ROWS), layers)
        _down[grid](rows, down, low, seed, first, *rows.shape, *_keeping(rate), **_options(ctx, x))
        ctx.save_for_backward(x, seed, low, *matrices)
        parts = y.view(-1, y.shape[-1]).split([up.shape[0] for up in ups], 1)
        for part, up, its in zip(parts, ups, low.split(ctx.rank, 1), strict=True):
            part.addmm_(its, up.t())
        ctx.mark_dirty(y)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, seed, low, *matrices = ctx.saved_tensors
        down, ups = joined(matrices[: ctx.layers]), matrices[ctx.layers :]
        rows = x.reshape(-1, x.shape[-1])
        count, channels = rows.shape
        parts = dy.reshape(count, -1).split([up.shape[0] for up in ups], 1)
        dlow = torch.empty_like(low)
        of_ups = []
        for part, up, its, back in zip(
            parts, ups, low.split(ctx.rank, 1), dlow.split(ctx.rank, 1), strict=True
        ):
            of_ups.append(part.t() @ its)
            back.copy_(part @ up)
        numbers = (count, channels, *_keeping(ctx.rate))
        options = _options(ctx, x)
        wide = triton.cdiv(channels, _COLUMNS)
        of_x = None
        if ctx.needs_input_grad[1]:
            dx = torch.empty_like(rows)
            grid = (triton.cdiv(count, _ROWS), wide)
            _gradient_of_input[grid](
                dlow, down, dx, seed, ctx.first, ctx.layers, *numbers, **options
            )
            of_x = dx.view_as(x)
        shares = min(_PARTS, triton.cdiv(count, _ROWS))
        sums = x.new_empty(shares, *down.shape, dtype=torch.float32)
        _gradient_of_down[wide, ctx.layers, shares](
            rows, dlow, sums, seed, ctx.first, *numbers, **options
        )
        of_down = sums.sum(0).to(x.dtype).split(ctx.rank)
        return dy, of_x, None, None, None, *of_down, *of_ups


def _keeping(rate: float) -> tuple[float, int]:
    """The share that a dropout keeps, and the same of the 24 bits that are drawn."""
    return 1 - rate, round((1 - rate) * 2**24)


def _options(ctx: Any, x: Tensor) -> dict[str, Any]:
    return {
        "dropping": ctx.rate > 0,
        "rank": ctx.rank,
        "padded": max(_LEAST_RANK, triton.next_power_of_2(ctx.rank)),
        "precision": "ieee" if x.dtype == torch.float32 else "tf32",
        "rows": _ROWS,
        "columns": _COLUMNS,
    }


def add_low_rank(
    y: Tensor,
    x: Tensor,
    seed: Tensor,
    first: int,
    rate: float,
    downs: tuple[Tensor, ...],
    ups: tuple[Tensor, ...],
) -> Tensor:
    """Add to frozen layers' results what their adaptations give, in place.

    Parameters
    ----------
    y : Tensor
        ``(..., outputs)``: the results of layers with the same input, side by side.
    x : Tensor
        Their input, ``(..., channels)``, contiguous on a CUDA device.
    seed : Tensor
        int64 ``(1,)`` on the device; changes from step to step.
    first : int
        Number of the first layer; the others' follow. Tells one's dropout from another's.
    rate : float
        Share of the input that each layer's dropout drops.
    downs, ups : tuple of Tensor
        A layer's ``(rank, channels)`` and ``(its outputs, rank)``, in the dtype of `x`.
    """
    return _AddLowRank.apply(y, x, seed, first, rate, *downs, *ups)
